"""Drivers that a compiler makes: made anew when what they are made of has changed."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def sources(folder: Path, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.rglob(pattern))


def run(command: Sequence[str], folder: Path) -> str:
    """What it printed. Raises RuntimeError with all of it when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout


def make_if_changed(
    target: Path, files: Sequence[Path], more: str, make: Callable[[], None]
) -> None:
    """Calls ``make`` unless ``target`` was made of these files, and of ``more``, before.

    One process at a time: whoever comes meanwhile waits for it.
    """
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = hashlib.sha256(more.encode())
        for path in files:
            digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
        stamp = target / "made-of"
        if stamp.is_file() and stamp.read_text() == digest.hexdigest():
            return
        stamp.unlink(missing_ok=True)
        make()
        stamp.write_text(digest.hexdigest())
