"""kafka-consumer-groups: --list, --describe, --reset-offsets, --delete."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pykbroker.tools.client import Refused, ToolError, check
from pykbroker.tools.group_tables import members_table, offsets_table, state_table
from pykbroker.tools.membership import commit_request, committed
from pykbroker.tools.offsets import EARLIEST, LATEST, offset_at
from pykbroker.tools.options import connect, flag, ignored, parse, parser, run, say, settings
from wire.messages.delete_groups import DeleteGroupsRequest
from wire.messages.list_groups import ListGroupsRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykbroker.tools.client import Client
    from pykbroker.tools.membership import Partition
    from pykbroker.tools.options import Parser

ACTIONS = ("list", "describe", "reset-offsets", "delete")
WAYS = ("to-earliest", "to-latest", "to-current")
WITHOUT_EXECUTE = (
    "WARN: No action will be performed as the --execute option is missing. In version 5.0, this "
    "command will require either --dry-run or --execute to be specified. You should add the "
    "--dry-run option explicitly if you are scripting this command and want to keep the current "
    "default behavior without prompting."
)


def command_line() -> Parser:
    made = parser("kafka-consumer-groups", "Consumer groups and their offsets.")
    for action in ACTIONS:
        flag(made, action)
    made.add_argument("--group", action="append", default=[])
    flag(made, "all-groups")
    made.add_argument("--state", nargs="?", const="", help="the groups' states, or only in these")
    flag(made, "members")
    flag(made, "offsets")
    flag(made, "verbose")
    made.add_argument("--topic", action="append", default=[], metavar="NAME[:0,1]")
    flag(made, "all-topics")
    flag(made, "execute")
    flag(made, "dry-run")
    for way in WAYS:
        flag(made, way)
    made.add_argument("--to-offset", type=int)
    made.add_argument("--shift-by", type=int)
    made.add_argument("--to-datetime", metavar="YYYY-MM-DDThh:mm:ss[.sss]")
    ignored(made, "timeout")
    made.add_argument("--type", help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str]) -> int:
    made = command_line()
    options = parse(made, arguments)
    asked = [action for action in ACTIONS if getattr(options, action.replace("-", "_"))]
    if len(asked) != 1:
        made.error(
            "Command must include exactly one action: --list, --describe, --delete, --reset-offsets"
        )
    if asked[0] != "list" and not options.group and not options.all_groups:
        made.error(f"Option [{asked[0]}] takes one of these options: [all-groups], [group]")

    def act() -> None:
        client = connect(options, settings([], options.command_config))
        {
            "list": show,
            "describe": describe,
            "reset-offsets": reset_offsets,
            "delete": delete,
        }[asked[0]](client, options)

    # Kafka's tool ends well whatever it has to say.
    code = run(act, "\nError: Executing consumer group command failed due to ")
    return 1 if code > 1 else 0


def listed(client: Client) -> dict[str, str]:
    """The states of all groups."""
    found: dict[str, str] = {}
    for broker in client.metadata([]).brokers:
        answer = client.call(ListGroupsRequest(), broker.node_id)
        check(answer.error_code)
        found |= {group.group_id: group.group_state for group in answer.groups}
    return found


def chosen(client: Client, options: argparse.Namespace) -> list[str]:
    return sorted(listed(client)) if options.all_groups else list(options.group)


def show(client: Client, options: argparse.Namespace) -> None:
    groups = listed(client)
    if options.state is None:
        for group in groups:
            print(group)
        return
    only = {state.strip().lower() for state in options.state.split(",") if state}
    print(f"{'GROUP':<26}STATE")
    for group, state in groups.items():
        if not only or state.lower() in only:
            print(f"{group:<26}{state}")


def describe(client: Client, options: argparse.Namespace) -> None:
    for group in chosen(client, options):
        try:
            if options.members:
                members_table(client, group)
            elif options.state is not None:
                state_table(client, group)
            else:
                offsets_table(client, group)
        except Refused as error:
            raise ToolError(f"{error.exception}: {error}") from error


def delete(client: Client, options: argparse.Namespace) -> None:
    deleted, failed = [], []
    for group in chosen(client, options):
        request = DeleteGroupsRequest(groups_names=[group])
        (result,) = client.call(request, client.coordinator(group)).results
        if result.error_code:
            failed.append((group, Refused(result.error_code)))
        else:
            deleted.append(f"'{group}'")
    if not failed:
        print(f"Deletion of requested consumer groups ({', '.join(deleted)}) was successful.")
        return
    say("\nError: Deletion of some consumer groups failed:")
    for group, error in failed:
        say(f"* Group '{group}' could not be deleted due to: {error.exception}: {error}")
    if deleted:
        print(f"\nThese consumer groups were deleted successfully: {', '.join(deleted)}")


def reset_offsets(client: Client, options: argparse.Namespace) -> None:
    ways = [name for name in WAYS if getattr(options, name.replace("-", "_"))]
    given = [v for v in (options.to_offset, options.shift_by, options.to_datetime) if v is not None]
    if len(ways) + len(given) != 1:
        raise ToolError(
            "exactly one of --to-earliest, --to-latest, --to-current, --to-offset, --shift-by, "
            "--to-datetime says where to"
        )
    if not options.execute and not options.dry_run:
        say(WITHOUT_EXECUTE)
    print(f"\n{'GROUP':<15} {'TOPIC':<15} {'PARTITION':<10} NEW-OFFSET")
    for group in chosen(client, options):
        known = committed(client, group)
        wanted = partitions(client, options, known)
        targets = {p: target(client, options, p, known) for p in wanted}
        if options.execute and targets:
            request = commit_request(client, group, targets)
            for topic in client.call(request, client.coordinator(group)).topics:
                for partition in topic.partitions:
                    check(partition.error_code)
        for (topic_name, index), offset in targets.items():
            print(f"{group:<15} {topic_name:<15} {index:<10} {offset}")


def partitions(
    client: Client, options: argparse.Namespace, known: dict[Partition, int]
) -> list[Partition]:
    if options.all_topics:
        return sorted(known)
    if not options.topic:
        raise ToolError("One of the reset scopes should be defined: --all-topics, --topic.")
    found: list[Partition] = []
    for text in options.topic:
        name, _, indexes = text.partition(":")
        there = sorted(p.partition_index for p in client.topic(name).partitions)
        found += [(name, int(i)) for i in (indexes.split(",") if indexes else there)]
    return found


def target(
    client: Client, options: argparse.Namespace, partition: Partition, known: dict[Partition, int]
) -> int:
    """Where a partition goes, never outside its log."""
    first = offset_at(client, *partition, EARLIEST)
    end = offset_at(client, *partition, LATEST)
    if options.to_earliest:
        return first
    if options.to_latest:
        return end
    if options.to_datetime is not None:
        found = offset_at(client, *partition, milliseconds(options.to_datetime))
        return end if found < 0 else found
    current = known.get(partition)
    if options.to_offset is not None:
        wanted = options.to_offset
    elif current is None:
        wanted = end
    else:
        wanted = current + (options.shift_by or 0)
    return int(min(max(wanted, first), end))


def milliseconds(text: str) -> int:
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ToolError(f"{text} is not a date such as 2026-01-31T12:00:00.000") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
