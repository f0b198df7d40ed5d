"""A file system in RAM behind the same port: ``--memory``, tests and simulations.

A file is a list of chunks as they were appended, with the offset where each begins: an append
copies its own bytes and nothing else, and reading back exactly what was appended copies nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wire.schema import Buffer

_SMALL = 4096
"""Chunks below this are merged into their predecessor, so that tiny appends (index entries)
do not become tiny objects."""


class MemoryFile:
    """A handle and its contents in one: opening the same path gives the same object."""

    __slots__ = ("_chunks", "_starts", "_wall_ms", "mtime_ms", "size")

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._chunks: list[bytes] = []
        self._starts: list[int] = []
        self._wall_ms = wall_ms
        self.size = 0
        self.mtime_ms = wall_ms()

    def append(self, buffers: Sequence[Buffer]) -> None:
        data = bytes(buffers[0]) if len(buffers) == 1 else b"".join(buffers)
        if not data:
            return
        chunks = self._chunks
        if chunks and len(data) < _SMALL and len(chunks[-1]) < _SMALL:
            chunks[-1] += data
        else:
            chunks.append(data)
            self._starts.append(self.size)
        self.size += len(data)
        self.mtime_ms = self._wall_ms()

    def pread(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self.size)
        if offset >= end:
            return b""
        starts, chunks = self._starts, self._chunks
        index = bisect_right(starts, offset) - 1
        start = starts[index]
        chunk = chunks[index]
        if end <= start + len(chunk):
            return chunk[offset - start : end - start]
        parts = [chunk[offset - start :]]
        have = start + len(chunk)
        while have < end:
            index += 1
            chunk = chunks[index]
            parts.append(chunk if have + len(chunk) <= end else chunk[: end - have])
            have += len(chunk)
        return b"".join(parts)

    def pwrite(self, offset: int, data: Buffer) -> None:
        new = bytes(data)
        before = self.pread(0, offset).ljust(offset, b"\0")
        after = self.pread(offset + len(new), self.size)
        self._replace(before + new + after)

    def truncate(self, size: int) -> None:
        if size >= self.size:
            if size > self.size:
                self.append([bytes(size - self.size)])
            return
        index = bisect_right(self._starts, size) - 1
        keep = size - self._starts[index]
        del self._chunks[index + 1 :], self._starts[index + 1 :]
        if keep:
            self._chunks[index] = self._chunks[index][:keep]
        else:
            del self._chunks[index], self._starts[index]
        self.size = size

    def _replace(self, data: bytes) -> None:
        self._chunks = [data] if data else []
        self._starts = [0] if data else []
        self.size = len(data)

    def sync(self) -> None:
        """RAM has nowhere further to go."""

    def close(self) -> None:
        """The contents belong to the path, not to the handle."""


class MemoryLock:
    def __init__(self, held: set[str], path: str) -> None:
        self._held = held
        self._path = path

    def release(self) -> None:
        self._held.discard(self._path)


class MemoryDisk:
    """Paths as strings; a directory is known by its own entry, files by theirs."""

    def __init__(self, wall_ms: Callable[[], int] = lambda: 0) -> None:
        self._wall_ms = wall_ms
        self._tree: dict[str, dict[str, MemoryFile | None]] = {"/": {}}
        """Directory -> name -> file, or None for a directory."""
        self._locks: set[str] = set()

    def new_file(self) -> MemoryFile:
        return MemoryFile(self._wall_ms)

    def open(self, path: str, *, create: bool = False) -> MemoryFile:
        return self._file(path, create=create)

    def _file(self, path: str, *, create: bool = False) -> MemoryFile:
        parent, name = self._locate(path)
        entries = self._entries(parent, path)
        file = entries.get(name)
        if file is None:
            if name in entries:
                raise IsADirectoryError(path)
            if not create:
                raise FileNotFoundError(path)
            file = entries[name] = self.new_file()
        return file

    def exists(self, path: str) -> bool:
        parent, name = self._locate(path)
        return path in self._tree or name in self._tree.get(parent, ())

    def is_directory(self, path: str) -> bool:
        return path.rstrip("/") in self._tree

    def size(self, path: str) -> int:
        return self._file(path).size

    def mtime_ms(self, path: str) -> int:
        return 0 if self.is_directory(path) else self._file(path).mtime_ms

    def set_mtime_ms(self, path: str, mtime_ms: int) -> None:
        self._file(path).mtime_ms = mtime_ms

    def listdir(self, path: str) -> list[str]:
        return sorted(self._entries(path.rstrip("/"), path))

    def mkdir(self, path: str) -> bool:
        path = path.rstrip("/")
        if path in self._tree or not path:
            return False
        parent, name = self._locate(path)
        self.mkdir(parent)
        if name in self._tree[parent]:
            raise FileExistsError(path)
        self._tree[parent][name] = None
        self._tree[path] = {}
        return True

    def rename(self, source: str, target: str) -> None:
        source, target = source.rstrip("/"), target.rstrip("/")
        parent, name = self._locate(source)
        entries = self._entries(parent, source)
        if name not in entries:
            raise FileNotFoundError(source)
        new_parent, new_name = self._locate(target)
        into = self._entries(new_parent, target)
        into[new_name] = entries.pop(name)
        if source in self._tree:
            for directory in self._with_all_under(source):
                self._tree[target + directory[len(source) :]] = self._tree.pop(directory)

    def unlink(self, path: str) -> None:
        parent, name = self._locate(path)
        if self._entries(parent, path).get(name) is None:
            raise FileNotFoundError(path)
        del self._tree[parent][name]

    def rmtree(self, path: str) -> None:
        path = path.rstrip("/")
        self._entries(path, path)
        parent, name = self._locate(path)
        for directory in self._with_all_under(path):
            del self._tree[directory]
        self._tree[parent].pop(name, None)

    def _with_all_under(self, path: str) -> list[str]:
        """The directory and those in it. Others may come and go meanwhile, on other threads."""
        found = [path]
        for directory in found:
            for name, file in list(self._tree[directory].items()):
                if file is None:
                    found.append(f"{directory}/{name}")
        return found

    def sync_dir(self, path: str) -> None:
        self._entries(path.rstrip("/"), path)

    def read_bytes(self, path: str) -> bytes:
        file = self._file(path)
        return file.pread(0, file.size)

    def write_atomic(self, path: str, data: bytes) -> None:
        parent, name = self._locate(path)
        file = self.new_file()
        file.append([data])
        self._entries(parent, path)[name] = file

    def space(self, path: str) -> tuple[int, int]:
        return -1, -1

    def lock(self, path: str) -> MemoryLock:
        if path in self._locks:
            raise BlockingIOError(path)
        self._locks.add(path)
        return MemoryLock(self._locks, path)

    def _entries(self, directory: str, path: str) -> dict[str, MemoryFile | None]:
        try:
            return self._tree[directory or "/"]
        except KeyError:
            raise FileNotFoundError(path) from None

    @staticmethod
    def _locate(path: str) -> tuple[str, str]:
        parent, _, name = path.rstrip("/").rpartition("/")
        return parent or "/", name
