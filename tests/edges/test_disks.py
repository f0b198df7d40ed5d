"""What the log may expect of a disk, of the real one and of the one in memory."""

from __future__ import annotations

import errno
import os
import resource
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from pykbroker.edges.disk import SEGMENTS_AT_MOST, RealDisk, RealFile, segments_held_open
from pykbroker.edges.memory_disk import MemoryDisk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pykbroker.ports import Disk


@pytest.fixture(params=["real", "memory"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return RealDisk() if request.param == "real" else MemoryDisk(lambda: 77)


@pytest.fixture
def root(disk: Disk, tmp_path: Path) -> str:
    path = str(tmp_path / "a" / "b")
    disk.mkdir(path)
    return path


def test_folders_are_made_with_their_parents(disk: Disk, root: str) -> None:
    assert disk.mkdir(f"{root}/x/y/z")
    assert not disk.mkdir(f"{root}/x/y/z")
    assert disk.mkdir(f"{root}/x/y/w")
    assert disk.is_directory(f"{root}/x/y")
    assert disk.exists(f"{root}/x/y/z")
    assert disk.listdir(f"{root}/x") == ["y"]
    disk.open(f"{root}/file", create=True).close()
    with pytest.raises(FileExistsError):
        disk.mkdir(f"{root}/file")
    assert not disk.is_directory(f"{root}/nothing")
    assert not disk.exists(f"{root}/nothing/at/all")


def test_names_are_listed_in_order(disk: Disk, root: str) -> None:
    for name in ("c", "a", "b"):
        disk.open(f"{root}/{name}", create=True).close()
    assert disk.listdir(root) == ["a", "b", "c"]


def test_a_file_keeps_what_was_appended(disk: Disk, root: str) -> None:
    path = f"{root}/f"
    file = disk.open(path, create=True)
    file.append((b"one", memoryview(b"two"), bytearray(b"three")))
    file.append((b"",))
    file.append((b"four",))
    assert file.size == disk.size(path) == 15
    assert file.pread(0, 100) == b"onetwothreefour"
    assert file.pread(3, 3) == b"two"
    assert file.pread(5, 4) == b"othr"
    assert file.pread(15, 1) == b""
    assert file.pread(99, 1) == b""
    file.sync()
    file.close()
    again = disk.open(path)
    assert (again.size, again.pread(11, 4)) == (15, b"four")
    again.close()
    assert disk.read_bytes(path) == b"onetwothreefour"


def test_appended_buffers_may_be_used_for_something_else(disk: Disk, root: str) -> None:
    buffer = bytearray(b"x" * 10_000)
    file = disk.open(f"{root}/f", create=True)
    file.append((memoryview(buffer),))
    buffer[:] = b"y" * 10_000
    assert file.pread(0, 10_000) == b"x" * 10_000
    file.close()


def test_a_file_is_not_made_unless_asked_for(disk: Disk, root: str) -> None:
    with pytest.raises(FileNotFoundError):
        disk.open(f"{root}/f")
    with pytest.raises(FileNotFoundError):
        disk.size(f"{root}/f")
    with pytest.raises(FileNotFoundError):
        disk.read_bytes(f"{root}/f")
    with pytest.raises(FileNotFoundError):
        disk.unlink(f"{root}/f")
    with pytest.raises(FileNotFoundError):
        disk.listdir(f"{root}/f")


def test_a_file_can_be_cut_and_grow_again(disk: Disk, root: str) -> None:
    file = disk.open(f"{root}/f", create=True)
    file.append((b"abcdef",))
    file.truncate(2)
    file.append((b"XY",))
    assert file.pread(0, 10) == b"abXY"
    file.truncate(0)
    assert (file.size, file.pread(0, 10)) == (0, b"")
    file.append((b"z",))
    file.truncate(3)
    assert file.pread(0, 10) == b"z\0\0"
    file.close()


def test_bytes_in_the_middle_can_be_overwritten(disk: Disk, root: str) -> None:
    file = disk.open(f"{root}/f", create=True)
    file.append((b"abcdef",))
    file.pwrite(2, b"XY")
    assert file.pread(0, 10) == b"abXYef"
    file.pwrite(5, b"123")
    assert (file.size, file.pread(0, 10)) == (8, b"abXYe123")
    file.close()


def test_renaming_replaces(disk: Disk, root: str) -> None:
    disk.write_atomic(f"{root}/a", b"a")
    disk.write_atomic(f"{root}/b", b"b")
    disk.rename(f"{root}/a", f"{root}/b")
    assert disk.read_bytes(f"{root}/b") == b"a"
    assert disk.listdir(root) == ["b"]
    with pytest.raises(FileNotFoundError):
        disk.rename(f"{root}/a", f"{root}/c")


def test_a_folder_is_renamed_with_all_that_is_in_it(disk: Disk, root: str) -> None:
    disk.mkdir(f"{root}/old/sub")
    disk.write_atomic(f"{root}/old/sub/f", b"x")
    disk.rename(f"{root}/old", f"{root}/new")
    assert disk.read_bytes(f"{root}/new/sub/f") == b"x"
    assert not disk.exists(f"{root}/old")
    assert disk.listdir(root) == ["new"]


def test_an_open_file_outlives_its_name(disk: Disk, root: str) -> None:
    file = disk.open(f"{root}/f", create=True)
    file.append((b"abc",))
    disk.rename(f"{root}/f", f"{root}/g")
    file.append((b"d",))
    assert disk.read_bytes(f"{root}/g") == b"abcd"
    disk.unlink(f"{root}/g")
    assert file.pread(0, 4) == b"abcd"
    file.close()
    assert disk.listdir(root) == []


def test_a_tree_is_removed(disk: Disk, root: str) -> None:
    disk.mkdir(f"{root}/x/y")
    disk.write_atomic(f"{root}/x/y/f", b"x")
    disk.rmtree(f"{root}/x")
    assert disk.listdir(root) == []
    assert not disk.exists(f"{root}/x/y/f")
    with pytest.raises(FileNotFoundError):
        disk.rmtree(f"{root}/x")


def test_a_tree_is_removed_while_others_come_and_go(disk: Disk, root: str) -> None:
    """Workers remove what the loop has renamed away, and the loop goes on."""
    switch = sys.getswitchinterval()
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            for number in range(20):
                disk.mkdir(f"{root}/loop-{number}")
            for number in range(20):
                disk.rmtree(f"{root}/loop-{number}")

    sys.setswitchinterval(1e-6)
    loop = threading.Thread(target=come_and_go)
    loop.start()
    try:
        for number in range(200):
            disk.mkdir(f"{root}/worker-{number}/inner")
            disk.rmtree(f"{root}/worker-{number}")
    finally:
        done.set()
        loop.join()
        sys.setswitchinterval(switch)
    assert disk.listdir(root) == []


def test_an_atomic_write_replaces_and_leaves_nothing_beside(disk: Disk, root: str) -> None:
    disk.write_atomic(f"{root}/f", b"one")
    disk.write_atomic(f"{root}/f", b"twotwo")
    assert disk.read_bytes(f"{root}/f") == b"twotwo"
    assert disk.listdir(root) == ["f"]
    disk.sync_dir(root)


def test_a_lock_is_had_by_one(disk: Disk, root: str) -> None:
    lock = disk.lock(f"{root}/.lock")
    with pytest.raises(BlockingIOError):
        disk.lock(f"{root}/.lock")
    lock.release()
    lock.release()
    disk.lock(f"{root}/.lock").release()


def test_the_time_of_the_last_write_can_be_set(disk: Disk, root: str) -> None:
    disk.write_atomic(f"{root}/f", b"x")
    assert disk.mtime_ms(f"{root}/f") > 0
    disk.set_mtime_ms(f"{root}/f", 1_234_567_890_123)
    assert disk.mtime_ms(f"{root}/f") == 1_234_567_890_123


def test_space_is_known_on_a_real_volume_only(disk: Disk, root: str) -> None:
    total, usable = disk.space(root)
    if isinstance(disk, RealDisk):
        assert total >= usable > 0
    else:
        assert (total, usable) == (-1, -1)


class DiskMachine(RuleBasedStateMachine):
    """A file in memory against a bytearray."""

    @initialize()
    def start(self) -> None:
        self.file = MemoryDisk().open("/f", create=True)
        self.model = bytearray()

    @rule(sizes=st.lists(st.integers(0, 9000), max_size=3))
    def append(self, sizes: list[int]) -> None:
        parts = [bytes([size % 251]) * size for size in sizes] or [b""]
        self.file.append(parts)
        self.model += b"".join(parts)

    @rule(at=st.floats(0, 1), size=st.integers(0, 12_000))
    def read(self, at: float, size: int) -> None:
        offset = int(len(self.model) * at)
        assert self.file.pread(offset, size) == self.model[offset : offset + size]

    @rule(at=st.floats(0, 1.1))
    def truncate(self, at: float) -> None:
        size = int(len(self.model) * at)
        self.file.truncate(size)
        self.model = self.model[:size].ljust(size, b"\0")

    @rule(at=st.floats(0, 1), data=st.binary(max_size=20))
    def overwrite(self, at: float, data: bytes) -> None:
        offset = int(len(self.model) * at)
        self.file.pwrite(offset, data)
        self.model[offset : offset + len(data)] = data

    @rule()
    def compare(self) -> None:
        assert self.file.size == len(self.model)
        assert self.file.pread(0, self.file.size) == self.model


TestMemoryFile = DiskMachine.TestCase
TestMemoryFile.settings = settings(max_examples=40, stateful_step_count=30)


def test_reading_back_one_append_copies_nothing() -> None:
    file = MemoryDisk().open("/f", create=True)
    data = bytes(10_000)
    file.append((data,))
    file.append((bytes(5_000),))
    assert file.pread(0, 10_000) is data


def test_many_small_appends_do_not_become_many_objects() -> None:
    file = MemoryDisk().open("/f", create=True)
    for _ in range(10_000):
        file.append((b"12345678",))
    assert len(file._chunks) < 50


class ShortWrites:
    """What the kernel does when room runs out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int, then: int) -> None:
        self.left, self.most, self.then = most, most, then
        self.pwrite: Callable[..., int] = os.pwrite
        monkeypatch.setattr(os, "pwritev", self.fake_pwritev)
        monkeypatch.setattr(os, "pwrite", self.fake_pwrite)

    def fake_pwritev(self, fd: int, buffers: Any, offset: int) -> int:
        return self.fake_pwrite(fd, b"".join(buffers), offset)

    def fake_pwrite(self, fd: int, data: Any, offset: int) -> int:
        if self.left <= 0:
            raise OSError(self.then, os.strerror(self.then))
        written = self.pwrite(fd, bytes(data)[: self.left], offset)
        self.left -= written
        return written


@pytest.mark.parametrize("then", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_half_way_leaves_the_old_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: int
) -> None:
    path = str(tmp_path / "f")
    file = RealDisk().open(path, create=True)
    file.append((b"before",))
    ShortWrites(monkeypatch, 7, then)
    with pytest.raises(OSError, match=os.strerror(then)):
        file.append((b"five5", b"six666"))
    monkeypatch.undo()
    assert file.size == os.path.getsize(path) == 6
    file.append((b" after",))
    file.close()
    assert RealDisk().read_bytes(path) == b"before after"


def test_a_short_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RealDisk().open(str(tmp_path / "f"), create=True)

    def short(fd: int, buffers: Any, offset: int) -> int:
        return os.pwrite(fd, b"".join(buffers)[:4], offset)

    monkeypatch.setattr(os, "pwritev", short)
    file.append((b"five5", b"six666"))
    assert file.pread(0, 20) == b"five5six666"
    file.close()


def test_a_write_of_nothing_is_an_error_not_a_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RealDisk().open(str(tmp_path / "f"), create=True)
    monkeypatch.setattr(os, "pwritev", lambda fd, buffers, offset: 0)
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: 0)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        file.append((b"x",))
    monkeypatch.undo()
    file.close()


def test_more_buffers_than_the_kernel_takes_at_once(tmp_path: Path) -> None:
    file = RealDisk().open(str(tmp_path / "f"), create=True)
    file.append([b"%06d" % number for number in range(3000)])
    assert file.pread(6 * 2999, 6) == b"002999"
    file.close()


def test_a_short_read_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RealDisk().open(str(tmp_path / "f"), create=True)
    file.append((b"0123456789",))
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: pread(fd, min(size, 3), offset))
    assert file.pread(1, 8) == b"12345678"
    assert file.pread(8, 8) == b"89"
    file.close()


def test_a_file_larger_than_the_limit_of_the_process_is_refused_whole(tmp_path: Path) -> None:
    """The kernel's own short write and EFBIG, in a process of its own."""
    import subprocess
    import sys

    script = f"""
import resource, signal, sys
sys.path.insert(0, {os.getcwd()!r})
from pykbroker.edges.disk import RealDisk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = RealDisk().open({str(tmp_path / "f")!r}, create=True)
file.append((b"x" * 1000,))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    file.append((b"y" * 10_000,))
except OSError as error:
    print(error.errno, file.size)
file.append((b"z" * 1000,))
print(file.pread(999, 2))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert result.stdout.decode().split("\n")[:2] == [f"{errno.EFBIG} 1000", "b'xz'"]


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    file = RealDisk().open(str(tmp_path / "f"), create=True)
    assert isinstance(file, RealFile)
    file.close()
    file.close()


@pytest.mark.parametrize(
    ("limit", "held"),
    [(100, 64), (1024, 256), (1 << 20, SEGMENTS_AT_MOST), (resource.RLIM_INFINITY, None)],
)
def test_most_of_the_open_files_are_for_connections(
    monkeypatch: pytest.MonkeyPatch, limit: int, held: int | None
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert segments_held_open() == (held or SEGMENTS_AT_MOST)
