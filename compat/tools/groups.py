"""kafka-consumer-groups and kafka-groups."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compat.processes import eventually
from compat.tools.records import read, topic, write
from compat.tools.registry import check
from compat.tools.runner import expect, expect_none

if TYPE_CHECKING:
    from pathlib import Path

    from compat.tools.runner import Tools


def consumed(bootstrap: str, tools: Tools, count: int = 6) -> tuple[str, str]:
    """A topic of ten records, and a group that has read so many and is gone."""
    name, group = topic(bootstrap, tools), tools.name("group")
    write(bootstrap, tools, name, "".join(f"{n}\n" for n in range(10)))
    got = read(bootstrap, tools, name, count, "--from-beginning", "--group", group)
    assert got == [str(n) for n in range(count)], got
    return name, group


@check("kafka-consumer-groups: describe", "Positions, lag, members and state of a group.")
def describe(bootstrap: str, work: Path, tools: Tools) -> None:
    name, group = consumed(bootstrap, tools)
    to = ("--bootstrap-server", bootstrap)
    of = (*to, "--describe", "--group", group)
    expect(
        tools.run("kafka-consumer-groups", *of),
        "has no active members",
        rf"^{group}\s+{name}\s+0\s+6\s+10\s+4\s+-",
    )
    expect(tools.run("kafka-consumer-groups", *of, "--state"), rf"^{group}\s.*Empty\s+0")
    expect(tools.run("kafka-consumer-groups", *to, "--list"), f"^{group}$")
    states = tools.run("kafka-consumer-groups", *to, "--list", "--state", "Empty")
    expect(states, rf"^{group}\s+Empty")
    stable = tools.run("kafka-consumer-groups", *to, "--list", "--state", "Stable")
    expect_none(stable, group)
    expect(tools.run("kafka-groups", *to, "--list"), rf"^{group}\s+Classic\s+consumer")
    unknown = (*to, "--describe", "--group", tools.name("group"))
    expect(tools.attempt("kafka-consumer-groups", *unknown)[1], "does not exist|not found")


@check("kafka-consumer-groups: members", "Who is in a group, and what is assigned to whom.")
def members(bootstrap: str, work: Path, tools: Tools) -> None:
    name, group = topic(bootstrap, tools, 2), tools.name("group")
    to = ("--bootstrap-server", bootstrap)
    consumer = tools.start(
        "kafka-console-consumer",
        *(*to, "--topic", name, "--group", group, "--command-property", "client.id=someone"),
    )
    try:
        of = (*to, "--describe", "--group", group)

        def joined() -> bool:
            told = tools.attempt("kafka-consumer-groups", *of, "--members", "--verbose")[1]
            pattern = rf"^{group}\s+someone-\S+\s+/\S+\s+someone\s+2\s.*{name}\(0,1\)|{name}:0,1"
            return re.search(pattern, told, re.MULTILINE) is not None

        eventually(joined, "the member and its two partitions")
        state = tools.run("kafka-consumer-groups", *of, "--state")
        expect(state, rf"^{group}\s.*range\s+Stable\s+1")
        reset = (*to, "--group", group, "--topic", name, "--reset-offsets", "--to-earliest")
        busy = tools.attempt("kafka-consumer-groups", *reset, "--execute")[1]
        expect(busy, "inactive|Stable")
        deleted = tools.attempt("kafka-consumer-groups", *to, "--delete", "--group", group)[1]
        expect(deleted, "GroupNotEmpty|not empty")
    finally:
        consumer.stop()


@check("kafka-consumer-groups: reset offsets", "Offsets of an inactive group are set anew.")
def reset(bootstrap: str, work: Path, tools: Tools) -> None:
    name, group = consumed(bootstrap, tools)
    to = ("--bootstrap-server", bootstrap, "--group", group)
    resets = (*to, "--topic", name, "--reset-offsets")

    def after(*how: str) -> int:
        told = tools.run("kafka-consumer-groups", *resets, *how)
        found = re.search(rf"^{group}\s+{name}\s+0\s+(-?\d+)", told, re.MULTILINE)
        assert found, told
        return int(found[1])

    assert after("--to-earliest", "--dry-run") == 0
    described = tools.run("kafka-consumer-groups", *to, "--describe")
    expect(described, rf"^{group}\s+{name}\s+0\s+6\s")
    for how, wanted in (
        (("--to-earliest",), 0),
        (("--to-latest",), 10),
        (("--to-offset", "3"), 3),
        (("--shift-by", "2"), 5),
        (("--shift-by", "-99"), 0),
        (("--to-datetime", "2020-01-01T00:00:00.000"), 0),
        (("--by-duration", "P1D"), 0),
    ):
        assert after(*how, "--execute") == wanted, how
    plan = tools.run("kafka-consumer-groups", *resets, "--to-offset", "4", "--export", "--dry-run")
    exported = "".join(line + "\n" for line in plan.splitlines() if re.match(f'"?{name}"?,', line))
    assert exported, plan
    path = work / "plan.csv"
    path.write_text(exported)
    from_file = ("--reset-offsets", "--from-file", str(path), "--execute")
    tools.run("kafka-consumer-groups", *to, *from_file)
    got = read(bootstrap, tools, name, 6, "--group", group)
    assert got == ["4", "5", "6", "7", "8", "9"], got


@check("kafka-consumer-groups: delete", "Offsets of a topic, and whole groups, are deleted.")
def delete(bootstrap: str, work: Path, tools: Tools) -> None:
    name, group = consumed(bootstrap, tools)
    to = ("--bootstrap-server", bootstrap, "--group", group)
    gone = tools.run("kafka-consumer-groups", *to, "--delete-offsets", "--topic", name)
    expect(gone, rf"{name}\s+0\s+Successful")
    left = tools.attempt("kafka-consumer-groups", *to, "--describe")[1]
    expect_none(left, rf"^{group}\s+{name}\s")
    _, group = consumed(bootstrap, tools)
    to = ("--bootstrap-server", bootstrap, "--group", group)
    expect(tools.run("kafka-consumer-groups", *to, "--delete"), "was successful")
    again = tools.attempt("kafka-consumer-groups", *to, "--delete")[1]
    expect(again, "GroupIdNotFound|does not exist")
