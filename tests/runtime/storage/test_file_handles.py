"""Open files are bounded, and none is closed under those who use it."""

from __future__ import annotations

from pykbroker.edges.memory_disk import MemoryDisk
from pykbroker.runtime.storage.handles import FileHandles


def test_the_least_recently_used_is_closed_first() -> None:
    handles = FileHandles(MemoryDisk(), capacity=2)
    handles.disk.mkdir("/d")
    for name in ("a", "b", "c"):
        handles.get(f"/d/{name}", create=True)
    assert len(handles) == 2


def test_a_new_handle_is_usable_when_all_others_are_pinned() -> None:
    handles = FileHandles(MemoryDisk(), capacity=2)
    handles.disk.mkdir("/d")
    for name in ("a", "b"):
        handles.get(f"/d/{name}", create=True)
        handles.pin(f"/d/{name}")
    newest = handles.get("/d/c", create=True)
    assert handles.get("/d/c") is newest
    newest.append([b"still open"])
    assert handles.pin("/d/c").pread(0, 10) == b"still open"
