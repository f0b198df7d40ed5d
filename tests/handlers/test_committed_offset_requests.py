"""OffsetCommit, OffsetFetch and OffsetDelete through their handlers, at every version."""

from __future__ import annotations

from typing import Any

import pytest

from pykbroker.state.controller.image import replace
from pykbroker.state.group.offsets import CommittedOffset, OffsetKey
from pykbroker.state.group.records import offset_record
from tests.support.group_path import GROUP, GroupPath, join, join_request, stable, sync_request
from wire.errors import ErrorCode
from wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)

UNKNOWN_ID = b"\xff" * 16


@pytest.fixture
def p() -> GroupPath:
    path = GroupPath().ready()
    path.create("t", 2)
    path.create("u", 1)
    return path


def topic_id(p: GroupPath, name: str) -> bytes:
    return p.images.current.topics[name].topic_id


def commit_request(
    p: GroupPath, version: int, offsets: dict[tuple[str, int], int], **fields: Any
) -> OffsetCommitRequest:
    topics: dict[str, OffsetCommitRequestTopic] = {}
    for (name, partition), offset in offsets.items():
        if version >= 10:
            fresh = OffsetCommitRequestTopic(topic_id=topic_id(p, name))
        else:
            fresh = OffsetCommitRequestTopic(name=name)
        topics.setdefault(name, fresh).partitions.append(
            OffsetCommitRequestPartition(partition_index=partition, committed_offset=offset)
        )
    request = OffsetCommitRequest(group_id=GROUP, topics=list(topics.values()))
    for field, value in fields.items():
        setattr(request, field, value)
    return request


def codes(response: Any) -> list[int]:
    return [q.error_code for topic in response.topics for q in topic.partitions]


def commit(p: GroupPath, version: int, offset: int, **fields: Any) -> int:
    request = commit_request(p, version, {("t", 0): offset}, **fields)
    (code,) = codes(p.now(request, version))
    return code


def fetch_request(
    p: GroupPath, version: int, wanted: dict[str, list[int]] | None, **fields: Any
) -> OffsetFetchRequest:
    if version < 8:
        old = None
        if wanted is not None:
            old = [
                OffsetFetchRequestTopic(name=n, partition_indexes=ids) for n, ids in wanted.items()
            ]
        return OffsetFetchRequest(group_id=GROUP, topics=old, **fields)
    topics = None
    if wanted is not None:
        topics = [
            OffsetFetchRequestTopics(topic_id=topic_id(p, n), partition_indexes=ids)
            if version >= 10
            else OffsetFetchRequestTopics(name=n, partition_indexes=ids)
            for n, ids in wanted.items()
        ]
    group = OffsetFetchRequestGroup(group_id=GROUP, topics=topics)
    return OffsetFetchRequest(groups=[group], **fields)


def fetched(p: GroupPath, version: int, wanted: dict[str, list[int]] | None) -> dict[Any, int]:
    response = p.now(fetch_request(p, version, wanted), version)
    if version >= 8:
        (response,) = response.groups
    assert response.error_code == ErrorCode.NONE
    names = {t.topic_id: n for n, t in p.images.current.topics.items()}
    return {
        (names[t.topic_id] if version >= 10 else t.name, q.partition_index): q.committed_offset
        for t in response.topics
        for q in t.partitions
    }


# Commit and fetch


@pytest.mark.parametrize("version", range(11))
def test_a_simple_commit_at_every_version(p: GroupPath, version: int) -> None:
    assert commit(p, version, 42) == ErrorCode.NONE
    assert fetched(p, 9, {"t": [0, 1]}) == {("t", 0): 42, ("t", 1): -1}


@pytest.mark.parametrize("version", range(11))
def test_fetch_at_every_version(p: GroupPath, version: int) -> None:
    commit(p, 9, 42)
    assert fetched(p, version, {"t": [0, 1]}) == {("t", 0): 42, ("t", 1): -1}


@pytest.mark.parametrize("version", range(2, 11))
def test_all_offsets_of_a_group(p: GroupPath, version: int) -> None:
    p.now(commit_request(p, 9, {("t", 0): 1, ("u", 0): 2}), 9)
    assert fetched(p, version, None) == {("t", 0): 1, ("u", 0): 2}


