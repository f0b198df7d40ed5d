"""Requests and the errors they were answered with."""

from __future__ import annotations

from typing import Any

import pytest

from pykbroker.runtime.figures.requests import request_samples
from pykbroker.runtime.figures.table import FAMILIES
from pykbroker.runtime.request_counts import RequestCounts
from wire.apis import API_BY_KEY, Api, ApiKey
from wire.errors import ErrorCode
from wire.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData
from wire.messages.produce import (
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from wire.schema import fields_of

NAME = "kafka_network_requestmetrics_"


def produced(*codes: int) -> ProduceResponse:
    parts = [PartitionProduceResponse(error_code=code) for code in codes]
    return ProduceResponse(responses=[TopicProduceResponse(partition_responses=parts)])


def answer(counts: RequestCounts, key: int, version: int, is_broker: bool, response: Any) -> None:
    answered = counts.of(key, version, is_broker=is_broker)
    answered.left -= 1
    answered.note(response, answered)


def test_each_code_of_a_response_counts() -> None:
    counts = RequestCounts()
    refused = ErrorCode.NOT_LEADER_OR_FOLLOWER
    answer(counts, ApiKey.PRODUCE, 9, False, produced(0, 0, refused))
    answer(counts, ApiKey.PRODUCE, 9, False, produced(refused))
    counts.of(ApiKey.PRODUCE, 8).left -= 1  # without an answer
    counts.of(ApiKey.PRODUCE, 7)  # nothing of that yet
    told = [sample for sample in request_samples(counts) if sample is not None]
    assert {sample for sample in told if sample[0].endswith("_total")} == {
        (f"{NAME}requests_total", ("Produce", "9"), 2),
        (f"{NAME}requests_total", ("Produce", "8"), 1),
        (f"{NAME}errors_total", ("Produce", "NONE"), 2),
        (f"{NAME}errors_total", ("Produce", "NOT_LEADER_OR_FOLLOWER"), 2),
    }


def test_fetches_of_consumers_and_followers_are_told_apart() -> None:
    counts = RequestCounts()
    data = PartitionData(error_code=ErrorCode.OFFSET_OUT_OF_RANGE)
    response = FetchResponse(responses=[FetchableTopicResponse(partitions=[data])])
    answer(counts, ApiKey.FETCH, 12, False, response)
    answer(counts, ApiKey.FETCH, 12, True, response)
    found = [sample for sample in request_samples(counts) if sample is not None]
    requests = [
        (labels[0], value) for name, labels, value in found if name.endswith("requests_total")
    ]
    assert requests == [("Fetch", 1), ("FetchConsumer", 1), ("Fetch", 1), ("FetchFollower", 1)]
    assert (f"{NAME}errors_total", ("FetchFollower", "OFFSET_OUT_OF_RANGE"), 1) in found


def test_every_time_is_counted_for_every_request() -> None:
    counts = RequestCounts()
    for version in (8, 9, 9):
        answer(counts, ApiKey.PRODUCE, version, False, produced(0))
    told = {sample[0]: sample[1:] for sample in request_samples(counts) if sample is not None}
    names = [name for name in FAMILIES if name.startswith(NAME) and name.endswith("_count")]
    assert len(names) == 8
    for name in names:
        assert told[name] == (("Produce",), 3)


@pytest.mark.parametrize("api", API_BY_KEY.values(), ids=lambda api: api.name)
def test_the_codes_of_every_response_can_be_counted(api: Api) -> None:
    """The top-level one where there is one, and none of lists that are null or empty."""
    counts = RequestCounts()
    answer(counts, api.key, api.max_version, False, api.response())
    [answered] = counts.answers.values()
    has_code = any(field.name == "error_code" for field in fields_of(api.response))
    assert sum(answered.errors.values()) == has_code
