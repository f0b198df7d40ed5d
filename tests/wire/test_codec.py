"""What the codec promises beyond round trips: bytes on the wire, no copies, clear refusals."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from wire.apis import API_BY_KEY, ApiKey
from wire.codec import (
    decode,
    decode_exact,
    decode_request,
    encode,
    encode_bytes,
    encode_response,
)
from wire.encoding import MERGE_LIMIT_BYTES
from wire.errors import DecodeError, EncodeError
from wire.messages.alter_client_quotas import AlterClientQuotasRequest, EntryData, OpData
from wire.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from wire.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from wire.messages.describe_topic_partitions import Cursor, DescribeTopicPartitionsRequest
from wire.messages.fetch import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
    ReplicaState,
    StandingData,
)
from wire.messages.headers import RequestHeader
from wire.messages.heartbeat import HeartbeatRequest
from wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from wire.messages.sasl_handshake import SaslHandshakeResponse

ID = bytes(range(16))

ON_THE_WIRE: list[tuple[Any, int, str]] = [
    (ApiVersionsRequest(), 0, ""),
    (
        ApiVersionsRequest(client_software_name="ab", client_software_version="1"),
        3,
        "036162 0231 00",
    ),
    (
        ApiVersionsResponse(api_keys=[ApiVersion(api_key=18, min_version=0, max_version=4)]),
        0,
        "0000 00000001 0012 0000 0004",
    ),
    (
        ApiVersionsResponse(
            api_keys=[ApiVersion(api_key=1, max_version=2)], finalized_features_epoch=5
        ),
        3,
        "0000 02 0001 0000 0002 00 00000000 01 01 08 0000000000000005",
    ),
    (
        HeartbeatRequest(group_id="g", generation_id=7, member_id="m"),
        0,
        "0001 67 00000007 0001 6d",
    ),
    (
        HeartbeatRequest(group_id="g", generation_id=7, member_id="m"),
        3,
        "0001 67 00000007 0001 6d ffff",
    ),
    (
        HeartbeatRequest(group_id="g", generation_id=7, member_id="m", group_instance_id="i"),
        4,
        "0267 00000007 026d 0269 00",
    ),
    (MetadataRequest(topics=None), 1, "ffffffff"),
    (MetadataRequest(topics=[]), 0, "00000000"),
    (MetadataRequest(topics=None), 9, "00 01 00 00 00"),
    (
        MetadataRequest(topics=[MetadataRequestTopic(topic_id=ID, name=None)]),
        12,
        "02" + ID.hex() + "00 00 01 00 00",
    ),
    (SaslHandshakeResponse(mechanisms=["PLAIN", ""]), 1, "0000 00000002 0005 504c41494e 0000"),
    (
        ProduceRequest(
            acks=-1,
            timeout_ms=1000,
            topic_data=[
                TopicProduceData(
                    name="t", partition_data=[PartitionProduceData(index=3, records=b"abc")]
                )
            ],
        ),
        3,
        "ffff ffff 000003e8 00000001 0001 74 00000001 00000003 00000003 616263",
    ),
    (
        ProduceRequest(
            acks=1,
            topic_data=[
                TopicProduceData(
                    name="t", partition_data=[PartitionProduceData(index=3, records=None)]
                )
            ],
        ),
        9,
        "00 0001 00000000 02 0274 02 00000003 00 00 00 00",
    ),
    (
        FetchRequest(
            max_wait_ms=1,
            min_bytes=2,
            replica_state=ReplicaState(replica_id=4, replica_epoch=9),
            cluster_id="c",
            topics=[FetchTopic(topic_id=ID, partitions=[FetchPartition(high_watermark=6)])],
        ),
        18,
        "00000001 00000002 7fffffff 00 00000000 ffffffff 02"
        + ID.hex()
        + "02 00000000 ffffffff 0000000000000000 ffffffff ffffffffffffffff 00000000"
        " 01 01 08 0000000000000006"
        " 00 01 01 02 00 02 0263 01 0d 00000004 0000000000000009 00",
    ),
    (
        AlterClientQuotasRequest(
            entries=[EntryData(ops=[OpData(key="k", value=1.5)])], validate_only=True
        ),
        0,
        "00000001 00000000 00000001 0001 6b 3ff8000000000000 00 01",
    ),
    (ConsumerGroupHeartbeatResponse(), 0, "00000000 0000 00 00 00000000 00000000 ff 00"),
    (
        ConsumerGroupHeartbeatResponse(
            assignment=Assignment(
                topic_partitions=[TopicPartitions(topic_id=ID, partitions=[1, 2])]
            )
        ),
        0,
        "00000000 0000 00 00 00000000 00000000 01 02" + ID.hex() + "03 00000001 00000002 00 00 00",
    ),
    (DescribeTopicPartitionsRequest(), 0, "01 000007d0 ff 00"),
    (
        DescribeTopicPartitionsRequest(cursor=Cursor(topic_name="t", partition_index=1)),
        0,
        "01 000007d0 01 0274 00000001 00 00",
    ),
    (RequestHeader(request_api_key=7, correlation_id=1), 0, "0007 0000 00000001"),
    (
        RequestHeader(request_api_key=18, correlation_id=1, client_id="a"),
        2,
        "0012 0000 00000001 0001 61 00",
    ),
]


@pytest.mark.parametrize(("value", "version", "expected"), ON_THE_WIRE)
def test_bytes_on_the_wire(value: Any, version: int, expected: str) -> None:
    data = bytes.fromhex(expected.replace(" ", ""))
    assert encode_bytes(value, version).hex(" ") == data.hex(" ")
    assert encode_bytes(decode_exact(type(value), version, data), version) == data


def test_a_field_that_the_version_lacks_has_its_default() -> None:
    data = bytes.fromhex("00000001000174")
    request = decode_exact(MetadataRequest, 1, data)
    assert request.allow_auto_topic_creation is True
    assert request.include_topic_authorized_operations is False
    assert request.topics is not None
    assert request.topics[0].topic_id == bytes(16)


# Record batches are handed on, not copied.


def produce(*records: Any) -> ProduceRequest:
    parts = [PartitionProduceData(index=i, records=r) for i, r in enumerate(records)]
    return ProduceRequest(topic_data=[TopicProduceData(name="t", partition_data=parts)])


@pytest.mark.parametrize("version", [3, 9])
def test_batches_are_views_into_the_frame(version: int) -> None:
    frame = bytearray(encode_bytes(produce(b"first", b"second"), version))
    request, _ = decode(ProduceRequest, version, memoryview(frame))
    records: list[Any] = [p.records for p in request.topic_data[0].partition_data]
    assert [bytes(r) for r in records] == [b"first", b"second"]
    assert all(isinstance(r, memoryview) and r.obj is frame for r in records)
    records[1][0:1] = b"S"
    assert b"Second" in frame


@pytest.mark.parametrize("version", [3, 9])
def test_large_batches_are_handed_on_as_they_are(version: int) -> None:
    large, larger = b"x" * (MERGE_LIMIT_BYTES + 1), bytearray(5000)
    view = memoryview(bytearray(3000))
    buffers = encode(produce(large, b"small", larger, [view, b"tiny"]), version)
    assert [b for b in buffers if b is large or b is larger or b is view] == [large, larger, view]
    assert [len(b) > MERGE_LIMIT_BYTES for b in buffers] == [False, True] * 3 + [False]
    assert b"".join(buffers) == encode_bytes(
        produce(large, b"small", larger, bytes(view) + b"tiny"), version
    )


def test_small_batches_are_merged() -> None:
    assert len(encode(produce(*[b"x" * MERGE_LIMIT_BYTES] * 5), 9)) == 1
    assert len(encode(produce(b""), 9)) == 1
    assert len(encode(produce(None), 9)) == 1
    assert len(encode(produce([b"ab", memoryview(b"cd"), b""]), 9)) == 1


@pytest.mark.parametrize("size", [126, 127, 128, 16382, 16383, 2 * 10**6])
def test_lengths_of_more_than_one_byte(size: int) -> None:
    data = encode_bytes(produce([b"x" * size]), 9)
    request = decode_exact(ProduceRequest, 9, data)
    assert len(request.topic_data[0].partition_data[0].records or b"") == size


@pytest.mark.parametrize("count", [126, 127, 128, 40000])
def test_counts_of_more_than_one_byte(count: int) -> None:
    request = MetadataRequest(topics=[MetadataRequestTopic(name="")] * count)
    again = decode_exact(MetadataRequest, 12, encode_bytes(request, 12))
    assert again.topics is not None
    assert len(again.topics) == count


# Tagged fields.


def test_tagged_fields_nobody_knows_are_kept_and_written_in_order() -> None:
    request = HeartbeatRequest(group_id="g")
    request.unknown_tags = [(700, b"z" * 200), (3, b""), (128, b"xy")]
    data = encode_bytes(request, 4)
    assert data.endswith(b"\x03\x03\0\x80\x01\x02xy\xbc\x05\xc8\x01" + b"z" * 200)
    again = decode_exact(HeartbeatRequest, 4, data)
    assert again.unknown_tags == [(3, b""), (128, b"xy"), (700, b"z" * 200)]


def test_tagged_fields_nobody_knows_stand_among_the_known() -> None:
    response = PartitionData(diverging_epoch=EpochEndOffset(epoch=1, end_offset=2), records=b"")
    response.unknown_tags = [(1000, b"late"), (5, b"early")]
    whole = FetchResponse(responses=[FetchableTopicResponse(partitions=[response])])
    data = encode_bytes(whole, 13)
    again = decode_exact(FetchResponse, 13, data)
    (partition,) = again.responses[0].partitions
    assert partition.diverging_epoch == EpochEndOffset(epoch=1, end_offset=2)
    assert partition.unknown_tags == [(5, b"early"), (1000, b"late")]
    assert encode_bytes(again, 13) == data


def test_more_than_127_tagged_fields() -> None:
    request = FetchRequest(cluster_id="c")
    request.unknown_tags = [(tag, b"x") for tag in range(10, 300)]
    again = decode_exact(FetchRequest, 13, encode_bytes(request, 13))
    assert again.unknown_tags == request.unknown_tags
    assert again.cluster_id == "c"


def test_a_tagged_field_with_its_default_is_left_out() -> None:
    plain = encode_bytes(FetchRequest(), 15)
    assert encode_bytes(FetchRequest(cluster_id=None, replica_state=ReplicaState()), 15) == plain
    assert plain.endswith(b"\0")
    changed = FetchRequest(replica_state=ReplicaState(replica_epoch=1))
    assert len(encode_bytes(changed, 15)) > len(plain)


def test_a_tagged_structure_keeps_tags_nobody_knows() -> None:
    state = ReplicaState()
    state.unknown_tags = [(9, b"x")]
    again = decode_exact(FetchRequest, 15, encode_bytes(FetchRequest(replica_state=state), 15))
    assert again.replica_state.unknown_tags == [(9, b"x")]


# What cannot be written.


def test_a_value_may_not_be_dropped_silently() -> None:
    request = HeartbeatRequest(group_id="g", group_instance_id="static")
    with pytest.raises(EncodeError, match="group_instance_id = 'static' has no place"):
        encode(request, 2)
    encode(request, 3)


def test_a_structure_may_not_be_dropped_silently() -> None:
    request = FetchRequest(replica_state=ReplicaState(replica_id=3))
    with pytest.raises(EncodeError, match="replica_state"):
        encode(request, 14)
    encode(FetchRequest(replica_state=ReplicaState()), 14)


def test_what_is_ignorable_may_be_dropped() -> None:
    assert encode_bytes(FetchRequest(rack_id="r"), 10) == encode_bytes(FetchRequest(), 10)


def test_tags_have_no_place_in_old_versions() -> None:
    request = HeartbeatRequest()
    request.unknown_tags = [(1, b"x")]
    with pytest.raises(EncodeError, match="unknown_tags"):
        encode(request, 3)


@pytest.mark.parametrize(
    ("wrong", "version"),
    [
        (HeartbeatRequest(generation_id=2**31), 0),
        (HeartbeatRequest(generation_id=None), 0),  # type: ignore[arg-type]
        (HeartbeatRequest(generation_id="1"), 4),  # type: ignore[arg-type]
        (HeartbeatRequest(group_id=None), 0),  # type: ignore[arg-type]
        (HeartbeatRequest(group_id=None), 4),  # type: ignore[arg-type]
        (HeartbeatRequest(group_id=b"g"), 4),  # type: ignore[arg-type]
        (HeartbeatRequest(group_id="\ud800"), 4),
        (HeartbeatRequest(group_id="x" * 40000), 0),
        (MetadataRequest(topics=None), 0),
        (MetadataRequest(topics=[MetadataRequestTopic(name=None)]), 9),
        (MetadataRequest(topics=[MetadataRequestTopic(topic_id=b"short")]), 12),
        (MetadataRequest(topics=["t"]), 12),  # type: ignore[list-item]
        (MetadataRequest(topics=3), 12),  # type: ignore[arg-type]
        (produce(3), 9),
        (SaslHandshakeResponse(mechanisms=None), 1),  # type: ignore[arg-type]
        (SaslHandshakeResponse(mechanisms=[None]), 1),  # type: ignore[list-item]
        (HeartbeatRequest(), 5),
        (HeartbeatRequest(), -1),
    ],
)
def test_what_cannot_be_written_is_an_encode_error(wrong: Any, version: int) -> None:
    with pytest.raises(EncodeError, match=f"{type(wrong).__name__} "):
        encode(wrong, version)


def test_ids_in_arrays_have_16_bytes() -> None:
    from wire.messages.broker_heartbeat import BrokerHeartbeatRequest

    good = BrokerHeartbeatRequest(offline_log_dirs=[ID, ID])
    assert decode_exact(BrokerHeartbeatRequest, 1, encode_bytes(good, 1)) == good
    with pytest.raises(EncodeError, match="offline_log_dirs is not 16 bytes"):
        encode(BrokerHeartbeatRequest(offline_log_dirs=[ID, b"x"]), 1)


# What cannot be read (see also test_hostile).


@pytest.mark.parametrize("version", [-1, 5, 100])
def test_a_version_that_there_is_not(version: int) -> None:
    with pytest.raises(DecodeError, match="HeartbeatRequest has no version"):
        decode(HeartbeatRequest, version, b"")


@pytest.mark.parametrize(
    ("cls", "version", "data", "reason"),
    [
        (HeartbeatRequest, 0, "ffff", "null"),
        (HeartbeatRequest, 4, "00", "null"),
        (HeartbeatRequest, 0, "fffe", "negative length -2"),
        (HeartbeatRequest, 0, "0005 6162", "5 bytes claimed, 2 bytes left"),
        (HeartbeatRequest, 4, "06 6162", "5 bytes claimed, 2 bytes left"),
        (HeartbeatRequest, 0, "0001 67 000000", "ends too soon"),
        (MetadataRequest, 0, "ffffffff", "null"),
        (HeartbeatRequest, 4, "ffffffff0f", "null"),
        (HeartbeatRequest, 4, "8080808008", "2147483647 bytes claimed"),
        (MetadataRequest, 0, "7fffffff 0000", "2147483647 elements of 2 bytes or more claimed"),
        (FetchRequest, 13, "ffffffffff", "ends too soon"),
    ],
)
def test_why_something_cannot_be_read(cls: Any, version: int, data: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(cls, version, bytes.fromhex(data.replace(" ", "")))


@pytest.mark.parametrize(("version", "length"), [(1, "fffffffe"), (9, "ffffffff0f")])
def test_every_negative_length_is_null_where_null_may_be(version: int, length: str) -> None:
    rest = "" if version == 1 else "01000000"
    request, _ = decode(MetadataRequest, version, bytes.fromhex(length + rest))
    assert request.topics is None


def test_bytes_that_are_no_text_are_read_as_java_reads_them() -> None:
    data = bytes.fromhex("0007 61ffc062e282 7a 00000000 0000")
    assert decode(HeartbeatRequest, 0, data)[0].group_id == "a\ufffd\ufffdb\ufffdz"


def test_a_tagged_field_is_as_long_as_it_claims() -> None:
    body = encode_bytes(ApiVersionsResponse(), 3)
    right = body[:-1] + b"\x01\x01\x08" + bytes(7) + b"\x05"
    assert decode_exact(ApiVersionsResponse, 3, right).finalized_features_epoch == 5
    for size in (7, 9):
        wrong = body[:-1] + b"\x01\x01" + bytes([size]) + bytes(9)
        with pytest.raises(DecodeError, match="tagged field 1 is not as long as it claims"):
            decode(ApiVersionsResponse, 3, wrong)


# Requests and responses.


def test_bytes_behind_a_request_are_passed_over() -> None:
    """As in Kafka, which reads what it knows."""
    api = API_BY_KEY[ApiKey.HEARTBEAT]
    data = b"head" + encode_bytes(HeartbeatRequest(group_id="g"), 2) + b"more"
    request = decode_request(api, 2, memoryview(data), 4)
    assert request == HeartbeatRequest(group_id="g")


def test_a_response_without_older_meanings_is_encoded_as_it_is() -> None:
    response = ApiVersionsResponse(api_keys=[ApiVersion(api_key=3)])
    assert encode_response(response, 3) == encode(response, 3)


def test_a_codec_is_compiled_once() -> None:
    from wire import codec

    decode(HeartbeatRequest, 2, encode_bytes(HeartbeatRequest(), 2))
    made = codec._decoders[HeartbeatRequest, 2], codec._encoders[HeartbeatRequest, 2]
    decode(HeartbeatRequest, 2, encode_bytes(HeartbeatRequest(), 2))
    assert made == (codec._decoders[HeartbeatRequest, 2], codec._encoders[HeartbeatRequest, 2])


def test_importing_the_codec_loads_no_compiler() -> None:
    import subprocess

    code = "import sys, wire.codec; print('wire.decoding' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("records", [b"", b"x" * (MERGE_LIMIT_BYTES + 1)])
def test_what_is_kept_has_the_bytes_of_what_is_made_anew(records: bytes) -> None:
    values: dict[str, Any] = {"partition_index": 3, "high_watermark": 7, "records": records}
    plain, standing = PartitionData(**values), StandingData(**values)
    assert standing == plain
    others = [PartitionData(partition_index=index) for index in (1, 2)]

    def encoded(part: PartitionData, version: int) -> bytes:
        topic = FetchableTopicResponse(partitions=[others[0], part, others[1], part])
        return encode_bytes(FetchResponse(responses=[topic]), version)

    for version in (4, 11, 12, 12, 18, 4, 18):
        assert encoded(standing, version) == encoded(plain, version)
    standing.high_watermark = 8  # which nobody does
    assert encoded(standing, 18) == encoded(plain, 18)