@pytest.mark.parametrize("version", range(1, 11))
def test_a_members_commit_at_every_version(p: GroupPath, version: int) -> None:
    member_id = stable(p)
    fields = {"generation_id_or_member_epoch": 1, "member_id": member_id}
    assert commit(p, version, 5, **fields) == ErrorCode.NONE
    assert fetched(p, 9, {"t": [0]}) == {("t", 0): 5}
    fields["generation_id_or_member_epoch"] = 2
    assert commit(p, version, 6, **fields) == ErrorCode.ILLEGAL_GENERATION
    assert fetched(p, 9, {"t": [0]}) == {("t", 0): 5}


def test_version_0_knows_no_generation_and_finds_the_group_busy(p: GroupPath) -> None:
    stable(p)
    assert commit(p, 0, 5) == ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize("version", range(1, 11))
def test_a_generation_of_a_missing_group(p: GroupPath, version: int) -> None:
    code = commit(p, version, 1, generation_id_or_member_epoch=3, member_id="m")
    old, new = ErrorCode.ILLEGAL_GENERATION, ErrorCode.GROUP_ID_NOT_FOUND
    assert code == (new if version >= 9 else old)


@pytest.mark.parametrize("version", [9, 10])
def test_partitions_that_do_not_exist_are_refused_one_by_one(p: GroupPath, version: int) -> None:
    request = commit_request(p, version, {("t", 0): 1, ("t", 2): 1, ("u", 0): 2, ("u", -1): 1})
    response = p.now(request, version)
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert codes(response) == [ErrorCode.NONE, unknown, ErrorCode.NONE, unknown]
    assert fetched(p, 9, None) == {("t", 0): 1, ("u", 0): 2}


def test_topics_that_do_not_exist_are_refused_by_name_or_id(p: GroupPath) -> None:
    by_name = commit_request(p, 9, {("t", 0): 1})
    by_name.topics[0].name = "missing"
    assert codes(p.now(by_name, 9)) == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
    by_id = commit_request(p, 10, {("t", 0): 1})
    for unknown in (UNKNOWN_ID, bytes(16)):
        by_id.topics[0].topic_id = unknown
        response = p.now(by_id, 10)
        assert codes(response) == [ErrorCode.UNKNOWN_TOPIC_ID]
        assert response.topics[0].topic_id == unknown


def test_a_refused_commit_still_tells_unknown_partitions_apart(p: GroupPath) -> None:
    stable(p)
    request = commit_request(p, 9, {("t", 0): 1, ("t", 7): 1}, member_id="x")
    expected = [ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
    assert codes(p.now(request, 9)) == expected


@pytest.mark.parametrize("version", [2, 9, 10])
def test_the_topic_id_is_kept_with_the_offset(p: GroupPath, version: int) -> None:
    commit(p, version, 1)
    assert p.logged()[-1][1].topic_id == topic_id(p, "t")


@pytest.mark.parametrize("version", [1, 9])
def test_a_topic_created_anew_does_not_inherit_offsets(p: GroupPath, version: int) -> None:
    commit(p, 9, 1)
    image = p.images.current
    p.images.current = replace(image, topics={**image.topics, "t": image.topics["u"]})
    assert fetched(p, version, {"t": [0]}) == {("t", 0): -1}


@pytest.mark.parametrize("version", range(2, 5))
def test_a_retention_of_its_own_could_be_asked_for(p: GroupPath, version: int) -> None:
    commit(p, version, 1, retention_time_ms=5_000)
    _, value, record_version = p.logged()[-1]
    assert record_version == 1
    assert value.expire_timestamp == p.clock.wall_ms() + 5_000


def test_unknown_topics_have_no_offsets_and_no_error_by_name(p: GroupPath) -> None:
    assert _fetch_codes(p, 9, "missing", bytes(16)) == [(-1, ErrorCode.NONE)]


def test_unknown_topic_ids_are_an_error(p: GroupPath) -> None:
    assert _fetch_codes(p, 10, "", UNKNOWN_ID) == [(-1, ErrorCode.UNKNOWN_TOPIC_ID)]


def _fetch_codes(p: GroupPath, version: int, name: str, topic: bytes) -> list[tuple[int, int]]:
    wanted = OffsetFetchRequestTopics(partition_indexes=[0])
    if version >= 10:
        wanted.topic_id = topic
    else:
        wanted.name = name
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=GROUP, topics=[wanted])])
    (found,) = p.now(request, version).groups[0].topics
    return [(q.committed_offset, q.error_code) for q in found.partitions]


