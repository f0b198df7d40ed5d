"""A disk in memory that can be crashed at any operation, lose what was not synced, and refuse."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from pykbroker.edges.memory_disk import MemoryDisk, MemoryFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from wire.schema import Buffer


class Crash(BaseException):
    """The process is gone; nothing may be done with its objects any more."""


class FaultyFile(MemoryFile):
    """The contents, shared by all handles."""

    __slots__ = ("disk", "synced_size")

    def __init__(self, disk: FaultyDisk) -> None:
        super().__init__(disk.wall_ms)
        self.disk = disk
        self.synced_size = 0

    def append(self, buffers: Sequence[Buffer]) -> None:
        self.disk.step("append")
        super().append(buffers)

    def truncate(self, size: int) -> None:
        self.disk.step("truncate")
        super().truncate(size)
        self.synced_size = min(self.synced_size, size)

    def sync(self) -> None:
        self.disk.step("sync")
        self.synced_size = self.size
        self.disk.syncs += 1


class Handle:
    """Of no use once it is closed, as a descriptor is."""

    def __init__(self, file: MemoryFile) -> None:
        self._file: MemoryFile | None = file

    @property
    def file(self) -> MemoryFile:
        if self._file is None:
            raise OSError(errno.EBADF, "used after it was closed")
        return self._file

    @property
    def size(self) -> int:
        return self.file.size

    def append(self, buffers: Sequence[Buffer]) -> None:
        self.file.append(buffers)

    def pread(self, offset: int, size: int) -> bytes:
        return self.file.pread(offset, size)

    def pwrite(self, offset: int, data: Buffer) -> None:
        self.file.pwrite(offset, data)

    def truncate(self, size: int) -> None:
        self.file.truncate(size)

    def sync(self) -> None:
        self.file.sync()

    def close(self) -> None:
        self._file = None


class FaultyDisk(MemoryDisk):
    """``crash_at`` is the number of the changing operation that does not happen any more."""

    def __init__(self, wall_ms: Callable[[], int] = lambda: 0) -> None:
        super().__init__(wall_ms)
        self.wall_ms = wall_ms
        self.steps = 0
        self.crash_at: int | None = None
        self.syncs = 0
        self.refusals: dict[str, int] = {}
        """Operation -> errno, until taken out again."""
        self.history: list[str] = []

    def step(self, name: str, detail: str = "") -> None:
        if name in self.refusals:
            raise OSError(self.refusals[name], errno.errorcode[self.refusals[name]])
        if self.crash_at is not None and self.steps >= self.crash_at:
            raise Crash(name)
        self.steps += 1
        self.history.append(f"{name} {detail}")

    def new_file(self) -> FaultyFile:
        return FaultyFile(self)

    def open(self, path: str, *, create: bool = False) -> Any:
        if create and not self.exists(path):
            self.step("create", path)
        return Handle(super().open(path, create=create))

    def rename(self, source: str, target: str) -> None:
        self.step("rename", f"{source} {target}")
        super().rename(source, target)

    def unlink(self, path: str) -> None:
        self.step("unlink", path)
        super().unlink(path)

    def mkdir(self, path: str) -> bool:
        self.step("mkdir", path)
        return super().mkdir(path)

    def write_atomic(self, path: str, data: bytes) -> None:
        self.step("write_atomic", path)
        super().write_atomic(path, data)
        file = self.files()[path]
        file.synced_size = file.size

    def files(self) -> dict[str, FaultyFile]:
        found: dict[str, Any] = {}
        for directory, entries in self._tree.items():
            for name, file in entries.items():
                if file is not None:
                    found[f"{directory}/{name}"] = file
        return found

    def power_cut(self, rng: Random) -> None:
        """Of what was not synced a part has reached the platter: sometimes only the size did, and
        zeros stand there."""
        self.crash_at = None
        self.refusals.clear()
        self._locks.clear()
        for file in self.files().values():
            if file.size > file.synced_size:
                keep = file.synced_size + rng.randrange(file.size - file.synced_size + 1)
                MemoryFile.truncate(file, keep)
                if keep > file.synced_size and rng.randrange(3) == 0:
                    at = file.synced_size + rng.randrange(keep - file.synced_size)
                    file.pwrite(at, bytes(keep - at))
            file.synced_size = file.size

    def kill(self) -> None:
        """The process dies; the kernel keeps what it was given."""
        self.crash_at = None
        self.refusals.clear()
        self._locks.clear()
