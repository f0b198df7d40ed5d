"""Record batches and payloads, made once and outside of what is timed."""

from __future__ import annotations

import functools
import random
import time

from kafka.record.default_records import DefaultRecordBatchBuilder

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
WORDS = (
    b"order shipment customer created updated cancelled amount currency warehouse north south "
    b"pending retry invoice payment card session visit click cart item price total discount"
).split()
POOL = 64
NOW_MS = int(time.time() * 1000)
"""Of all records: retention leaves them alone."""


@functools.cache
def payloads(size: int) -> tuple[bytes, ...]:
    """Values of ``size`` bytes, all different, which compress about as JSON events do."""
    source = random.Random(size)
    values = []
    for _ in range(POOL):
        text = bytearray()
        while len(text) < size:
            text += b'{"%s":"%s","id":%d},' % (
                source.choice(WORDS),
                source.choice(WORDS),
                source.getrandbits(40),
            )
        values.append(bytes(text[:size]))
    return tuple(values)


@functools.cache
def batch(
    records: int, size: int, codec: str = "none", timestamp: int = 1_700_000_000_000
) -> bytes:
    """One batch (format 2) of ``records`` values of ``size`` bytes, as a producer sends it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=CODECS[codec],
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    pool = payloads(size)
    for offset in range(records):
        builder.append(offset, NOW_MS, None, pool[offset % POOL], [])
    return bytes(builder.build())
