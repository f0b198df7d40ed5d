"""Open files, the least recently used closed first, so that any number of logs fits a limit.

A pinned handle stays open: whoever works on it in another thread pins it first. Handles are known
by path, so a file that is renamed or removed must be forgotten here before.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pykbroker.ports import Disk, File


class FileHandles:
    def __init__(self, disk: Disk, capacity: int = 256) -> None:
        self.disk = disk
        self.capacity = capacity
        self._open: OrderedDict[str, File] = OrderedDict()
        self._pins: dict[int, int] = {}
        """By the identity of the file, which its holder keeps alive."""

    def __len__(self) -> int:
        return len(self._open)

    def get(self, path: str, *, create: bool = False) -> File:
        file = self._open.get(path)
        if file is not None:
            self._open.move_to_end(path)
            return file
        file = self._open[path] = self.disk.open(path, create=create)
        if len(self._open) > self.capacity:
            self._evict(file)
        return file

    def pin(self, path: str) -> File:
        file = self.get(path)
        self._pins[id(file)] = self._pins.get(id(file), 0) + 1
        return file

    def unpin(self, path: str, file: File) -> None:
        """Closes the file if it was forgotten meanwhile and nobody else has it pinned."""
        pins = self._pins.pop(id(file)) - 1
        if pins:
            self._pins[id(file)] = pins
        elif self._open.get(path) is not file:
            file.close()

    def forget(self, path: str) -> None:
        file = self._open.pop(path, None)
        if file is not None and id(file) not in self._pins:
            file.close()

    def close_all(self) -> None:
        for path in list(self._open):
            self.forget(path)

    def _evict(self, newest: File) -> None:
        """With everything else pinned there are more open files than wanted, for a while."""
        for path, file in self._open.items():
            if file is not newest and id(file) not in self._pins:
                del self._open[path]
                file.close()
                return
