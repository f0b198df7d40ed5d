"""Retries: what repeats, what does not, and in which order. These pause brokers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from compat.behaviours.durability import leader_of, values_in
from compat.client import PATIENCE_MS
from compat.suite import behaviour, holds, same

if TYPE_CHECKING:
    from compat.case import Case

COUNT = 400
PAUSE_SECONDS = 4.0
IMPATIENT: dict[str, Any] = {
    "request_timeout_ms": 1500,
    "delivery_timeout_ms": 60_000,
    "linger_ms": 0,
}


def _send_while_the_leader_pauses(case: Case, topic: str, **config: Any) -> dict[str, int]:
    """The client asks again for what the paused leader has in its socket, and will do too."""
    producer = case.producer(prefer=IMPATIENT, **config)
    producer.put(topic, b"warm", partition=0)
    leader = leader_of(case, topic)
    case.control.pause(leader)
    try:
        sending = producer.begin_fill(topic, COUNT, size=50, partition=0, prefix="r")
        time.sleep(PAUSE_SECONDS)
    finally:
        case.control.resume(leader)
    done: dict[str, int] = sending.result(2 * PATIENCE_MS / 1000)["result"]
    return done


def _numbers(values: list[bytes | None]) -> list[int]:
    return [int(v.split(b".")[0].split(b"-")[1]) for v in values if v and v.startswith(b"r-")]


@behaviour(
    "enable.idempotence: the producer will ensure that exactly one copy of each message is "
    "written in the stream, across retries, and in order with five requests in flight.",
    needs="produce read idempotent",
    control=True,
    seconds=300,
)
def idempotence_across_a_forced_retry(case: Case) -> None:
    topic = case.topic()
    done = _send_while_the_leader_pauses(case, topic, idempotent=True, acks=-1)
    same("failed", done["failed"], 0)
    same("each once, in order", _numbers(values_in(case, topic)), list(range(COUNT)))


@behaviour(
    "max.in.flight.requests.per.connection=1: order is kept under retries, though records may be "
    "repeated.",
    needs="produce read",
    control=True,
    seconds=300,
)
def order_with_one_in_flight(case: Case) -> None:
    topic = case.topic()
    plain: dict[str, Any] = {"idempotent": False} if case.offers("idempotent") else {}
    done = _send_while_the_leader_pauses(case, topic, max_in_flight=1, acks=-1, **plain)
    numbers = _numbers(values_in(case, topic))
    firsts = list(dict.fromkeys(numbers))
    same("first appearances are in order", firsts, sorted(firsts))
    holds("whatever was acknowledged is there", len(firsts) >= done["acked"], done)
