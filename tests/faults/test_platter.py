"""A power cut takes back what was not synced, now and then, and never anything else."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.faults.journaled import Journal, JournaledDisk
from tests.faults.platter import Platter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEEDS = range(40)


class Box:
    """A directory of its own for each seed."""

    def __init__(self, tmp_path: Path, seed: int) -> None:
        self.data = tmp_path / f"data-{seed}"
        self.data.mkdir(parents=True)
        self.journals = tmp_path / f"journals-{seed}"
        self.disk = JournaledDisk(Journal(str(self.journals)))

    def path(self, name: str) -> str:
        return str(self.data / name)

    def cut(self, seed: int) -> None:
        Platter(self.journals, self.data).cut_power(Random(seed))
        self.disk = JournaledDisk(Journal(str(self.journals)))

    def held(self, name: str) -> bytes | None:
        path = self.data / name
        return path.read_bytes() if path.exists() else None


def after_cuts(tmp_path: Path, use: Callable[[Box], None]) -> list[Box]:
    boxes = []
    for seed in SEEDS:
        box = Box(tmp_path, seed)
        use(box)
        box.cut(seed)
        boxes.append(box)
    return boxes


def append(box: Box, name: str, data: bytes, *, sync: bool) -> None:
    file = box.disk.open(box.path(name), create=True)
    file.append((data,))
    if sync:
        file.sync()
    file.close()


def named(box: Box) -> None:
    box.disk.sync_dir(str(box.data))


def test_what_is_synced_stays_and_the_rest_may_be_cut_or_garbage(tmp_path: Path) -> None:
    def use(box: Box) -> None:
        append(box, "log", b"held", sync=True)
        named(box)
        append(box, "log", b" and not", sync=False)

    found = {box.held("log") for box in after_cuts(tmp_path, use)}
    assert all(data is not None and data.startswith(b"held") for data in found)
    assert {b"held", b"held and not"} <= found
    assert any(not b"held and not".startswith(data) for data in found if data), "no garbage"


def test_a_name_stays_once_its_directory_is_synced(tmp_path: Path) -> None:
    def use(box: Box) -> None:
        append(box, "named", b"x", sync=True)
        named(box)
        append(box, "unnamed", b"x", sync=True)

    boxes = after_cuts(tmp_path, use)
    assert {box.held("named") for box in boxes} == {b"x"}
    assert {box.held("unnamed") for box in boxes} == {b"x", None}


def test_what_was_cut_off_comes_back_until_the_file_is_synced(tmp_path: Path) -> None:
    def use(box: Box, *, sync: bool) -> None:
        append(box, "log", b"old old", sync=True)
        named(box)
        file = box.disk.open(box.path("log"))
        file.truncate(4)
        file.append((b"n",))
        if sync:
            file.sync()

    unsynced = after_cuts(tmp_path / "1", lambda box: use(box, sync=False))
    assert {b"old old", b"old ", b"old n"} <= {box.held("log") for box in unsynced}
    synced = after_cuts(tmp_path / "2", lambda box: use(box, sync=True))
    assert {box.held("log") for box in synced} == {b"old n"}


def test_a_file_written_at_once_is_the_new_one(tmp_path: Path) -> None:
    def use(box: Box) -> None:
        box.disk.write_atomic(box.path("checkpoint"), b"old")
        box.disk.write_atomic(box.path("checkpoint"), b"new")

    assert {box.held("checkpoint") for box in after_cuts(tmp_path, use)} == {b"new"}


@pytest.mark.parametrize("synced", [False, True])
def test_names_that_changed_change_back_until_the_directory_is_synced(
    tmp_path: Path, synced: bool
) -> None:
    def use(box: Box) -> None:
        for name in ("moved", "over", "removed"):
            append(box, name, name.encode(), sync=True)
        box.disk.mkdir(box.path("folder/below"))
        append(box, "folder/below/file", b"deep", sync=True)
        named(box)
        box.disk.sync_dir(box.path("folder/below"))
        box.disk.rename(box.path("moved"), box.path("over"))
        box.disk.unlink(box.path("removed"))
        box.disk.rmtree(box.path("folder"))
        if synced:
            named(box)

    found = {
        tuple(box.held(name) for name in ("moved", "over", "removed", "folder/below/file"))
        for box in after_cuts(tmp_path, use)
    }
    done = (None, b"moved", None, None)
    assert done in found
    if synced:
        assert found == {done}
    else:
        assert (b"moved", b"over", b"removed", b"deep") in found
        assert (None, b"moved", b"removed", b"deep") in found


def test_what_the_last_cut_left_is_durable(tmp_path: Path) -> None:
    def use(box: Box) -> None:
        append(box, "log", b"one", sync=True)
        named(box)
        append(box, "log", b"two", sync=False)
        box.cut(1)
        append(box, "log", b"three", sync=False)

    for box in after_cuts(tmp_path, use):
        held = box.held("log")
        assert held is not None
        assert held.startswith(b"one")
