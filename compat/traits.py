"""What single clients do in their own way, whatever the broker: found with Apache Kafka too.

A behaviour that a client cannot show for such a reason is not run with it; the matrix says so.
"""

from __future__ import annotations

TRAITS: dict[tuple[str, str], str] = {
    ("aiokafka", "cleaning/compacted topics need keys"): (
        "has no name for errors since INVALID_RECORD: they are unknown to it"
    ),
    ("sarama", "offsets/position out of range"): (
        "has no auto.offset.reset where it reads without a group: it reports the error"
    ),
    ("kafka-go", "ordering/same key same partition"): (
        "spreads records over partitions in turn, whatever their keys, unless told otherwise"
    ),
    ("kafka-go", "records/null and empty"): "makes empty keys and values null",
    ("confluent-javascript", "records/null and empty"): "makes empty keys and values null",
    ("platformatic", "commits/commit of a stale generation"): (
        "joins again by itself when a commit is refused, and commits as the new member"
    ),
    ("platformatic", "records/log append time"): (
        "reckons with the producer's timestamps whatever the type that the batch names"
    ),
    ("platformatic", "records/partition that is not there"): (
        "takes the number of a partition modulo how many there are"
    ),
    ("platformatic", "durability/coordinator that dies"): (
        "asks the leader that it knew for three seconds, and fails the record"
    ),
    ("platformatic", "durability/clean stop of the leader"): (
        "asks the leader that it knew for three seconds, and fails the record"
    ),
    ("platformatic", "offsets/position out of range"): (
        "ends its stream with the error where others reset"
    ),
    ("kafka-go", "administration/validate only"): (
        "waits for the topic that validateOnly did not make"
    ),
    ("kafka-go", "commits/commit of a stale generation"): (
        "keeps a commit that comes between two generations, and commits it as a member of the next"
    ),
    ("kafka-go", "records/headers"): "makes empty headers null",
    ("kafka-go", "records/log append time"): "tells the producer's time of such records",
}
"""By client and behaviour; each completes the sentence "the client ..."."""
