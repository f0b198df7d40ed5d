"""A request that fails as a whole is answered in the shape of its success."""

from __future__ import annotations

import pytest

from pykbroker.handlers import registry
from pykbroker.handlers.error_response import error_response
from wire.apis import API_BY_KEY
from wire.codec import encode_response
from wire.errors import ErrorCode
from wire.messages.delete_groups import DeleteGroupsRequest
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ForgottenTopic
from wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData

NEWEST = 13
CODE = ErrorCode.UNKNOWN_SERVER_ERROR


def test_every_partition_asked_for_carries_the_error() -> None:
    partitions = [PartitionProduceData(index=i) for i in (3, 5)]
    request = ProduceRequest(topic_data=[TopicProduceData(name="t", partition_data=partitions)])
    response = error_response(request, CODE, None, NEWEST)
    (topic,) = response.responses  # type: ignore[attr-defined]
    assert topic.name == "t"
    assert [(p.index, p.error_code) for p in topic.partition_responses] == [(3, CODE), (5, CODE)]


def test_names_and_indexes_are_found_under_their_other_names() -> None:
    topic = ListOffsetsTopic(name="t", partitions=[ListOffsetsPartition(partition_index=7)])
    response = error_response(ListOffsetsRequest(topics=[topic]), CODE, None, 11)
    (answered,) = response.topics  # type: ignore[attr-defined]
    assert (answered.name, answered.partitions[0].partition_index) == ("t", 7)
    assert answered.partitions[0].error_code == CODE


def test_bare_ids_are_the_names_of_their_answers() -> None:
    response = error_response(DeleteGroupsRequest(groups_names=["a", "b"]), CODE, None, 2)
    results = response.results  # type: ignore[attr-defined]
    assert [(r.group_id, r.error_code) for r in results] == [("a", CODE), ("b", CODE)]


def test_a_bare_id_is_one_fields_value_only() -> None:
    request = FetchRequest(forgotten_topics_data=[ForgottenTopic(topic="t", partitions=[9])])
    for topic in error_response(request, CODE, None, NEWEST).responses:  # type: ignore[attr-defined]
        for partition in topic.partitions:
            assert partition.preferred_read_replica == -1
    request = FetchRequest(topics=[FetchTopic(topic="t", partitions=[FetchPartition(partition=4)])])
    (topic,) = error_response(request, CODE, None, 12).responses  # type: ignore[attr-defined]
    assert topic.partitions[0].partition_index == 4


def test_a_fetch_that_failed_has_no_offsets_and_no_records() -> None:
    request = FetchRequest(topics=[FetchTopic(topic="t", partitions=[FetchPartition(partition=4)])])
    (topic,) = error_response(request, CODE, None, 12).responses  # type: ignore[attr-defined]
    [part] = topic.partitions
    assert (part.error_code, part.high_watermark, part.records) == (CODE, -1, b"")
    # Where topics have ids for names, Kafka says nothing of them.
    assert error_response(request, CODE, None, 13).responses == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", sorted(registry.SERVED), ids=lambda k: API_BY_KEY[k].name)
def test_every_api_has_an_error_answer_in_every_version(key: int) -> None:
    api = API_BY_KEY[key]
    for version in range(api.min_version, api.max_version + 1):
        assert encode_response(error_response(api.request(), CODE, "why", version), version)
