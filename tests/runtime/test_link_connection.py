"""One connection to another broker: answers find their requests, and whatever is odd ends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.runtime import link_connection
from pykbroker.runtime.link_connection import Exchange, LinkConnection
from tests.support.peer_broker import FakeNetwork, Peer
from wire.errors import EncodeError
from wire.messages.fetch import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
)
from wire.messages.fetch import (
    PartitionData as FetchedPartition,
)
from wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from wire.messages.list_groups import ListGroupsRequest, ListGroupsResponse


class Connected:
    def __init__(self) -> None:
        self.ended: list[Exchange] = []
        self.closed: list[LinkConnection] = []
        self.peer = Peer(FakeNetwork(), "other", 9092)
        self.connection = LinkConnection(self.peer, "broker-1-test", self.closed.append)
        self.peer.link = self.connection

    def send(self, request: object, version: int = 4) -> Exchange:
        found: list[Exchange] = []
        exchange = self.connection.send(
            request,  # type: ignore[arg-type]
            version,
            lambda: self.ended.append(found[0]),
        )
        found.append(exchange)
        return exchange


def heartbeats(connected: Connected, count: int) -> list[Exchange]:
    return [connected.send(HeartbeatRequest(group_id=f"g{i}")) for i in range(count)]


def test_a_request_goes_out_whole_with_the_brokers_name() -> None:
    connected = Connected()
    connected.send(HeartbeatRequest(group_id="g"))
    [asked] = connected.peer.asked
    assert asked.request == HeartbeatRequest(group_id="g")
    assert (asked.version, asked.client_id) == (4, "broker-1-test")


@pytest.mark.parametrize(
    ("request_", "version"), [(HeartbeatRequest(), 0), (ListGroupsRequest(), 5)]
)
def test_both_kinds_of_headers(request_: object, version: int) -> None:
    connected = Connected()
    exchange = connected.send(request_, version)
    [asked] = connected.peer.asked
    response = HeartbeatResponse() if version == 0 else ListGroupsResponse()
    asked.answer(response)
    assert exchange.response == response


@given(st.integers(1, 5), st.lists(st.integers(1, 64), min_size=1))
def test_answers_may_be_cut_anywhere(count: int, cuts: list[int]) -> None:
    connected = Connected()
    exchanges = heartbeats(connected, count)
    data = b"".join(
        asked.frame(HeartbeatResponse(error_code=index))
        for index, asked in enumerate(connected.peer.asked)
    )
    for turn in range(len(data)):
        size = cuts[turn % len(cuts)]
        connected.peer.give(data[:size])
        data = data[size:]
    assert [e.response.error_code for e in exchanges] == list(range(count))  # type: ignore[union-attr]
    assert connected.ended == exchanges
    assert (connected.connection.in_flight, connected.connection.received) == (0, count)


def test_records_are_views_into_what_arrived() -> None:
    connected = Connected()
    exchange = connected.send(FetchRequest(), 17)
    records = bytes(range(256)) * 400
    partition = FetchedPartition(partition_index=0, records=records)
    response = FetchResponse(responses=[FetchableTopicResponse(partitions=[partition])])
    connected.peer.give(connected.peer.asked[0].frame(response), step=1000)
    assert isinstance(exchange.response, FetchResponse)
    found = exchange.response.responses[0].partitions[0].records
    assert isinstance(found, memoryview)
    assert found == records


def test_when_it_closes_everything_in_flight_is_lost() -> None:
    connected = Connected()
    exchanges = heartbeats(connected, 3)
    connected.peer.asked[0].answer(HeartbeatResponse())
    connected.peer.hang_up()
    assert exchanges[0].response is not None
    assert [e.lost for e in exchanges[1:]] == ["the connection was closed"] * 2
    assert connected.ended == exchanges
    assert connected.closed == [connected.connection]
    assert not connected.connection.is_open
    connected.connection.closed()
    assert len(connected.closed) == 1, "it ends once"


def test_aborted_it_takes_nothing_more() -> None:
    connected = Connected()
    [exchange] = heartbeats(connected, 1)
    data = connected.peer.asked[0].frame(HeartbeatResponse())
    connected.connection.abort("enough")
    assert connected.peer.is_closed
    assert exchange.lost == "enough"
    connected.connection.get_buffer(-1)[: len(data)] = data
    connected.connection.buffer_updated(len(data))
    assert exchange.response is None
    assert connected.ended == [exchange]


def odd_answers() -> list[tuple[str, bytes]]:
    connected = Connected()
    heartbeats(connected, 2)
    first, second = connected.peer.asked
    whole = first.frame(HeartbeatResponse())
    return [
        ("for another request", second.frame(HeartbeatResponse())),
        ("for no request", first.frame(HeartbeatResponse(), correlation_id=-5)),
        ("too short for a header", b"\x00\x00\x00\x02ab"),
        ("without its tags", b"\x00\x00\x00\x04" + whole[4:8]),
        ("too short", (len(whole) - 6).to_bytes(4, "big") + whole[4:-2]),
        ("too long", (len(whole) - 3).to_bytes(4, "big") + whole[4:] + b"x"),
        ("of negative size", b"\xff\xff\xff\xff" + whole[4:]),
        ("no Kafka", b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64)),
    ]


@pytest.mark.parametrize("data", [d for _, d in odd_answers()], ids=[n for n, _ in odd_answers()])
def test_an_answer_that_does_not_fit_ends_the_connection(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_connection, "MAX_FRAME_BYTES", 1 << 20)
    connected = Connected()
    exchanges = heartbeats(connected, 2)
    connected.peer.give(data)
    assert connected.peer.is_closed
    assert all(e.lost for e in exchanges)
    assert all(e.response is None for e in exchanges)
    assert not connected.connection.is_open


def test_an_answer_that_nobody_asked_for_ends_the_connection() -> None:
    connected = Connected()
    [exchange] = heartbeats(connected, 1)
    frame = connected.peer.asked[0].frame(HeartbeatResponse())
    connected.peer.give(frame)
    connected.peer.give(frame)
    assert exchange.response is not None
    assert connected.peer.is_closed


def test_a_request_that_cannot_be_written_leaves_the_connection_as_it_was() -> None:
    connected = Connected()
    with pytest.raises(EncodeError):
        connected.send(HeartbeatRequest(group_id=5), 4)  # type: ignore[arg-type]
    [exchange] = heartbeats(connected, 1)
    connected.peer.asked[0].answer(HeartbeatResponse())
    assert exchange.response is not None


def test_correlation_ids_begin_anew_when_they_are_used_up() -> None:
    connected = Connected()
    connected.connection._last_id = link_connection.MAX_CORRELATION_ID - 1
    exchanges = heartbeats(connected, 3)
    ids = [asked.correlation_id for asked in connected.peer.asked]
    assert ids == [link_connection.MAX_CORRELATION_ID, 1, 2]
    for asked in connected.peer.asked:
        asked.answer(HeartbeatResponse())
    assert all(e.response is not None for e in exchanges)
