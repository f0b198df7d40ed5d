"""``python -m compat.bench``."""

import sys

from compat.bench.cli import main

sys.exit(main(sys.argv[1:]))
