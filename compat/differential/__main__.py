"""``python -m compat.differential``."""

from compat.differential.command import main
from compat.piped import end_with

end_with(main)
