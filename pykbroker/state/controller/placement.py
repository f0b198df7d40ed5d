"""Where the replicas of new partitions go: striped over racks, and over brokers within racks.

No broker holds two replicas of a partition; a partition's first replica is on an unfenced broker;
fenced brokers come last within their rack. Each partition starts one rack and one broker further
than the one before it, from a random start; once every unfenced broker had its turn the order is
shuffled, so that followers do not always fall to the same neighbour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.state.controller.image import BrokerImage
    from pykbroker.state.seams import Random
    from pykbroker.state.types import NodeId

T = TypeVar("T")


def place(
    brokers: Iterable[BrokerImage], partitions: int, replication_factor: int, rng: Random
) -> list[tuple[NodeId, ...]]:
    """Replicas for each new partition, the preferred leader first.

    Brokers in controlled shutdown are passed over. Raises INVALID_REPLICATION_FACTOR.
    """
    usable = [broker for broker in brokers if not broker.in_controlled_shutdown]
    if replication_factor <= 0:
        _refuse(
            f"Invalid replication factor {replication_factor}: "
            "the replication factor must be positive."
        )
    if all(broker.fenced for broker in usable):
        _refuse("All brokers are currently fenced.")
    if replication_factor > len(usable):
        _refuse(
            f"The target replication factor of {replication_factor} cannot be reached because "
            f"only {len(usable)} broker(s) are registered."
        )
    stripes = _Stripes(usable, rng)
    return [stripes.next_partition(replication_factor) for _ in range(partitions)]


def _refuse(message: str) -> None:
    raise KafkaError(ErrorCode.INVALID_REPLICATION_FACTOR, message)


class _Ring:
    """Brokers of one rack in turn; each partition starts one further."""

    def __init__(self, nodes: list[NodeId], rng: Random) -> None:
        self.nodes = sorted(nodes)
        self._start = rng.randrange(len(nodes)) if nodes else 0
        self._taken = 0
        self._partition = 0

    def next(self, partition: int) -> NodeId | None:
        if partition != self._partition:
            self._partition = partition
            self._taken = 0
            self._start += 1
        if self._taken >= len(self.nodes):
            return None
        node = self.nodes[(self._start + self._taken) % len(self.nodes)]
        self._taken += 1
        return node


class _Rack:
    def __init__(self, brokers: list[BrokerImage], rng: Random) -> None:
        self.unfenced = _Ring([b.node_id for b in brokers if not b.fenced], rng)
        self.fenced = _Ring([b.node_id for b in brokers if b.fenced], rng)

    def next(self, partition: int) -> NodeId | None:
        node = self.unfenced.next(partition)
        return self.fenced.next(partition) if node is None else node


class _Stripes:
    def __init__(self, brokers: list[BrokerImage], rng: Random) -> None:
        self._rng = rng
        # No rack comes before every named one.
        names = sorted({b.rack for b in brokers}, key=lambda name: (name is not None, name))
        self._racks = [_Rack([b for b in brokers if b.rack == name], rng) for name in names]
        self._unfenced = sum(not b.fenced for b in brokers)
        self._start = rng.randrange(len(self._racks))
        self._partition = 0

    def next_partition(self, replication_factor: int) -> tuple[NodeId, ...]:
        if self._partition and self._partition % self._unfenced == 0 and self._unfenced > 1:
            self._shuffle()
        racks = self._racks[self._start :] + self._racks[: self._start]
        partition, self._partition = self._partition, self._partition + 1
        self._start = (self._start + 1) % len(self._racks)
        first = next(r for r in racks if r.unfenced.nodes)
        leader = first.unfenced.next(partition)
        assert leader is not None
        replicas = [leader]
        # The leader's rack has had its turn in the first round over the racks.
        turns = [rack for rack in racks if rack is not first]
        while len(replicas) < replication_factor:
            for rack in turns:
                node = rack.next(partition)
                if node is not None and len(replicas) < replication_factor:
                    replicas.append(node)
            turns = racks
        return tuple(replicas)

    def _shuffle(self) -> None:
        _shuffle(self._racks, self._rng)
        for rack in self._racks:
            _shuffle(rack.unfenced.nodes, self._rng)
            _shuffle(rack.fenced.nodes, self._rng)


def _shuffle(items: list[T], rng: Random) -> None:
    for index in range(len(items) - 1, 0, -1):
        other = rng.randrange(index + 1)
        items[index], items[other] = items[other], items[index]
