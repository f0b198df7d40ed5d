"""``python -m compat.differential``."""

import sys

from compat.differential.command import main

sys.exit(main())
