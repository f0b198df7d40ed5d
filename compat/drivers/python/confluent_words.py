"""What librdkafka, and confluent-kafka on it, call settings and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from compat.drivers.python.kafka_errors import RETRIABLE, error_name
from compat.drivers.python.words import CommandError

if TYPE_CHECKING:
    from compat.drivers.python.buffer import Next
    from compat.drivers.python.words import Partition

_TIMEOUTS = (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE)
_DISCONNECTED = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._DESTROY,
)
_UNSUPPORTED = (KafkaError._UNSUPPORTED_FEATURE, KafkaError._NOT_IMPLEMENTED)
_FENCED = (KafkaError._FENCED, KafkaError._FATAL)
# What metadata said, under names of its own.
_UNKNOWN = (KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
_OWN = (
    dict.fromkeys(_TIMEOUTS, "TIMEOUT")
    | dict.fromkeys(_DISCONNECTED, "DISCONNECTED")
    | dict.fromkeys(_UNSUPPORTED, "UNSUPPORTED")
    | dict.fromkeys(_FENCED, "FENCED")
)


def explain_error(error: KafkaError) -> CommandError:
    number = KafkaError.UNKNOWN_TOPIC_OR_PART if error.code() in _UNKNOWN else error.code()
    is_kafkas = number >= KafkaError.UNKNOWN
    name = error_name(number) if is_kafkas else _OWN.get(number, "CLIENT")
    return CommandError(
        name,
        f"{error.name()}: {error.str()}",
        number=number if is_kafkas else None,
        retriable=error.retriable() or name in RETRIABLE,  # it says so of transactions alone
        fatal=error.fatal(),
    )


def explain(error: Exception) -> CommandError:
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return explain_error(error.args[0])
    return CommandError("CLIENT", f"{type(error).__name__}: {error}")


def to_commit(at: Partition, one: Next) -> TopicPartition:
    if one.leader_epoch is None:
        return TopicPartition(*at, one.offset, one.metadata)
    return TopicPartition(*at, one.offset, one.metadata, one.leader_epoch)
