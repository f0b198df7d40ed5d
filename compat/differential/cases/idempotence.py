"""Producers with ids: sequences, epochs, duplicates; InitProducerId."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.differential.batches import batch
from compat.differential.cases.produce import produce, stored
from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk

SOME = (3, 5, 9, 12, 13)


def new_id(t: Talk, version: int = 4) -> tuple[int, int]:
    body = {"transactional_id": None, "transaction_timeout_ms": 60000}
    answer: Body = {}

    def told() -> bool:  # Kafka has none while its next block of ids is on the way
        answer.update(t.quiet("init_producer_id", version, body))
        return int(answer["error_code"]) == 0

    t.until(told, "a producer id")
    t.names.give("producer", answer["producer_id"], "the producer")
    return answer["producer_id"], answer["producer_epoch"]


def send(
    t: Talk,
    v: int,
    topic: str,
    producer: tuple[int, int],
    sequence: int,
    *values: bytes,
    **how: Any,
) -> Body:
    records = batch(
        *(values or (b"x",)),
        producer_id=producer[0],
        producer_epoch=producer[1],
        base_sequence=sequence,
    )
    label = how.pop("label", f"epoch {producer[1]} sequence {sequence}")
    return produce(t, v, topic, records, label=label, **how)


@case("idempotence/in-order", api="produce", versions=SOME.__contains__)
def in_order(t: Talk, v: int) -> None:
    topic, producer = t.topic(), new_id(t)
    send(t, v, topic, producer, 0, b"a", b"b", b"c")
    send(t, v, topic, producer, 3)
    send(t, v, topic, producer, 4, acks=1)
    stored(t, topic)
    t.ask("describe_producers", 0, {"topics": [{"name": topic, "partition_indexes": [0]}]})


@case("idempotence/duplicates", api="produce", versions=SOME.__contains__)
def duplicates(t: Talk, v: int) -> None:
    topic, producer = t.topic(), new_id(t)
    for sequence in range(7):
        send(t, v, topic, producer, sequence)
    for sequence in (6, 5, 4, 3, 2, 1, 0):
        send(t, v, topic, producer, sequence, label=f"again {sequence}")
    send(t, v, topic, producer, 7, label="and on")
    send(t, v, topic, producer, 6, b"x", b"y", label="longer than before")
    stored(t, topic)


@case("idempotence/out-of-order", api="produce", versions=SOME.__contains__)
def out_of_order(t: Talk, v: int) -> None:
    topic, producer = t.topic(), new_id(t)
    send(t, v, topic, producer, 5, label="first of all 5")
    send(t, v, topic, producer, 6, label="after it")
    send(t, v, topic, producer, 9, label="gap")
    send(t, v, topic, producer, 3, label="before the first")
    send(t, v, topic, producer, 7, label="as expected")


@case("idempotence/epochs", api="produce", versions=SOME.__contains__)
def epochs(t: Talk, v: int) -> None:
    topic, (producer, epoch) = t.topic(), new_id(t)
    send(t, v, topic, (producer, epoch), 0)
    send(t, v, topic, (producer, epoch + 2), 1, label="newer epoch, sequence 1")
    send(t, v, topic, (producer, epoch + 2), 0, label="newer epoch, sequence 0")
    send(t, v, topic, (producer, epoch), 1, label="older epoch")
    send(t, v, topic, (producer, epoch + 1), 0, label="older epoch from 0")
    send(t, v, topic, (producer, epoch + 2), 1, label="and on")
    send(t, v, topic, (producer, -1), 0, label="epoch -1")
    stored(t, topic)


@case("idempotence/last-sequence", api="produce", versions=SOME.__contains__)
def last_sequence(t: Talk, v: int) -> None:
    topic, producer = t.topic(), new_id(t)
    send(t, v, topic, producer, 2**31 - 2, label="the last but one")
    send(t, v, topic, producer, 2**31 - 1, b"x", b"y", label="across the end")
    send(t, v, topic, producer, 1, label="behind it")
    send(t, v, topic, producer, 2**31 - 1, b"x", b"y", label="across the end again")


@case("idempotence/unknown-id", api="produce", versions=SOME.__contains__)
def unknown_id(t: Talk, v: int) -> None:
    topic = t.topic()
    send(t, v, topic, (2**40, 0), 0)
    send(t, v, topic, (2**40 + 1, 0), 3)
    send(t, v, topic, (2**40 + 2, 7), 3)
    send(t, v, topic, (2**40 + 3, 7), -1)


@case("idempotence/after-records-were-deleted", api="produce", versions=SOME.__contains__)
def after_delete_records(t: Talk, v: int) -> None:
    topic, producer = t.topic(), new_id(t)
    send(t, v, topic, producer, 0)
    partition = {"partition_index": 0, "offset": -1}
    body = {"topics": [{"name": topic, "partitions": [partition]}], "timeout_ms": 9000}
    t.ask("delete_records", 2, body)
    send(t, v, topic, producer, 1, label="and on")
    send(t, v, topic, producer, 0, label="again")
    send(t, v, topic, producer, 3, label="gap")


@case("idempotence/partitions-apart", api="produce", versions=SOME.__contains__)
def partitions_apart(t: Talk, v: int) -> None:
    topic, producer = t.topic(2), new_id(t)
    send(t, v, topic, producer, 0)
    send(t, v, topic, producer, 0, partition=1, label="other partition")
    send(t, v, topic, producer, 2, partition=1, label="other partition, gap")
    wanted = {"name": topic, "partition_indexes": [0, 1, 2]}
    t.ask("describe_producers", 0, {"topics": [wanted, {"name": "", "partition_indexes": [0]}]})


@case("init-producer-id/new", api="init_producer_id")
def init_new(t: Talk, v: int) -> None:
    body: Body = {"transactional_id": None, "transaction_timeout_ms": 60000}
    t.ask("init_producer_id", v, body)
    t.ask("init_producer_id", v, body)
    for timeout in (0, -1, 2**31 - 1):
        t.ask("init_producer_id", v, body | {"transaction_timeout_ms": timeout})


@case("init-producer-id/known", api="init_producer_id", versions=lambda v: v >= 3)
def init_known(t: Talk, v: int) -> None:
    producer, epoch = new_id(t)
    body: Body = {"transactional_id": None, "transaction_timeout_ms": 60000}
    for label, fields in {
        "its own": {"producer_id": producer, "producer_epoch": epoch},
        "wrong epoch": {"producer_id": producer, "producer_epoch": epoch + 3},
        "no epoch": {"producer_id": producer, "producer_epoch": -1},
        "no id": {"producer_id": -1, "producer_epoch": 3},
        "unknown": {"producer_id": 2**41, "producer_epoch": 0},
        "id -2": {"producer_id": -2, "producer_epoch": 0},
    }.items():
        t.ask("init_producer_id", v, body | fields, label=label)


@case("init-producer-id/transactional-id", api="init_producer_id")
def init_transactional(t: Talk, v: int) -> None:
    for transactional_id in (t.name(), ""):
        body = {"transactional_id": transactional_id, "transaction_timeout_ms": 60000}
        t.ask("init_producer_id", v, body, label=f"{'empty' if not transactional_id else 'id'}")
