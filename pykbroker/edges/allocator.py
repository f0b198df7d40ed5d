"""The C library's allocator, told to keep what large requests and answers will need again.

Left alone, glibc gives the memory of a freed buffer of a megabyte back to the system and faults
the next one in page by page: most of what such a fetch costs (decisions/0012). The price is what
may stay resident behind a peak: ``KEPT_BYTES``.
"""

from __future__ import annotations

import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
HEAP_BELOW_BYTES = 4 * 1024 * 1024
"""Smaller buffers come from the heap; larger ones are mapped one by one, and returned at once."""
KEPT_BYTES = 16 * 1024 * 1024
"""Free memory at the end of the heap that is not returned."""


def keep_freed_memory() -> bool:
    """Whether it was done: it takes glibc, and somebody who has not set its limits himself.

    For the whole process, so only the command may call it; and late, since ``ctypes`` takes a few
    milliseconds to import.
    """
    if sys.platform != "linux" or _is_set_already():
        return False
    try:
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
    except (ImportError, OSError, AttributeError):  # Another C library.
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, HEAP_BELOW_BYTES)) and bool(
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    )


def _is_set_already() -> bool:
    return "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "") or any(
        name in os.environ for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    )
