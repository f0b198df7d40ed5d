"""Strategies and short hands of the record tests."""

from __future__ import annotations

import warnings

from hypothesis import strategies as st

from wire.records.compression import Compression
from wire.records.record import Record

with warnings.catch_warnings():
    # kafka-python reads its schemas in a way that newer Pythons deprecate.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.record import default_records as kafka_python
    from kafka.record import legacy_records as kafka_python_legacy

__all__ = [
    "BASE_TIMESTAMP",
    "CODECS",
    "kafka_python",
    "kafka_python_legacy",
    "record_lists",
    "some_records",
    "without_headers",
]

CODECS = list(Compression)
BASE_TIMESTAMP = 1_700_000_000_000

payloads = st.none() | st.binary(max_size=200)
timestamps = st.integers(-1, 2**62)
names = st.text(max_size=12)
headers = st.lists(st.tuples(names, payloads), max_size=3)


@st.composite
def record_lists(
    draw: st.DrawFn, *, with_headers: bool = True, gaps: bool = False, timed: bool = False
) -> list[Record]:
    """Records numbered from 0, or rising with gaps; all of them ``timed``, or some without."""
    size = draw(st.integers(1, 12))
    offset = draw(st.integers(0, 2**20)) if gaps else 0
    moments = st.integers(0, 2**62) if timed else timestamps
    found = []
    for _ in range(size):
        own = draw(headers) if with_headers else []
        found.append(Record(offset, draw(moments), draw(payloads), draw(payloads), own))
        offset += draw(st.integers(1, 1000)) if gaps else 1
    return found


def some_records(count: int = 5, *, base_offset: int = 0) -> list[Record]:
    """A few records of every sort: no key, no value, headers, one of more than 64 bytes."""
    return [
        Record(
            base_offset + i,
            BASE_TIMESTAMP + i * 100,
            None if i % 3 == 2 else b"key-%d" % i,
            None if i % 4 == 3 else b"value " * (i * 5 % 40),
            [("trace", b"\x01\x02"), ("empty", None)] if i % 2 else [],
        )
        for i in range(count)
    ]


def without_headers(records: list[Record]) -> list[Record]:
    return [Record(r.offset, r.timestamp, r.key, r.value) for r in records]
