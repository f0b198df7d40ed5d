"""Consumer groups of the classic protocol: joining, syncing, leaving, and what may go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.connection import Connection
    from compat.differential.talk import Talk


def joining(group: str, member: str = "", **more: Any) -> Body:
    return {
        "group_id": group,
        "session_timeout_ms": 30000,
        "rebalance_timeout_ms": 30000,
        "member_id": member,
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": b"meta"}],
    } | more


def join(
    t: Talk, v: int, group: str, member: str = "", *, on: Connection | None = None, **more: Any
) -> Body:
    """To the end, with a second request where the broker draws a member id first."""
    label = more.pop("label", "")
    answer = t.ask("join_group", v, joining(group, member, **more), on=on, label=f"{label} join")
    if answer["error_code"] == 79:
        again = joining(group, answer["member_id"], **more)
        answer = t.ask("join_group", v, again, on=on, label=f"{label} join with the id")
    return answer


def syncing(group: str, generation: int, member: str, *others: str, **more: Any) -> Body:
    assignments = [{"member_id": m, "assignment": b"part %d" % i} for i, m in enumerate(others)]
    return {
        "group_id": group,
        "generation_id": generation,
        "member_id": member,
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": assignments,
    } | more


def beating(group: str, generation: int, member: str, **more: Any) -> Body:
    return {"group_id": group, "generation_id": generation, "member_id": member} | more


def leaving(group: str, *members: str | Body) -> Body:
    listed = [m if isinstance(m, dict) else {"member_id": m} for m in members]
    first = members[0] if members and isinstance(members[0], str) else ""
    return {"group_id": group, "member_id": first, "members": listed}


def alone(t: Talk, group: str, version: int = 5, **more: Any) -> tuple[str, int]:
    """A group with one member that has its assignment; not recorded."""
    answer = t.quiet("join_group", version, joining(group, **more))
    if answer["error_code"] == 79:
        answer = t.quiet("join_group", version, joining(group, answer["member_id"], **more))
    member, generation = answer["member_id"], answer["generation_id"]
    t.names.of("uuid", member[-36:])
    t.quiet("sync_group", 3, syncing(group, generation, member, member))
    return member, generation


@case("join-group/alone", api="join_group")
def join_alone(t: Talk, v: int) -> None:
    group = t.name("g")
    answer = join(t, v, group)
    member, generation = answer["member_id"], answer["generation_id"]
    t.ask("describe_groups", 5, {"groups": [group]}, label="described")
    t.ask("heartbeat", 3, beating(group, generation, member))
    t.ask("sync_group", 3, syncing(group, generation, member, member))
    t.ask("heartbeat", 3, beating(group, generation, member))
    t.ask("describe_groups", 5, {"groups": [group]}, label="stable")
    join(t, v, group, member, label="again")
    t.ask("leave_group", 2, leaving(group, member))
    t.ask("describe_groups", 5, {"groups": [group]}, label="empty")


@case("join-group/refused", api="join_group")
def join_refused(t: Talk, v: int) -> None:
    for label, body in {
        "no group": joining(""),
        "session too short": joining(t.name("g"), session_timeout_ms=5),
        "session too long": joining(t.name("g"), session_timeout_ms=2**31 - 1),
        "session negative": joining(t.name("g"), session_timeout_ms=-1),
        "no protocols": joining(t.name("g"), protocols=[]),
        "no protocol type": joining(t.name("g"), protocol_type=""),
        "unknown member": joining(t.name("g"), "nobody"),
        "spaces around": joining(f" {t.name('g')} "),
    }.items():
        t.try_ask("join_group", v, body, label=label)


@case("join-group/protocols", api="join_group")
def join_protocols(t: Talk, v: int) -> None:
    group = t.name("g")
    alone(t, group)
    odd: dict[str, Body] = {
        "other type": {"protocol_type": "connect"},
        "other protocol": {"protocols": [{"name": "sticky", "metadata": b""}]},
        "no protocols": {"protocols": []},
        "no type": {"protocol_type": ""},
        "unknown member": {"member_id": "nobody"},
    }
    for label, more in odd.items():
        t.try_ask("join_group", v, joining(group) | more, label=label)


@case("join-group/two", api="join_group")
def join_two(t: Talk, v: int) -> None:
    group = t.name("g")
    first, second = t.connect(), t.connect()
    one = join(t, v, group, on=first, label="one:")
    t.ask("sync_group", 3, syncing(group, one["generation_id"], one["member_id"], one["member_id"]))
    pending = t.send("join_group", v, joining(group), on=second, label="two: join")
    if v >= 4:
        drawn = t.take(pending)["member_id"]
        again = joining(group, drawn)
        pending = t.send("join_group", v, again, on=second, label="two: join with the id")
    described = {"groups": [group]}
    t.until(
        lambda: (
            t.quiet("describe_groups", 5, described)["groups"][0]["group_state"]
            == "PreparingRebalance"
        ),
        "the rebalance",
    )
    member, generation = one["member_id"], one["generation_id"]
    t.ask("heartbeat", 3, beating(group, generation, member), label="rebalancing")
    t.ask("sync_group", 3, syncing(group, generation, member), label="sync too late")
    t.ask("describe_groups", 5, described, label="rebalancing, described")
    t.ask("join_group", v, joining(group, member), on=first, label="one: again")
    two = t.take(pending)
    other, generation = two["member_id"], two["generation_id"]
    t.ask("describe_groups", 5, described, label="completing, described")
    waits = t.send("sync_group", 3, syncing(group, generation, other), on=second, label="two: sync")
    t.ask("sync_group", 3, syncing(group, generation, member, member, other), label="one: sync")
    t.take(waits)
    t.ask("describe_groups", 5, described, label="stable, described")
    t.ask("heartbeat", 3, beating(group, generation - 1, member), label="old generation")
    t.ask("leave_group", 2, leaving(group, other), label="two leaves")
    t.ask("heartbeat", 3, beating(group, generation, member), label="and one hears of it")


@case("sync-group/refused", api="sync_group")
def sync_refused(t: Talk, v: int) -> None:
    group = t.name("g")
    member, generation = alone(t, group)
    for label, body in {
        "unknown group": syncing(t.name("g"), 1, "m"),
        "no group": syncing("", 1, "m"),
        "unknown member": syncing(group, generation, "nobody"),
        "no member": syncing(group, generation, ""),
        "old generation": syncing(group, generation - 1, member),
        "later generation": syncing(group, generation + 1, member),
        "other type": syncing(group, generation, member, protocol_type="connect"),
        "other protocol": syncing(group, generation, member, protocol_name="sticky"),
        "no protocol": syncing(group, generation, member, protocol_name=None, protocol_type=None),
        "again": syncing(group, generation, member),
        "again with others": syncing(group, generation, member, "stranger"),
        "instance of nobody": syncing(group, generation, member, group_instance_id="i"),
    }.items():
        t.try_ask("sync_group", v, body, label=label)


@case("sync-group/partly", api="sync_group")
def sync_partly(t: Talk, v: int) -> None:
    """Who is not in the leader's list gets nothing."""
    group = t.name("g")
    answer = t.quiet("join_group", 3, joining(group))
    member, generation = answer["member_id"], answer["generation_id"]
    t.ask("sync_group", v, syncing(group, generation, member, "stranger"))
    t.ask("describe_groups", 5, {"groups": [group]})


