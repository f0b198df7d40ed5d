"""The page of figures: taken and written on the loop in small pieces, others having their turns.

Not in a worker: a thread that makes a large page takes the interpreter from the loop for five
milliseconds at a time. What a worker does is to import prometheus_client with the first scrape, as
that costs more than the whole broker to start, and to read what the system tells of the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio.lowlevel

from pykbroker.runtime.figures.process import process_samples
from pykbroker.runtime.figures.table import family_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

    from pykbroker.ports import Clock, Workers
    from pykbroker.runtime.figures.table import Sample

T = TypeVar("T")
Series = tuple[tuple[str, ...], float]
"""Label values, value."""

TURN_NS = 1_000_000
"""A page is worked on for so long, then others have their turn."""
_LOOK_EVERY = 16
SERIES_PER_PIECE = 32


async def collect(
    steps: Iterable[T | None], clock: Clock, *, look_every: int = _LOOK_EVERY
) -> list[T]:
    """All of them but the places to pause. The broker goes on meanwhile: the figures of one
    partition are of one moment, those of two are not."""
    found: list[T] = []
    until = clock.monotonic_ns() + TURN_NS
    for count, step in enumerate(steps):
        if step is not None:
            found.append(step)
        if not count % look_every and clock.monotonic_ns() >= until:
            await anyio.lowlevel.checkpoint()
            until = clock.monotonic_ns() + TURN_NS
    return found


async def page(
    samples: Iterable[Sample | None], accept: str, clock: Clock, workers: Workers
) -> tuple[str, bytes]:
    """(content type, body) in the format that the scraper asked for."""
    own, told = await workers.run(_process)
    writing = _Writing(accept)
    for found in (samples, own):
        await collect(writing.steps(found), clock, look_every=4)
    return writing.content_type, b"".join(await collect(writing.pieces(told), clock, look_every=1))


def render(samples: Iterable[Sample], accept: str) -> tuple[str, bytes]:
    """The same at once, of these alone."""
    writing = _Writing(accept)
    for _ in writing.steps(samples):
        pass
    return writing.content_type, b"".join(writing.pieces([]))


def _process() -> tuple[list[Sample], list[Metric]]:
    """In a worker."""
    from prometheus_client import CollectorRegistry, ProcessCollector

    return list(process_samples()), list(ProcessCollector(registry=CollectorRegistry()).collect())


class _Writing:
    """A page in the making. Samples are made text as soon as there are some of a family: tens of
    thousands of them, kept, would have the garbage collector look at everything there is."""

    def __init__(self, accept: str) -> None:
        from prometheus_client.exposition import choose_encoder

        self._encoder, self.content_type = choose_encoder(accept)
        self._ending = self._encoder(_Family())
        self._pending: dict[str, list[Series]] = {}
        """By name, the families in the order in which they came."""
        self._done: dict[str, list[bytes]] = {}
        self._bare: dict[str, float] = {}
        """Series without labels; those of one name are summed."""

    def steps(self, samples: Iterable[Sample | None]) -> Iterator[None]:
        """All of them are taken, with places to pause."""
        for sample in samples:
            if sample is not None:
                self._add(*sample)
            yield None

    def _add(self, name: str, labels: tuple[str, ...], value: float) -> None:
        pending = self._pending.get(name)
        if pending is None:
            pending = self._pending[name] = []
        if not labels:
            self._bare[name] = self._bare.get(name, 0) + value
            return
        pending.append((labels, value))
        if len(pending) >= SERIES_PER_PIECE:
            self._write(name, pending)
            pending.clear()

    def _write(self, name: str, series: list[Series]) -> None:
        piece = self._encoder(_Family(_metric(name, series))).removesuffix(self._ending)
        done = self._done.get(name)
        if done is None:
            self._done[name] = [piece]
        else:
            done.append(_without_head(piece))

    def pieces(self, more: list[Metric]) -> Iterator[bytes]:
        """The whole page, and ``more``."""
        for name, pending in self._pending.items():
            if name in self._bare:
                pending.append(((), self._bare[name]))
            if pending:
                self._write(name, pending)
            yield from self._done[name]
        for metric in more:
            yield self._encoder(_Family(metric)).removesuffix(self._ending)
        yield self._ending


class _Family:
    """What an encoder takes: here at most one metric."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _metric(name: str, series: Iterable[Series]) -> Metric:
    from prometheus_client import Metric

    family = family_of(name)
    is_counter = family.type == "counter"
    # The formats know counters by their ending; what is Kafka's own _count has no type there.
    type_ = "unknown" if is_counter and not name.endswith("_total") else family.type
    metric = Metric(name.removesuffix("_total"), family.help, type_)
    for labels, value in series:
        metric.add_sample(name, dict(zip(family.labels, labels, strict=False)), value)
    return metric


def _without_head(piece: bytes) -> bytes:
    """Help and type of a family stand once."""
    position = 0
    while piece.startswith(b"#", position):
        position = piece.index(b"\n", position) + 1
    return piece[position:]
