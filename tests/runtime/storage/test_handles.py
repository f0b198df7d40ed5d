from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.edges.disk import RealDisk
from pykbroker.runtime.storage.handles import FileHandles

if TYPE_CHECKING:
    from pathlib import Path


class CountingDisk(RealDisk):
    def __init__(self) -> None:
        self.closed: list[str] = []

    def open(self, path: str, *, create: bool = False):  # type: ignore[no-untyped-def]
        file = super().open(path, create=create)
        close = file.close
        disk = self

        class Counted(type(file)):  # type: ignore[misc]
            __slots__ = ()

            def close(self) -> None:
                disk.closed.append(path)
                close()

        file.__class__ = Counted
        return file


def handles(tmp_path: Path, count: int, capacity: int) -> tuple[FileHandles, list[str]]:
    paths = [str(tmp_path / f"f{number}") for number in range(count)]
    found = FileHandles(CountingDisk(), capacity)
    for path in paths:
        found.get(path, create=True)
    return found, paths


def test_the_least_recently_used_is_closed_first(tmp_path: Path) -> None:
    found, paths = handles(tmp_path, 3, 3)
    found.get(paths[0])
    found.get(str(tmp_path / "more"), create=True)
    assert found.disk.closed == [paths[1]]  # type: ignore[attr-defined]
    assert len(found) == 3


def test_an_open_file_is_given_again(tmp_path: Path) -> None:
    found, paths = handles(tmp_path, 1, 3)
    assert found.get(paths[0]) is found.get(paths[0])


def test_a_pinned_file_stays_open_whatever_is_opened(tmp_path: Path) -> None:
    found, paths = handles(tmp_path, 1, 2)
    pinned = found.pin(paths[0])
    for number in range(5):
        found.get(str(tmp_path / f"g{number}"), create=True)
    pinned.append((b"still open",))
    found.unpin(paths[0], pinned)
    assert paths[0] not in found.disk.closed  # type: ignore[attr-defined]


def test_a_forgotten_file_is_closed_when_its_last_pin_goes(tmp_path: Path) -> None:
    found, paths = handles(tmp_path, 1, 2)
    pinned = found.pin(paths[0])
    assert found.pin(paths[0]) is pinned
    found.forget(paths[0])
    pinned.sync()
    found.unpin(paths[0], pinned)
    pinned.sync()
    assert found.disk.closed == []  # type: ignore[attr-defined]
    found.unpin(paths[0], pinned)
    assert found.disk.closed == [paths[0]]  # type: ignore[attr-defined]


def test_a_new_file_of_the_name_is_not_taken_for_the_pinned_one(tmp_path: Path) -> None:
    found, paths = handles(tmp_path, 1, 2)
    pinned = found.pin(paths[0])
    found.forget(paths[0])
    found.disk.unlink(paths[0])
    other = found.get(paths[0], create=True)
    assert other is not pinned
    other.append((b"new",))
    found.unpin(paths[0], pinned)
    assert other.pread(0, 3) == b"new"


def test_closing_all(tmp_path: Path) -> None:
    found, paths = handles(tmp_path, 3, 5)
    found.close_all()
    assert sorted(found.disk.closed) == paths  # type: ignore[attr-defined]
    assert len(found) == 0
