"""A broker that writes down what of its files is durable: python -m tests.faults.journaled DIR ...

DIR has the journal and what was removed or overwritten; the rest are the arguments of pykbroker.
``tests.faults.platter`` makes of these what a power cut would have left.

A line of the journal is about a change of a directory, written before it happens, or says what is
durable by now, written after it is. Files are known by their inodes: names change. What is removed
is moved into DIR, so that no inode comes to life again.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

from pykbroker.edges import disk
from pykbroker.edges.disk import RealDisk, RealFile

if TYPE_CHECKING:
    from wire.schema import Buffer

JOURNAL = "journal.jsonl"


class Journal:
    def __init__(self, directory: str) -> None:
        os.makedirs(directory, exist_ok=True)
        self._directory = directory
        self._fd = os.open(f"{directory}/{JOURNAL}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._numbers = count()
        self.lock = threading.RLock()
        """Held for a line and the change that it is about: their orders are one."""

    def write(self, op: str, **fields: Any) -> None:
        line = json.dumps({"op": op} | fields, separators=(",", ":")) + "\n"
        with self.lock:
            os.write(self._fd, line.encode())

    def spare(self) -> str:
        """A path for something to keep."""
        return f"{self._directory}/{os.getpid()}-{next(self._numbers)}"


class JournaledFile(RealFile):
    """What is synced is what was there when the sync began, less what was cut off meanwhile."""

    __slots__ = ("_journal", "_kept", "inode")

    def __init__(self, fd: int, path: str, journal: Journal) -> None:
        super().__init__(fd, path)
        self._journal = journal
        self.inode = os.fstat(fd).st_ino
        self._kept = self.size

    def truncate(self, size: int) -> None:
        if size < self.size:
            self._change(size, self.pread(size, self.size - size))
        super().truncate(size)

    def pwrite(self, offset: int, data: Buffer) -> None:
        if offset < self.size:
            self._change(offset, self.pread(offset, self.size - offset))
        super().pwrite(offset, data)

    def _change(self, offset: int, before: bytes) -> None:
        saved = self._journal.spare()
        with open(saved, "wb") as file:
            file.write(before)
        self._kept = min(self._kept, offset)
        self._journal.write("cut", inode=self.inode, size=offset, saved=saved)

    def sync(self) -> None:
        self._kept = self.size
        super().sync()
        self._journal.write("synced", inode=self.inode, size=self._kept)


class JournaledDisk(RealDisk):
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def open(self, path: str, *, create: bool = False) -> RealFile:
        with self._journal.lock:
            is_new = create and not os.path.exists(path)
            if is_new:
                self._journal.write("created", path=path)
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
            file = JournaledFile(os.open(path, flags, 0o644), path, self._journal)
            if is_new:
                self._journal.write("synced", inode=file.inode, size=0)
        return file

    def mkdir(self, path: str) -> bool:
        with self._journal.lock:
            missing = []
            while not os.path.exists(path):
                missing.append(path)
                path = os.path.dirname(path)
            for each in reversed(missing):
                self._journal.write("created", path=each)
                os.mkdir(each)
        return bool(missing)

    def rename(self, source: str, target: str) -> None:
        with self._journal.lock:
            saved = self._keep(target)
            self._journal.write("renamed", path=target, source=source, saved=saved)
            super().rename(source, target)

    def unlink(self, path: str) -> None:
        self._remove(path)

    def rmtree(self, path: str) -> None:
        self._remove(path)

    def _remove(self, path: str) -> None:
        with self._journal.lock:
            if not os.path.exists(path):
                raise FileNotFoundError(path)
            saved = self._journal.spare()
            self._journal.write("removed", path=path, saved=saved)
            os.rename(path, saved)

    def _keep(self, path: str) -> str | None:
        """Another name for a file that is about to be overwritten."""
        if not os.path.isfile(path):
            return None
        saved = self._journal.spare()
        os.link(path, saved)
        return saved

    def sync_dir(self, path: str) -> None:
        super().sync_dir(path)
        self._journal.write("synced_dir", path=path.rstrip("/") or "/")

    def write_atomic(self, path: str, data: bytes) -> None:
        with self._journal.lock:
            temporary = f"{path}.tmp"
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                inode = os.fstat(file.fileno()).st_ino
            self._journal.write("synced", inode=inode, size=len(data))
            saved = self._keep(path)
            self._journal.write("renamed", path=path, source=temporary, saved=saved)
            os.replace(temporary, path)
        self.sync_dir(os.path.dirname(path))


def main() -> None:
    directory, *arguments = sys.argv[1:]
    journal = Journal(directory)
    disk.RealDisk = lambda: JournaledDisk(journal)  # type: ignore[assignment,misc]
    from pykbroker.cli import main as serve

    serve(arguments)


if __name__ == "__main__":
    main()
