"""The loads, one module per family; each gives its cases, whole or quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.bench.loads import latency, requests, starting, throughput

if TYPE_CHECKING:
    from compat.bench.case import Case


def all_cases(*, quick: bool) -> list[Case]:
    return [
        case
        for family in (starting, throughput, latency, requests)
        for case in family.cases(quick=quick)
    ]
