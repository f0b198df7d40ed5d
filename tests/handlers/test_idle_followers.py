"""A follower's fetch with nothing to say costs little, and still keeps the follower in sync."""

from __future__ import annotations

from typing import Any

import pytest

from pykbroker.handlers.registry import load_all
from tests.support.data_path import DataPath, broker_image, partition_image
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ReplicaState

load_all()
FOLLOWER, BROKER_EPOCH = 2, 12


class Talk:
    """A leader, and a follower of its one partition in a session."""

    def __init__(self) -> None:
        self.path = DataPath(brokers=(broker_image(1), broker_image(2)))
        self.id = self.path.create("t", [partition_image(replicas=(1, 2))])
        self.session, self.epoch = 0, 0

    def fetch(self, offset: int | None, *, last: int = -1, broker_epoch: int = BROKER_EPOCH) -> Any:
        """None: as said before."""
        topics = []
        if offset is not None:
            partition = FetchPartition(
                current_leader_epoch=0,
                fetch_offset=offset,
                last_fetched_epoch=last,
                log_start_offset=0,
                partition_max_bytes=1 << 20,
            )
            topics = [FetchTopic(topic_id=self.id, partitions=[partition])]
        request = FetchRequest(
            replica_state=ReplicaState(replica_id=FOLLOWER, replica_epoch=broker_epoch),
            min_bytes=1,
            session_id=self.session,
            session_epoch=self.epoch,
            topics=topics,
        )
        response = self.path.answer(request, 17)
        self.session = response.session_id
        self.epoch += 1
        return [p for topic in response.responses for p in topic.partitions]

    @property
    def follower(self) -> Any:
        return self.path.partition().state.followers[FOLLOWER]


@pytest.mark.parametrize("last", [-1, 0])
def test_an_idle_fetch_tells_nothing_and_counts_as_caught_up(last: int) -> None:
    talk = Talk()
    offset = 0
    if last >= 0:
        talk.path.append(b"one")
        offset = 1
    assert len(talk.fetch(offset, last=last)) == 1
    talk.fetch(None)
    talk.path.clock.advance(5_000)
    assert talk.fetch(None) == []
    now_ms = talk.path.clock.monotonic_ms()
    assert talk.follower.last_caught_up_ms == talk.follower.last_fetch_ms == now_ms


def test_after_an_append_the_next_fetch_brings_it() -> None:
    talk = Talk()
    talk.fetch(0)
    talk.fetch(None)
    talk.path.append(b"one")
    (data,) = talk.fetch(None)
    assert data.records
    assert talk.fetch(1, last=0) == []
    (data,) = talk.fetch(None)
    assert data.high_watermark == 1


def test_another_life_of_the_follower_is_not_taken_for_this_one() -> None:
    talk = Talk()
    talk.fetch(0)
    talk.path.brokers(broker_image(1), broker_image(2)._replace(epoch=99))
    before = talk.follower.last_fetch_ms
    talk.path.clock.advance(5_000)
    (data,) = talk.fetch(None)
    assert data.error_code
    assert talk.follower.last_fetch_ms == before


def test_who_is_not_in_sync_is_looked_at_in_full() -> None:
    talk = Talk()
    talk.fetch(0)
    out = partition_image(replicas=(1, 2), isr=(1,), version=1)
    talk.path.elect("t", out)
    talk.path.append(b"one")
    (data,) = talk.fetch(None)
    assert data.records
    assert talk.follower.log_end_offset == 0