@case("heartbeat/refused", api="heartbeat")
def heartbeat_refused(t: Talk, v: int) -> None:
    group = t.name("g")
    member, generation = alone(t, group)
    for label, body in {
        "right": beating(group, generation, member),
        "unknown group": beating(t.name("g"), 1, "m"),
        "no group": beating("", 1, "m"),
        "unknown member": beating(group, generation, "nobody"),
        "no member": beating(group, generation, ""),
        "old generation": beating(group, generation - 1, member),
        "later generation": beating(group, generation + 1, member),
        "generation -1": beating(group, -1, member),
        "instance of nobody": beating(group, generation, member, group_instance_id="i"),
        "empty instance": beating(group, generation, member, group_instance_id=""),
    }.items():
        t.try_ask("heartbeat", v, body, label=label)


@case("leave-group/members", api="leave_group")
def leave(t: Talk, v: int) -> None:
    group = t.name("g")
    member, _ = alone(t, group)
    for label, body in {
        "unknown group": leaving(t.name("g"), "m"),
        "no group": leaving("", "m"),
        "unknown member": leaving(group, "nobody"),
        "no member": leaving(group, ""),
        "nobody": leaving(group),
        "unknown instance": leaving(group, {"member_id": "", "group_instance_id": "i"}),
        "instance of another": leaving(group, {"member_id": member, "group_instance_id": "i"}),
    }.items():
        t.try_ask("leave_group", v, body, label=label)
    t.ask("leave_group", v, leaving(group, member), label="it does")
    t.ask("leave_group", v, leaving(group, member), label="again")


@case("leave-group/several", api="leave_group", versions=lambda v: v >= 3)
def leave_several(t: Talk, v: int) -> None:
    group = t.name("g")
    member, _ = alone(t, group)
    body = leaving(group, "nobody", member, member, {"member_id": "", "group_instance_id": "x"})
    t.ask("leave_group", v, body)