def test_offsets_of_topics_without_an_id_cannot_be_told_by_id(p: GroupPath) -> None:
    p.create("gone", 1)
    p.now(commit_request(p, 9, {("t", 0): 1, ("gone", 0): 2}), 9)
    image = p.images.current
    remaining = {n: t for n, t in image.topics.items() if n != "gone"}
    p.images.current = replace(image, topics=remaining)
    assert fetched(p, 10, None) == {("t", 0): 1}
    assert fetched(p, 9, None) == {("t", 0): 1, ("gone", 0): 2}


def test_several_groups_are_fetched_at_once(p: GroupPath) -> None:
    for index, group in enumerate("abc"):
        commit(p, 9, index, group_id=group)
    groups = [OffsetFetchRequestGroup(group_id=g, topics=None) for g in "cab"]
    response = p.now(OffsetFetchRequest(groups=groups), 8)
    found = [(g.group_id, g.topics[0].partitions[0].committed_offset) for g in response.groups]
    assert found == [("c", 2), ("a", 0), ("b", 1)]
    assert p.now(OffsetFetchRequest(groups=[]), 8).groups == []


@pytest.mark.parametrize("version", range(11))
def test_elsewhere_a_fetch_is_refused_as_a_whole(version: int) -> None:
    p = GroupPath()
    p.create("t", 2)
    response = p.now(fetch_request(p, version, {"t": [0, 1]}), version)
    refused = ErrorCode.NOT_COORDINATOR
    if version >= 8:
        assert response.groups[0].error_code == refused
    elif version >= 2:
        assert response.error_code == refused
    else:
        assert codes(response) == [refused, refused]
        assert {q.committed_offset for q in response.topics[0].partitions} == {-1}


def test_a_fetch_that_waits_too_long_is_to_be_asked_again() -> None:
    p = GroupPath(replicas=(1, 2)).ready()
    p.create("t", 1)
    committed = p.ask(commit_request(p, 9, {("t", 0): 1}), 9)
    found = p.ask(fetch_request(p, 9, {"t": [0]}), 9)
    assert committed.waits
    assert found.waits
    p.clock.advance(5_000)
    assert codes(committed.response) == [ErrorCode.COORDINATOR_NOT_AVAILABLE]
    assert found.response.groups[0].error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS


def test_what_a_transaction_holds_back_is_unstable_to_those_who_ask(p: GroupPath) -> None:
    commit(p, 9, 1)
    (shard,) = [s for s in p.groups.shards() if GROUP in s.groups]
    held = offset_record(GROUP, OffsetKey("t", 0), CommittedOffset(5, -1, "", 0))
    shard.replay(held, 99, 77)
    for version in (7, 10):
        request = fetch_request(p, version, {"t": [0]}, require_stable=True)
        response = p.now(request, version)
        topics = response.groups[0].topics if version >= 8 else response.topics
        assert topics[0].partitions[0].error_code == ErrorCode.UNSTABLE_OFFSET_COMMIT
    assert fetched(p, 10, {"t": [0]}) == {("t", 0): 1}


# Deleting


def delete(p: GroupPath, topic: str, *partitions: int, group: str = GROUP) -> Any:
    request = OffsetDeleteRequest(
        group_id=group,
        topics=[
            OffsetDeleteRequestTopic(
                name=topic,
                partitions=[OffsetDeleteRequestPartition(partition_index=i) for i in partitions],
            )
        ],
    )
    return p.now(request, 0)


