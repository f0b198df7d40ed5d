"""What a power cut leaves of a broker's files, from the journal of ``tests.faults.journaled``.

The process is dead; the kernel kept what it had been given, and that is now taken back: of each
file everything after what was synced or a part of it, the rest of which may be zeros or garbage; of
the directories the newest changes that no sync has followed, in their order. A file that was cut
and not synced since may be again what it was before.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from tests.faults.journaled import JOURNAL

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random


class Held:
    """Of one inode: how much of it is durable, and what was cut off that before."""

    def __init__(self) -> None:
        self.size = 0
        self.before: tuple[int, str] | None = None
        """Where the oldest cut since the last sync was, and the file with what stood after it."""

    def synced(self, size: int) -> None:
        self.size = size
        self.before = None

    def cut(self, size: int, saved: str) -> None:
        if size < self.size:
            if self.before is None:
                self.before = (size, saved)
            self.size = size


class Platter:
    """One broker's disk. ``directory`` is the journal's, ``data`` where the files are."""

    def __init__(self, directory: Path, data: Path) -> None:
        self._directory = directory
        self._data = data

    def cut_power(self, dice: Random) -> dict[str, int]:
        """How much was taken back, by kind. Only while nobody uses the files."""
        undo, held = self._read()
        counts = {"directories": 0, "bytes": 0, "garbage": 0}
        if undo and dice.random() < 0.7:
            counts["directories"] = dice.randint(1, len(undo))
            for change in reversed(undo[-counts["directories"] :]):
                take_back(change)
        for folder, _, names in os.walk(self._data):
            for name in sorted(names):
                _cut_file(os.path.join(folder, name), held, dice, counts)
        self._begin_anew()
        return counts

    def _begin_anew(self) -> None:
        """What is there now was read back from the platter: it is durable."""
        shutil.rmtree(self._directory)
        self._directory.mkdir()
        lines = []
        for folder, _, names in os.walk(self._data):
            for name in names:
                stat = os.stat(os.path.join(folder, name))
                lines.append({"op": "synced", "inode": stat.st_ino, "size": stat.st_size})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self._directory / JOURNAL).write_text(text)

    def _read(self) -> tuple[list[dict[str, Any]], dict[int, Held]]:
        """The changes of directories that may be taken back, oldest first; what is held."""
        undo: list[dict[str, Any]] = []
        held: dict[int, Held] = {}
        path = self._directory / JOURNAL
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            entry = json.loads(line)
            if entry["op"] == "synced":
                held.setdefault(entry["inode"], Held()).synced(entry["size"])
            elif entry["op"] == "cut":
                held.setdefault(entry["inode"], Held()).cut(entry["size"], entry["saved"])
            elif entry["op"] == "synced_dir":
                # Like ext4 does it: what was changed before, anywhere, is durable too.
                for index in range(len(undo) - 1, -1, -1):
                    if os.path.dirname(undo[index]["path"]) == entry["path"]:
                        del undo[: index + 1]
                        break
            else:
                undo.append(entry)
        return undo, held


def take_back(change: dict[str, Any]) -> None:
    """It may not have happened: the line was written first."""
    path, op = change["path"], change["op"]
    if op == "created":
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    elif op == "removed":
        if not os.path.exists(path) and os.path.exists(change["saved"]):
            os.rename(change["saved"], path)
    elif op == "renamed" and not os.path.exists(change["source"]) and os.path.exists(path):
        os.rename(path, change["source"])
        if change["saved"] is not None:
            os.link(change["saved"], path)


def _cut_file(path: str, held: dict[int, Held], dice: Random, counts: dict[str, int]) -> None:
    stat = os.stat(path)
    known = held.get(stat.st_ino)
    if known is None:
        return  # none of a log: what holds the lock of the directory
    with open(path, "r+b") as file:
        if known.before is not None and dice.random() < 0.5:
            at, saved = known.before
            file.seek(at)
            with open(saved, "rb") as before:
                file.write(before.read())
            file.truncate()
            return
        written = stat.st_size
        if written <= known.size:
            return
        keep = dice.choice((known.size, dice.randint(known.size, written)))
        file.truncate(keep)
        counts["bytes"] += written - keep
        if keep > known.size and dice.randrange(3) == 0:
            at = dice.randrange(known.size, keep)
            file.seek(at)
            file.write(dice.choice((bytes(keep - at), dice.randbytes(keep - at))))
            counts["garbage"] += 1
