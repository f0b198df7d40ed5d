"""What a client asks of any broker is decided by the controller, wherever that is."""

from __future__ import annotations

import pytest

from tests.support.broker_cluster import brokers
from wire.errors import ErrorCode
from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest

pytestmark = pytest.mark.anyio
E = ErrorCode


def creation(*names: str, factor: int = 1, timeout_ms: int = 30_000) -> CreateTopicsRequest:
    return CreateTopicsRequest(
        topics=[CreatableTopic(name=n, num_partitions=2, replication_factor=factor) for n in names],
        timeout_ms=timeout_ms,
    )


@pytest.mark.parametrize("version", range(2, 8))
async def test_a_topic_is_created_through_any_broker(version: int) -> None:
    async with brokers(1, 2) as cluster:
        (other,) = cluster.others
        answer = await other.ask(creation("t", factor=2), version)
        assert [t.error_code for t in answer.topics] == [E.NONE]
        assert "t" in other.image.topics, "the broker that answers knows of it"
        again = await other.ask(creation("t"), version)
        assert [t.error_code for t in again.topics] == [E.TOPIC_ALREADY_EXISTS]
