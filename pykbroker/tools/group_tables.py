"""What kafka-consumer-groups --describe prints of a group: offsets, members, state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pykbroker.tools.client import Refused, check
from pykbroker.tools.membership import committed
from pykbroker.tools.offsets import LATEST, offset_at
from pykbroker.tools.options import say
from wire.errors import ErrorCode
from wire.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from wire.messages.consumer_protocol import ConsumerProtocolAssignment
from wire.messages.describe_groups import DescribeGroupsRequest
from wire.persisted import decode_embedded

if TYPE_CHECKING:
    from pykbroker.tools.client import Client
    from pykbroker.tools.membership import Partition


@dataclass
class Member:
    member_id: str
    host: str
    client_id: str
    partitions: list[Partition] = field(default_factory=list)


@dataclass
class Group:
    group_id: str
    state: str
    assignor: str
    members: list[Member]


def group(client: Client, group_id: str) -> Group:
    """By the protocol it has: the newer one is asked for first, where the broker knows it."""
    node = client.coordinator(group_id)
    if ConsumerGroupDescribeRequest.api_key in client.connection(node).versions:
        request = ConsumerGroupDescribeRequest(group_ids=[group_id])
        (found,) = client.call(request, node).groups
        if found.error_code not in (ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.UNSUPPORTED_VERSION):
            check(found.error_code, found.error_message)
            members = [
                Member(
                    m.member_id,
                    m.client_host,
                    m.client_id,
                    [
                        (t.topic_name, p)
                        for t in m.assignment.topic_partitions
                        for p in t.partitions
                    ],
                )
                for m in found.members
            ]
            return Group(group_id, found.group_state, found.assignor_name, members)
    (classic,) = client.call(DescribeGroupsRequest(groups=[group_id]), node).groups
    check(classic.error_code, classic.error_message)
    if classic.group_state == "Dead":
        raise Refused(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
    members = []
    for m in classic.members:
        member = Member(m.member_id, m.client_host, m.client_id)
        if m.member_assignment and classic.protocol_type == "consumer":
            assigned, _ = decode_embedded(ConsumerProtocolAssignment, m.member_assignment)
            member.partitions = [
                (t.topic, p) for t in assigned.assigned_partitions for p in t.partitions
            ]
        members.append(member)
    return Group(group_id, classic.group_state, classic.protocol_data, members)


def head(found: Group) -> None:
    if found.state == "Empty":
        say(f"\nConsumer group '{found.group_id}' has no active members.")
    elif found.state == "Dead":
        say(f"\nConsumer group '{found.group_id}' does not exist.")
    elif found.state != "Stable":
        say(f"\nWarning: Consumer group '{found.group_id}' is rebalancing.")


def widths(*columns: tuple[int, list[str]]) -> list[int]:
    """Each column at least so wide, and as wide as what is in it."""
    return [max([least, *map(len, values)]) for least, values in columns]


def offsets_table(client: Client, group_id: str) -> None:
    found = group(client, group_id)
    head(found)
    known = committed(client, group_id)
    owners = {p: member for member in found.members for p in member.partitions}
    rows: list[tuple[str, ...]] = []
    for topic, index in sorted({*known, *owners}):
        end = offset_at(client, topic, index, LATEST)
        offset = known.get((topic, index))
        owner = owners.get((topic, index))
        who = (owner.member_id, owner.host, owner.client_id) if owner else ("-", "-", "-")
        current, lag = ("-", "-") if offset is None else (str(offset), str(end - offset))
        rows.append((group_id, topic, str(index), current, str(end), lag, *who))
    if not rows:
        return
    by_column = list(zip(*rows, strict=True))
    g, t, c, h = widths(*((15, list(by_column[i])) for i in (0, 1, 6, 7)))
    names = "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID"
    print()
    for row in (tuple(names.split()), *rows):
        print(
            f"{row[0]:<{g}} {row[1]:<{t}} {row[2]:<10} {row[3]:<15} {row[4]:<15} {row[5]:<15} "
            f"{row[6]:<{c}} {row[7]:<{h}} {row[8]}"
        )


def members_table(client: Client, group_id: str) -> None:
    found = group(client, group_id)
    head(found)
    print()
    rows = [
        (group_id, m.member_id, m.host, m.client_id, str(len(m.partitions))) for m in found.members
    ]
    titles = ("GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS")
    g, c, h, i = widths(*((15, [row[n] for row in rows]) for n in range(4)))
    for row in (titles, *rows):
        print(f"{row[0]:<{g}} {row[1]:<{c}} {row[2]:<{h}} {row[3]:<{i}} {row[4]:<15} ")


def state_table(client: Client, group_id: str) -> None:
    found = group(client, group_id)
    head(found)
    node = client.coordinator(group_id)
    where = f"{client.connection(node).name}  ({node})"
    titles = ("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS")
    row = (group_id, where, found.assignor or "-", found.state, str(len(found.members)))
    g, w = widths((15, [group_id]), (25, [where]))
    print()
    for line in (titles, row):
        print(f"{line[0]:<{g}} {line[1]:<{w}} {line[2]:<20} {line[3]:<20} {line[4]}")
