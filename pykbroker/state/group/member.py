"""A member of a classic group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wire.messages.describe_groups import DescribedGroupMember
from wire.messages.group_records import MemberMetadata

if TYPE_CHECKING:
    from collections.abc import Collection

    from pykbroker.state.coordinator import Waiter
    from wire.messages.join_group import JoinGroupRequestProtocol

Protocols = tuple[tuple[str, bytes], ...]
"""What a member can speak, (name, metadata), the most wanted first."""


def protocols_of(requested: list[JoinGroupRequestProtocol]) -> Protocols:
    """The first of several with one name counts, as in Kafka."""
    protocols: dict[str, bytes] = {}
    for protocol in requested:
        protocols.setdefault(protocol.name, bytes(protocol.metadata))
    return tuple(protocols.items())


@dataclass(slots=True)
class Member:
    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocols: Protocols
    assignment: bytes = b""
    join_waiter: Waiter | None = None
    sync_waiter: Waiter | None = None
    is_new: bool = False
    """Its first JoinGroup has not been answered: it does not know its id, cannot send heartbeats
    and is removed when its time is up, even while it waits."""

    @property
    def is_static(self) -> bool:
        return self.group_instance_id is not None

    @property
    def is_excused(self) -> bool:
        """From heartbeats: the group lets it wait."""
        return not self.is_new and (self.join_waiter is not None or self.sync_waiter is not None)

    def metadata(self, protocol: str | None) -> bytes:
        return next((metadata for name, metadata in self.protocols if name == protocol), b"")

    def vote(self, candidates: Collection[str]) -> str:
        return next(name for name, _ in self.protocols if name in candidates)

    def to_record(self, protocol: str | None, assignment: bytes) -> MemberMetadata:
        return MemberMetadata(
            member_id=self.member_id,
            group_instance_id=self.group_instance_id,
            client_id=self.client_id,
            client_host=self.client_host,
            rebalance_timeout=self.rebalance_timeout_ms,
            session_timeout=self.session_timeout_ms,
            subscription=self.metadata(protocol),
            assignment=assignment,
        )

    def describe(self, protocol: str | None) -> DescribedGroupMember:
        """Without a protocol, which only a stable group has, nothing is said of its metadata."""
        return DescribedGroupMember(
            member_id=self.member_id,
            group_instance_id=self.group_instance_id,
            client_id=self.client_id,
            client_host=self.client_host,
            member_metadata=b"" if protocol is None else self.metadata(protocol),
            member_assignment=self.assignment,
        )


def member_from_record(record: MemberMetadata, protocol: str | None) -> Member:
    """Only the protocol in use is known after a restart."""
    timeout = record.rebalance_timeout
    return Member(
        record.member_id,
        record.group_instance_id,
        record.client_id,
        record.client_host,
        record.session_timeout if timeout == -1 else timeout,
        record.session_timeout,
        ((protocol or "", bytes(record.subscription)),),
        bytes(record.assignment),
    )
