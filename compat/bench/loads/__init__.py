"""The loads, one module per family; each gives its cases, whole or quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.bench.loads import (
    connections,
    fanout,
    groups,
    latency,
    partitions,
    replicas,
    requests,
    starting,
    throughput,
)

if TYPE_CHECKING:
    from compat.bench.case import Case

FAMILIES = (
    starting,
    throughput,
    latency,
    requests,
    connections,
    partitions,
    fanout,
    groups,
    replicas,
)


def all_cases(*, quick: bool) -> list[Case]:
    return [case for family in FAMILIES for case in family.cases(quick=quick)]
