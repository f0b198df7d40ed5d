"""The records of ``__consumer_offsets``, at the versions that a 4.x broker writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.coordinator import CoordinatorRecord
from wire.messages.group_records import (
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)

if TYPE_CHECKING:
    from pykbroker.state.group.offsets import CommittedOffset, OffsetKey

GROUP_METADATA_VERSION = 3
OFFSET_COMMIT_VERSION = 4
OFFSET_COMMIT_EXPIRING_VERSION = 1
"""The only one with an expiry of its own, which OffsetCommit 2 to 4 could ask for (KIP-211)."""


def group_record(group_id: str, value: GroupMetadataValue) -> CoordinatorRecord:
    return CoordinatorRecord(GroupMetadataKey(group=group_id), value, GROUP_METADATA_VERSION)


def group_tombstone(group_id: str) -> CoordinatorRecord:
    return CoordinatorRecord(GroupMetadataKey(group=group_id), None)


def new_group_value(timestamp_ms: int) -> GroupMetadataValue:
    """A group that somebody has asked to join."""
    return GroupMetadataValue(protocol=None, leader=None, current_state_timestamp=timestamp_ms)


def offset_record(group_id: str, key: OffsetKey, committed: CommittedOffset) -> CoordinatorRecord:
    expires = committed.expire_timestamp_ms != -1
    value = OffsetCommitValue(
        offset=committed.offset,
        leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
        commit_timestamp=committed.commit_timestamp_ms,
        expire_timestamp=committed.expire_timestamp_ms,
        topic_id=committed.topic_id,
    )
    return CoordinatorRecord(
        OffsetCommitKey(group=group_id, topic=key.topic, partition=key.partition),
        value,
        OFFSET_COMMIT_EXPIRING_VERSION if expires else OFFSET_COMMIT_VERSION,
    )


def offset_tombstone(group_id: str, key: OffsetKey) -> CoordinatorRecord:
    return CoordinatorRecord(
        OffsetCommitKey(group=group_id, topic=key.topic, partition=key.partition), None
    )
