"""The recorded history of a run: one JSON line for each operation, and for each attempt of one.

What a line holds, beside ``f`` (its kind), ``proc`` (who did it), ``t0`` and ``t1`` (when it began
and ended, this machine's monotonic nanoseconds, so that real-time order is exact) and ``res``
(``ok``; ``fail``: certainly without effect; ``info``: nobody knows):

    config       unclean, seed, floors {name: least}, bounds {name: seconds}
    send         tp, val or vals (one batch), key or keys (only in a compacted topic), acks, off
                 of the first, idem, pid, epoch, seq, txn; bare: every attempt of this producer has
                 a line of its own
    poll         recs {tp: [[off, leader epoch, val], ...]}, assign (which assignment of proc),
                 group, iso (read_committed), final: the reading of everything after the end
    end_of_log   tp, start, end: where the final reading began and ended
    commit       group, offsets {tp: off}, gen
    committed    group, offsets {tp: off or -1}
    drained      group, ends {tp: off}: it has read so far
    assign       group, gen, owned [tp, ...]
    list_offsets tp, earliest, latest, lso, epoch
    metadata     broker, parts {tp: [leader, leader epoch, [replica, ...], [isr, ...]]}
    store        tp, leader, leader_epoch, partition_epoch, isr, replicas, controller_epoch
    dump         broker, tp, start, hw, end, epochs [[epoch, start], ...], rest (nothing is going
                 on any more), batches [[base, last, epoch, crc, pid, producer epoch, seq], ...];
                 in their place, of a compacted topic, records [[off, epoch, val, key], ...]
    admin        do (create, delete, partitions, config, reassign, elect), topic, broker (who was
                 asked), count, configs, partition, replicas, final (after the last fault)
    admin_seen   topic, broker, there, count, configs, moving [partition, ...], parts {partition:
                 [replica, ...]}, final (nothing is asked for any more)
    txn          txn, end (commit or abort)
    fault        kind, target, on (it begins or ends); healed marks the last one's end
    sample       broker, rss, fds, when (start or end)
    trouble      broker, text: a line in a log that must not be there

A value is ``producer.counter`` and is sent once, whatever that takes; a partition is
``topic-number``.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

OK, FAIL, INFO = "ok", "fail", "info"

now = time.monotonic_ns

CERTAIN_FAILURES = frozenset(
    {
        "NOT_ENOUGH_REPLICAS",
        "MESSAGE_TOO_LARGE",
        "RECORD_LIST_TOO_LARGE",
        "INVALID_RECORD",
        "CORRUPT_MESSAGE",
        "TOPIC_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        "INVALID_REQUIRED_ACKS",
        "OUT_OF_ORDER_SEQUENCE_NUMBER",
        "INVALID_PRODUCER_EPOCH",
        "INVALID_TXN_STATE",
        "NOT_CONNECTED",
    }
)
"""Raised before anything is appended. NOT_CONNECTED: refused before a byte was sent."""
APPENDED_MAYBE = frozenset({"NOT_LEADER_OR_FOLLOWER", "UNKNOWN_TOPIC_OR_PARTITION"})
"""Also given up by who waits for the replicas, so certain only where nobody waits."""


def outcome(error: str | None, acks: int) -> str:
    """What an attempt that ended with ``error`` proves."""
    if acks == 0:
        return INFO
    if error is None:
        return OK
    if error in CERTAIN_FAILURES or (error in APPENDED_MAYBE and acks == 1):
        return FAIL
    return INFO


FLUSH_NS = 10**9
"""So much of a history may be missing when its process is killed."""


class Recorder:
    """One process' history, written as it happens. May be shared by threads."""

    def __init__(self, path: Path, proc: str) -> None:
        self.proc = proc
        self._file = path.open("a", buffering=1 << 16)
        self._flush_ns = 0
        self._lock = threading.Lock()

    def write(self, f: str, t0: int, t1: int | None = None, **fields: Any) -> None:
        line = {"f": f, "proc": self.proc, "t0": t0, "t1": now() if t1 is None else t1} | fields
        text = json.dumps(line, separators=(",", ":"))
        with self._lock:
            self._file.write(text + "\n")
            if line["t1"] > self._flush_ns:
                self._file.flush()
                self._flush_ns = line["t1"] + FLUSH_NS

    def flush(self) -> None:
        with self._lock:
            self._file.flush()

    def close(self) -> None:
        with self._lock:
            self._file.close()
