"""Compression: every codec, between every pair of clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.client import Record
from compat.drivers import NAMES
from compat.suite import Unavailable, behaviour, holds, same

if TYPE_CHECKING:
    from compat.case import Case

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def _values(codec: str) -> list[bytes]:
    return [f"{codec}-{number}-".encode() * 40 for number in range(50)]


@behaviour(
    "compression.type: valid values are none, gzip, snappy, lz4, or zstd. What one client "
    "compresses every other reads.",
    needs="produce",
    seconds=600,
)
def every_codec_to_every_client(case: Case) -> None:
    codecs = [c for c in CODECS if c == "none" or case.offers(c)]
    topics = {}
    for codec in codecs:
        topics[codec] = case.topic()
        producer = case.producer(compression=codec, prefer={"linger_ms": 20})
        producer.send(
            *(Record(topic=topics[codec], value=value, partition=0) for value in _values(codec))
        )
        producer.close()
    readers = 0
    for name in NAMES:
        try:
            driver = case.peer(name)
        except Unavailable:
            continue
        offered = driver.capabilities
        if not offered & {"consume", "groups"}:
            continue
        readers += 1
        chosen = [codec for codec in codecs if codec == "none" or codec in offered]
        read = case.read_all(driver, [topics[codec] for codec in chosen], 50 * len(chosen))
        for codec in chosen:
            got = [record.value for record in read if record.topic == topics[codec]]
            same(f"{codec} read by {name}", got, _values(codec))
    holds("somebody read it", readers > 0)


@behaviour(
    "compression.type of a topic: the broker compresses again with another codec than the "
    "producer's.",
    needs="produce read gzip",
)
def the_topics_own_codec(case: Case) -> None:
    for codec in ("gzip", "uncompressed", "lz4", "zstd", "snappy"):
        if codec not in ("gzip", "uncompressed") and not case.offers(codec):
            continue
        topic = case.topic(compression_type=codec)
        producer = case.producer(compression="gzip", prefer={"linger_ms": 20})
        producer.put(topic, *_values(codec))
        got = [r.value for r in case.reader(topic).take(50)]
        same(f"a topic of {codec}", got, _values(codec))