def test_offsets_are_deleted_where_partitions_exist(p: GroupPath) -> None:
    p.now(commit_request(p, 9, {("t", 0): 1, ("u", 0): 2}), 9)
    response = delete(p, "t", 0, 1, 5)
    assert response.error_code == ErrorCode.NONE
    by_partition = {q.partition_index: q.error_code for q in response.topics[0].partitions}
    assert by_partition == {0: 0, 1: 0, 5: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
    assert codes(delete(p, "missing", 0)) == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
    assert fetched(p, 9, None) == {("u", 0): 2}


def test_a_delete_that_is_refused_as_a_whole_names_no_topics(p: GroupPath) -> None:
    response = delete(p, "t", 0, 5)
    assert (response.error_code, response.topics) == (ErrorCode.GROUP_ID_NOT_FOUND, [])
    assert delete(p, "t", 0, group="").error_code == ErrorCode.INVALID_GROUP_ID


def test_subscribed_topics_keep_their_offsets(p: GroupPath) -> None:
    stable(p)
    assert codes(delete(p, "t", 0)) == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC]


def test_deleting_a_topic_deletes_its_offsets(p: GroupPath) -> None:
    p.now(commit_request(p, 9, {("t", 0): 1, ("u", 0): 2}), 9)
    p.delete("t")
    p.create("t", 1)
    assert fetched(p, 9, None) == {("u", 0): 2}


def test_a_topic_deleted_while_groups_are_loaded_loses_its_offsets_then(p: GroupPath) -> None:
    commit(p, 9, 1)
    for partition in p.replicas.partitions():
        partition.stored_log.close()
    p.logs.release()
    again = GroupPath(disk=p.disk).ready()
    again.create("t", 1)
    again.delete("t")
    assert fetched(again, 9, None) == {}


# Commits in a rebalance, and the session


def test_a_commit_is_refused_until_the_new_generation_is_synchronised(p: GroupPath) -> None:
    joined = join(p, 9)
    fields = {"generation_id_or_member_epoch": 1, "member_id": joined.member_id}
    assert commit(p, 9, 1, **fields) == ErrorCode.REBALANCE_IN_PROGRESS
    p.now(sync_request(5, joined.member_id, 1), 5)
    assert commit(p, 9, 1, **fields) == ErrorCode.NONE
    assert p.ask(join_request(3), 3).waits
    assert commit(p, 9, 2, **fields) == ErrorCode.NONE


def test_after_everybody_left_anybody_may_commit(p: GroupPath) -> None:
    member_id = stable(p)
    assert commit(p, 9, 1) == ErrorCode.UNKNOWN_MEMBER_ID
    leaving = LeaveGroupRequest(group_id=GROUP, members=[MemberIdentity(member_id=member_id)])
    p.now(leaving, 5)
    assert commit(p, 9, 1) == ErrorCode.NONE


def test_a_group_without_a_name_can_keep_offsets(p: GroupPath) -> None:
    assert commit(p, 9, 3, group_id="") == ErrorCode.NONE
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id="", topics=None)])
    assert p.now(request, 8).groups[0].topics[0].partitions[0].committed_offset == 3


@pytest.mark.parametrize("version", [1, 7, 8, 10])
def test_offsets_are_not_told_once_the_lease_has_run_out(p: GroupPath, version: int) -> None:
    assert commit(p, 9, 42) == ErrorCode.NONE
    p.groups.holds_lease = lambda: False
    response = p.now(fetch_request(p, version, {"t": [0]}), version)
    if version >= 8:
        (response,) = response.groups
        assert response.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    elif version >= 2:
        assert response.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    else:
        assert response.topics[0].partitions[0].error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    p.groups.holds_lease = lambda: True
    assert fetched(p, 9, {"t": [0]}) == {("t", 0): 42}


@pytest.mark.parametrize("version", [2, 9, 10])
def test_a_topic_without_partitions_is_not_answered(p: GroupPath, version: int) -> None:
    request = commit_request(p, version, {("t", 0): 5})
    request.topics.append(OffsetCommitRequestTopic(name="u", topic_id=topic_id(p, "u")))
    [topic] = p.now(request, version).topics
    assert len(topic.partitions) == 1
