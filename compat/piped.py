"""Commands whose output may be cut off: ``python -m compat run --list | head``."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable


def end_with(command: Callable[[], int]) -> NoReturn:
    """Exits with its code; as others do that SIGPIPE ends, where nobody reads its output any more.

    The signal itself stays ignored: pipes to drivers break as well, and mean something else.
    """
    try:
        try:
            code = command()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _is_cut_off():
            raise
        code = 128 + signal.SIGPIPE
    sys.exit(code)


def _is_cut_off() -> bool:
    """What is left goes nowhere then, at the interpreter's end too."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
