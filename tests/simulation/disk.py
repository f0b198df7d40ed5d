"""A disk that remembers what was synced, and loses the rest when the power goes.

``SimDisk`` is the platter; it outlives the processes that use it. ``DiskOfLife`` is what one life
of a broker sees of it: once that life is over, nothing it does arrives any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.edges.memory_disk import MemoryDisk, MemoryFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from pykbroker.edges.memory_disk import MemoryLock
    from tests.simulation.loop import Life
    from wire.schema import Buffer


class Killed(BaseException):
    """The process that asks for this is no more."""


class SimFile(MemoryFile):
    """The contents. ``synced_size`` bytes of them, at least, survive a power cut, unless ``before``
    is set: then what was synced last, from before a truncation, may come back in their place."""

    __slots__ = ("before", "synced_size")

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        super().__init__(wall_ms)
        self.synced_size = 0
        self.before: bytes | None = None

    def truncate(self, size: int) -> None:
        if size < self.synced_size:
            self._keep_before()
            self.synced_size = size
        super().truncate(size)

    def pwrite(self, offset: int, data: Buffer) -> None:
        if offset < self.synced_size:
            self._keep_before()
            self.synced_size = offset
        super().pwrite(offset, data)

    def sync(self) -> None:
        self.synced_size = self.size
        self.before = None

    def _keep_before(self) -> None:
        if self.before is None:
            self.before = self.pread(0, self.synced_size)

    def lose_power(self, rng: Random) -> None:
        if self.before is not None and rng.random() < 0.5:
            self._replace(self.before)
        elif self.size > self.synced_size:
            keep = rng.choice((self.synced_size, rng.randint(self.synced_size, self.size)))
            MemoryFile.truncate(self, keep)
            if keep > self.synced_size and rng.randrange(3) == 0:
                # Sometimes only the size has reached the platter, and zeros stand there.
                at = rng.randrange(self.synced_size, keep)
                MemoryFile.pwrite(self, at, bytes(keep - at))
        self.sync()


class SimDisk(MemoryDisk):
    """Changes of directories are journaled in order: a power cut takes back the newest ones, never
    any from before a ``sync_dir``."""

    def __init__(self, wall_ms: Callable[[], int] = lambda: 0) -> None:
        super().__init__(wall_ms)
        self._undo: list[tuple[str, Callable[[], None]]] = []
        """(directory, how to take the change back), since the last sync."""

    def new_file(self) -> SimFile:
        return SimFile(self._wall_ms)

    def files(self) -> dict[str, SimFile]:
        return {
            f"{directory}/{name}": file
            for directory, entries in sorted(self._tree.items())
            for name, file in entries.items()
            if isinstance(file, SimFile)
        }

    def open(self, path: str, *, create: bool = False) -> MemoryFile:
        if create and not self.exists(path):
            parent, name = self._locate(path)
            self._undo.append((parent, lambda: self._drop(parent, name)))
        return super().open(path, create=create)

    def mkdir(self, path: str) -> bool:
        path = path.rstrip("/")
        if path and path not in self._tree:
            parent, name = self._locate(path)
            self.mkdir(parent)
            self._undo.append((parent, lambda: self._drop(parent, name)))
        return super().mkdir(path)

    def rename(self, source: str, target: str) -> None:
        source, target = source.rstrip("/"), target.rstrip("/")
        parent, name = self._locate(target)
        overwritten = self._tree.get(parent, {}).get(name)
        super().rename(source, target)

        def undo() -> None:
            MemoryDisk.rename(self, target, source)
            if overwritten is not None:
                self._tree[parent][name] = overwritten

        self._undo.append((parent, undo))

    def unlink(self, path: str) -> None:
        parent, name = self._locate(path)
        file = self._tree.get(parent, {}).get(name)
        super().unlink(path)
        self._undo.append((parent, lambda: self._put_back(parent, name, file)))

    def rmtree(self, path: str) -> None:
        path = path.rstrip("/")
        gone = {
            directory: dict(entries)
            for directory, entries in self._tree.items()
            if directory == path or directory.startswith(path + "/")
        }
        super().rmtree(path)
        parent, name = self._locate(path)

        def undo() -> None:
            self._tree.update(gone)
            self._put_back(parent, name, None)

        self._undo.append((parent, undo))

    def write_atomic(self, path: str, data: bytes) -> None:
        super().write_atomic(path, data)
        self._file(path).sync()
        self._journal(self._locate(path)[0])

    def sync_dir(self, path: str) -> None:
        super().sync_dir(path)
        self._journal(path.rstrip("/") or "/")

    def _journal(self, directory: str) -> None:
        """Up to its last change everything is on the platter."""
        for index in range(len(self._undo) - 1, -1, -1):
            if self._undo[index][0] == directory:
                del self._undo[: index + 1]
                return

    def _drop(self, parent: str, name: str) -> None:
        path = f"{parent.rstrip('/')}/{name}"
        if path in self._tree:
            super().rmtree(path)
        else:
            self._tree.get(parent, {}).pop(name, None)

    def _put_back(self, parent: str, name: str, file: MemoryFile | None) -> None:
        if parent in self._tree:
            self._tree[parent][name] = file

    # What happens to it.

    def kill(self) -> None:
        """The process died; the kernel keeps what it was given."""
        self._locks.clear()

    def lose_power(self, rng: Random) -> None:
        self._locks.clear()
        if self._undo and rng.random() < 0.7:
            for _ in range(rng.randint(1, len(self._undo))):
                self._undo.pop()[1]()
        self._undo.clear()
        for file in self.files().values():
            file.lose_power(rng)


class HandleOfLife:
    """An open file."""

    __slots__ = ("_disk", "_file")

    def __init__(self, disk: DiskOfLife, file: MemoryFile) -> None:
        self._disk = disk
        self._file = file

    @property
    def size(self) -> int:
        return self._file.size

    def append(self, buffers: Sequence[Buffer]) -> None:
        self._disk.change()
        self._file.append(buffers)

    def pread(self, offset: int, size: int) -> bytes:
        self._disk.check()
        return self._file.pread(offset, size)

    def pwrite(self, offset: int, data: Buffer) -> None:
        self._disk.change()
        self._file.pwrite(offset, data)

    def truncate(self, size: int) -> None:
        self._disk.change()
        self._file.truncate(size)

    def sync(self) -> None:
        self._disk.change()
        self._file.sync()

    def close(self) -> None:
        pass


class DiskOfLife:
    """``ports.Disk`` for one life. ``die_after(n, callback)``: its n-th change from now on does not
    happen, ``callback`` ends the life."""

    def __init__(self, disk: SimDisk, life: Life) -> None:
        self._disk = disk
        self._life = life
        self._changes_left = -1
        self._die: Callable[[], None] = lambda: None

    def die_after(self, changes: int, die: Callable[[], None]) -> None:
        self._changes_left = changes
        self._die = die

    def check(self) -> None:
        if self._life.is_dead:
            raise Killed(self._life.name)

    def change(self) -> None:
        if self._life.is_dead:
            raise Killed(self._life.name)
        if self._changes_left >= 0:
            self._changes_left -= 1
            if self._changes_left < 0:
                self._die()
                raise Killed(self._life.name)

    # Reading

    def exists(self, path: str) -> bool:
        self.check()
        return self._disk.exists(path)

    def is_directory(self, path: str) -> bool:
        self.check()
        return self._disk.is_directory(path)

    def size(self, path: str) -> int:
        self.check()
        return self._disk.size(path)

    def mtime_ms(self, path: str) -> int:
        self.check()
        return self._disk.mtime_ms(path)

    def listdir(self, path: str) -> list[str]:
        self.check()
        return self._disk.listdir(path)

    def read_bytes(self, path: str) -> bytes:
        self.check()
        return self._disk.read_bytes(path)

    def space(self, path: str) -> tuple[int, int]:
        return self._disk.space(path)

    # Changing

    def open(self, path: str, *, create: bool = False) -> Any:
        if create:
            self.change()
        else:
            self.check()
        return HandleOfLife(self, self._disk.open(path, create=create))

    def mkdir(self, path: str) -> bool:
        self.change()
        return self._disk.mkdir(path)

    def rename(self, source: str, target: str) -> None:
        self.change()
        self._disk.rename(source, target)

    def unlink(self, path: str) -> None:
        self.change()
        self._disk.unlink(path)

    def rmtree(self, path: str) -> None:
        self.change()
        self._disk.rmtree(path)

    def sync_dir(self, path: str) -> None:
        self.change()
        self._disk.sync_dir(path)

    def write_atomic(self, path: str, data: bytes) -> None:
        self.change()
        self._disk.write_atomic(path, data)

    def set_mtime_ms(self, path: str, mtime_ms: int) -> None:
        self.change()
        self._disk.set_mtime_ms(path, mtime_ms)

    def lock(self, path: str) -> MemoryLock:
        self.check()
        return self._disk.lock(path)
