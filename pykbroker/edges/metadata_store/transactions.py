"""What both stores in this process make of a transaction's operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.ports import Delete, Put

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_operations(operations: Sequence[Put | Delete], limit: int) -> None:
    """Misuse by the caller, told apart from a transaction that is refused."""
    if len(operations) > limit:
        raise ValueError(f"{len(operations)} operations in one transaction; the limit is {limit}")
    if len({operation.key for operation in operations}) != len(operations):
        raise ValueError("a key appears twice in one transaction")


def leases_of(operations: Sequence[Put | Delete]) -> set[int]:
    return {o.lease for o in operations if isinstance(o, Put) and o.lease}