@case("static-members/life", api="join_group", versions=lambda v: v >= 5)
def static_members(t: Talk, v: int) -> None:
    group = t.name("g")
    one = join(t, v, group, group_instance_id="i", label="new")
    member, generation = one["member_id"], one["generation_id"]
    sync = syncing(group, generation, member, member, group_instance_id="i")
    t.ask("sync_group", 3, sync, label="synced")
    t.ask("describe_groups", 5, {"groups": [group]}, label="stable")
    two = t.ask("join_group", v, joining(group, group_instance_id="i"), label="comes back")
    other, generation = two["member_id"], two["generation_id"]
    fenced = beating(group, generation, member, group_instance_id="i")
    t.ask("heartbeat", 3, fenced, label="the old id with its instance")
    t.ask("heartbeat", 3, beating(group, generation, member), label="the old id without")
    t.ask("heartbeat", 3, beating(group, generation, other, group_instance_id="i"), label="new id")
    t.ask("join_group", v, joining(group, member, group_instance_id="i"), label="old id joins")
    sync = syncing(group, generation, other, group_instance_id="i")
    t.ask("sync_group", 3, sync, label="new id syncs")
    t.ask("leave_group", 3, leaving(group, {"member_id": "", "group_instance_id": "i"}))
    t.ask("describe_groups", 5, {"groups": [group]}, label="gone")
    t.try_ask("join_group", v, joining(group, group_instance_id=""), label="empty instance")
    t.try_ask("join_group", v, joining(group, group_instance_id="a b"), label="odd instance")


@case("describe-groups/states", api="describe_groups")
def describe(t: Talk, v: int) -> None:
    group, empty = t.name("g"), t.name("g")
    alone(t, group)
    t.quiet("offset_commit", 2, committing(empty, t.topic()))
    for label, groups in {
        "stable": [group],
        "offsets alone": [empty],
        "unknown": [t.name("g")],
        "no name": [""],
        "several": [empty, group],
        "twice": [group, group],
        "nothing": [],
    }.items():
        body = {"groups": groups}
        t.ask("describe_groups", v, body, label=label)
        body["include_authorized_operations"] = True  # type: ignore[assignment]
        t.ask("describe_groups", v, body, label=f"{label}, with operations")


@case("list-groups/filters", api="list_groups")
def list_groups(t: Talk, v: int) -> None:
    group, empty, dead = t.name("g"), t.name("g"), t.name("g")
    alone(t, group)
    t.quiet("offset_commit", 2, committing(empty, t.topic()))
    member, _ = alone(t, dead)
    t.quiet("leave_group", 2, leaving(dead, member))
    t.ask("list_groups", v, {}, label="all")
    for states in (["Stable"], ["stable"], ["Empty", "Stable"], ["Dead"], ["Nonsense"], [""]):
        t.ask("list_groups", v, {"states_filter": states}, label=f"states {states}")
    for types in (["classic"], ["Classic"], ["consumer"], ["nonsense"], [""]):
        t.try_ask("list_groups", v, {"types_filter": types}, label=f"types {types}")
    body = {"states_filter": ["Empty"], "types_filter": ["classic"]}
    t.ask("list_groups", v, body, label="both")


@case("delete-groups/states", api="delete_groups")
def delete(t: Talk, v: int) -> None:
    group, empty, other = t.name("g"), t.name("g"), t.name("g")
    member, _ = alone(t, group)
    topic = t.topic()
    for name in (empty, other):
        t.quiet("offset_commit", 2, committing(name, topic))
    for label, groups in {
        "with a member": [group],
        "with offsets": [empty],
        "again": [empty],
        "unknown": [t.name("g")],
        "no name": [""],
        "several": [t.name("g"), other, group],
        "nothing": [],
        "twice": [other, other],
    }.items():
        t.ask("delete_groups", v, {"groups_names": groups}, label=label)
    t.quiet("leave_group", 2, leaving(group, member))
    t.ask("delete_groups", v, {"groups_names": [group]}, label="left by all")
    t.ask("describe_groups", 5, {"groups": [group]})
    t.ask("offset_fetch", 5, {"group_id": empty, "topics": None})


def committing(group: str, topic: str, offset: int = 7, **more: Any) -> Body:
    part = {"partition_index": 0, "committed_offset": offset, "committed_metadata": "meta"}
    return {
        "group_id": group,
        "generation_id_or_member_epoch": -1,
        "member_id": "",
        "retention_time_ms": -1,
        "topics": [{"name": topic, "topic_id": None, "partitions": [part]}],
    } | more
