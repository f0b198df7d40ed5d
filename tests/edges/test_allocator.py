"""Memory of large buffers is not returned to the system between one and the next."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

LIMITS = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
BUFFERS = """
import resource
from pykbroker.edges.allocator import keep_freed_memory

def faults():
    # Several alive at a time, as of clients; a heap with one at its end is not trimmed.
    for _ in range(3):
        held = [b"x" * 1_000_000 for _ in range(8)]
        del held
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        held = [b"x" * 1_000_000 for _ in range(8)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), int(keep_freed_memory()), faults())
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


def run(**limits: str) -> tuple[int, bool, int]:
    environment = {name: value for name, value in os.environ.items() if name not in LIMITS}
    done = subprocess.run(
        [sys.executable, "-c", BUFFERS],
        env=environment | limits,
        capture_output=True,
        text=True,
        check=True,
    )
    before, was_done, after = map(int, done.stdout.split())
    return before, bool(was_done), after


@glibc
def test_large_buffers_take_the_memory_of_those_before_them() -> None:
    before, was_done, after = run()
    assert was_done
    assert after < before / 10


@glibc
@pytest.mark.parametrize(
    "limits",
    [
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"MALLOC_MMAP_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"},
    ],
)
def test_limits_that_somebody_has_set_stand(limits: dict[str, str]) -> None:
    _, was_done, _ = run(**limits)
    assert not was_done


def test_the_module_costs_nothing_until_it_acts() -> None:
    script = "import sys, pykbroker.edges.allocator; print('ctypes' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
