"""CRC-32C, the checksum of record batches since message format 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastcrc.crc32 import iscsi

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Buffer

# The extension's own function: a Python frame around it would cost half of a small batch's check.
crc32c: Callable[[Buffer], int] = iscsi
