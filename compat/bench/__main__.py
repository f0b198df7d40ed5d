"""``python -m compat.bench``."""

import sys

from compat.bench.cli import main
from compat.piped import end_with

end_with(lambda: main(sys.argv[1:]))
