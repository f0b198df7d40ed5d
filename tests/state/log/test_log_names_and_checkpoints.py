from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.log.checkpoints import (
    CorruptCheckpoint,
    MetaProperties,
    decode_clean_shutdown,
    decode_epochs,
    decode_meta_properties,
    decode_offsets,
    decode_partition_metadata,
    encode_clean_shutdown,
    encode_epochs,
    encode_meta_properties,
    encode_offsets,
    encode_partition_metadata,
    uuid_bytes,
)
from pykbroker.state.log.epochs import EpochEntry
from pykbroker.state.log.names import (
    DELETE_DIRECTORY,
    FUTURE_DIRECTORY,
    marked_directory,
    parse_directory,
    parse_segment_file,
    segment_file,
)
from pykbroker.state.types import TopicPartition
from wire.uuids import uuid_text

names = st.text("abcXYZ019._-", min_size=1, max_size=40)


def test_segment_files_are_named_by_their_base_offset() -> None:
    assert segment_file(42, ".log") == "00000000000000000042.log"
    assert segment_file(42, ".index", ".swap") == "00000000000000000042.index.swap"
    assert parse_segment_file("00000000000000000042.log") == (42, ".log", "")
    assert parse_segment_file("00000000000000000042.timeindex.deleted") == (
        42,
        ".timeindex",
        ".deleted",
    )
    assert parse_segment_file("00000000000000000000-0000000000.checkpoint") is None
    assert parse_segment_file("leader-epoch-checkpoint") is None
    assert parse_segment_file("42.log") is None


@given(names, st.integers(0, 10_000))
def test_folders_of_partitions_are_known_again(topic: str, partition: int) -> None:
    topic_partition = TopicPartition(topic, partition)
    assert parse_directory(str(topic_partition)) == (topic_partition, "")
    marked = marked_directory(topic_partition, "0123456789abcdef", DELETE_DIRECTORY)
    assert parse_directory(marked) == (topic_partition, DELETE_DIRECTORY)


def test_a_long_topic_name_is_cut_to_make_room_for_the_mark() -> None:
    name = marked_directory(TopicPartition("t" * 249, 12), "ab" * 16, FUTURE_DIRECTORY)
    assert len(name) == 255
    found = parse_directory(name)
    assert found is not None
    assert found.mark == FUTURE_DIRECTORY


@pytest.mark.parametrize("name", ["topic", "-1", "topic-x", "topic-01", "meta.properties"])
def test_other_folders_are_not_partitions(name: str) -> None:
    assert parse_directory(name) is None


@given(st.dictionaries(st.builds(TopicPartition, names, st.integers(0, 99)), st.integers(0, 2**60)))
def test_offset_checkpoints_round_trip(offsets: dict[TopicPartition, int]) -> None:
    assert decode_offsets(encode_offsets(offsets)) == offsets


def test_an_offset_checkpoint_is_kafkas_text() -> None:
    data = encode_offsets({TopicPartition("plain", 2): 168, TopicPartition("forever", 0): 101})
    assert data == b"0\n2\nplain 2 168\nforever 0 101\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"0\n",
        b"1\n0\n",
        b"0\n2\nplain 2 168\n",
        b"0\n1\nplain 2 168\nplain 3 1\n",
        b"0\n1\nplain 2\n",
        b"0\n1\nplain two 1\n",
        b"0\n-1\n",
        b"\xff\xfe",
        bytes(40),
    ],
)
def test_a_damaged_checkpoint_is_not_half_believed(data: bytes) -> None:
    with pytest.raises(CorruptCheckpoint):
        decode_offsets(data)


def test_epoch_checkpoints_round_trip_in_kafkas_text() -> None:
    entries = [EpochEntry(0, 0), EpochEntry(4, 100)]
    assert encode_epochs(entries) == b"0\n2\n0 0\n4 100\n"
    assert decode_epochs(encode_epochs(entries)) == entries
    assert decode_epochs(b"0\n0\n") == []


@pytest.mark.parametrize(
    "data",
    [b"0\n1\n0\n", b"0\n1\nx 0\n", b"0\n2\n0 0\n0 5\n", b"0\n2\n1 5\n2 5\n", b"0\n1\n-1 0\n"],
)
def test_epochs_that_do_not_rise_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptCheckpoint):
        decode_epochs(data)


def test_partition_metadata_is_kafkas_text() -> None:
    topic_id = uuid_bytes("DqCT67SwRU2qK795WdJ0Sg")
    data = encode_partition_metadata(topic_id)
    assert data == b"version: 0\ntopic_id: DqCT67SwRU2qK795WdJ0Sg"
    assert decode_partition_metadata(data) == topic_id


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"version: 1\ntopic_id: DqCT67SwRU2qK795WdJ0Sg",
        b"version: 0\n",
        b"\xff",
        b"version: 0\ntopic_id: x",
    ],
)
def test_a_damaged_partition_metadata_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptCheckpoint):
        decode_partition_metadata(data)


@given(st.binary(min_size=16, max_size=16))
def test_uuids_round_trip(value: bytes) -> None:
    assert uuid_bytes(uuid_text(value)) == value


def test_the_clean_shutdown_marker_tells_the_broker_epoch() -> None:
    assert encode_clean_shutdown(14) == b'{"version":0,"brokerEpoch":14}'
    assert decode_clean_shutdown(encode_clean_shutdown(14)) == 14
    for other in (b"", b"{}", b"[]", b'{"version":7,"brokerEpoch":14}', b"garbage"):
        assert decode_clean_shutdown(other) == -1


def test_meta_properties_round_trip() -> None:
    meta = MetaProperties("01DpqgQfS7eKYLbFloobFQ", 3, "h_ks2q7QQma3tHe7_ZV4GQ", 1)
    assert decode_meta_properties(encode_meta_properties(meta)) == meta


def test_kafkas_meta_properties_have_no_format_of_ours() -> None:
    data = (
        b"#\n#Mon Nov 23 20:58:51 UTC 2026\nnode.id=1\ndirectory.id=h_ks2q7QQma3tHe7_ZV4GQ\n"
        b"version=1\ncluster.id=01DpqgQfS7eKYLbFloobFQ\n"
    )
    meta = decode_meta_properties(data)
    assert meta == ("01DpqgQfS7eKYLbFloobFQ", 1, "h_ks2q7QQma3tHe7_ZV4GQ", None)
    old = decode_meta_properties(b"version=0\nbroker.id=7\ncluster.id=c\n")
    assert (old.node_id, old.directory_id) == (7, "")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"version=2\n",
        b"version=1\nnode.id=1\n",
        b"version=1\nnode.id=x\ncluster.id=c\n",
        b"\xff",
    ],
)
def test_other_meta_properties_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptCheckpoint):
        decode_meta_properties(data)
