"""The metadata store's keys: one key per fact.

Names that users choose are quoted, so that a key always has the same number of parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.image import ConfigResource, QuotaEntity
from pykbroker.state.types import NodeId, TopicId

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL = "/"
CLUSTER_ID = "/cluster_id"
CONTROLLER = "/controller"
CONTROLLER_EPOCH = "/controller_epoch"
PRODUCER_IDS = "/producer_ids"

TOPICS = "topics"
PARTITIONS = "partitions"
CONFIGS = "configs"
QUOTAS = "quotas"
FEATURES = "features"
BROKERS = "brokers"
REGISTRATIONS = "registrations"

_QUOTED: Mapping[int, str] = {ord(c): f"%{ord(c):02X}" for c in "%/,="}


def quote(text: str) -> str:
    return text.translate(_QUOTED)


def unquote(text: str) -> str:
    head, *rest = text.split("%")
    return head + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)


def topic_key(name: str) -> str:
    return f"/topics/{quote(name)}"


def partition_key(topic_id: TopicId, partition: int) -> str:
    return f"/partitions/{topic_id.hex()}/{partition}"


def config_key(resource: ConfigResource, name: str) -> str:
    return f"/configs/{resource.type}/{quote(resource.name)}/{quote(name)}"


def quota_key(entity: QuotaEntity, name: str) -> str:
    parts = (kind if value is None else f"{kind}={quote(value)}" for kind, value in entity.parts)
    return f"/quotas/{','.join(parts)}/{quote(name)}"


def feature_key(name: str) -> str:
    return f"/features/{quote(name)}"


def broker_key(node_id: int) -> str:
    """The broker's own word, under its lease; its create revision is the broker epoch."""
    return f"/brokers/{node_id}"


def registration_key(node_id: int) -> str:
    """The controller's word: what the cluster knows of a broker, alive or not."""
    return f"/registrations/{node_id}"


def split_key(key: str) -> tuple[str, list[str]]:
    """Kind and the rest, still quoted: ``/configs/2/a/b`` gives ``configs``, ``[2, a, b]``."""
    _, kind, *rest = key.split("/")
    return kind, rest


def partition_of(rest: list[str]) -> tuple[TopicId, int]:
    return TopicId(bytes.fromhex(rest[0])), int(rest[1])


def config_of(rest: list[str]) -> tuple[ConfigResource, str]:
    return ConfigResource(int(rest[0]), unquote(rest[1])), unquote(rest[2])


def quota_of(rest: list[str]) -> tuple[QuotaEntity, str]:
    parts = []
    for part in rest[0].split(","):
        kind, equals, name = part.partition("=")
        parts.append((kind, unquote(name) if equals else None))
    return QuotaEntity(tuple(parts)), unquote(rest[1])


def node_of(rest: list[str]) -> NodeId:
    return NodeId(int(rest[0]))
