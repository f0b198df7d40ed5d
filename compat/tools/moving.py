"""kafka-leader-election, kafka-reassign-partitions, kafka-log-dirs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from compat.processes import eventually
from compat.tools.records import read, topic, write
from compat.tools.registry import check
from compat.tools.runner import expect, expect_none

if TYPE_CHECKING:
    from pathlib import Path

    from compat.tools.runner import Tools


def replicas(bootstrap: str, tools: Tools, name: str) -> dict[str, Any]:
    """Of the first partition: leader, replicas, ISR."""
    where = ("--bootstrap-server", bootstrap, "--describe", "--topic", name)
    told = tools.run("kafka-topics", *where)
    found = re.search(r"Partition: 0\s+Leader: (\d+)\s+Replicas: (\S+)\s+Isr: (\S+)", told)
    assert found, told
    return {
        "leader": int(found[1]),
        "replicas": [int(n) for n in found[2].split(",")],
        "isr": sorted(int(n) for n in found[3].split(",")),
    }


def plan(work: Path, name: str, *wanted: int) -> str:
    path = work / "plan.json"
    partition = {"topic": name, "partition": 0, "replicas": list(wanted)}
    path.write_text(json.dumps({"version": 1, "partitions": [partition]}))
    return str(path)


def reassign(bootstrap: str, tools: Tools, path: str, *how: str) -> str:
    """Beside other reassignments, which the cluster may be busy with."""
    if "--execute" in how:
        how = (*how, "--additional")
    where = ("--bootstrap-server", bootstrap, "--reassignment-json-file", path)
    return tools.run("kafka-reassign-partitions", *where, *how)


def complete(bootstrap: str, tools: Tools, path: str) -> str:
    """What ``--verify`` says once it is done, which takes the throttles away too."""
    told: list[str] = []

    def done() -> bool:
        told.append(reassign(bootstrap, tools, path, "--verify"))
        return "is complete" in told[-1] or "is completed" in told[-1]

    eventually(done, "the reassignment")
    return told[-1]


@check("kafka-reassign-partitions: in place", "A plan that changes nothing is complete at once.")
def reassign_in_place(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools)
    path = plan(work, name, *replicas(bootstrap, tools, name)["replicas"])
    expect(reassign(bootstrap, tools, path, "--execute"), "Current partition replica assignment")
    expect(complete(bootstrap, tools, path), f"{name}-0 is complete")
    listed = tools.run("kafka-reassign-partitions", "--bootstrap-server", bootstrap, "--list")
    expect(listed, "No partition reassignments found|Current partition reassignments")
    expect_none(listed, name)


@check(
    "kafka-reassign-partitions",
    "Moves replicas to other brokers while the topic is in use.",
    brokers=3,
)
def reassign_replicas(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools, 1, "--replication-factor", "1")
    write(bootstrap, tools, name, "".join(f"{n}\n" for n in range(100)))
    [first] = replicas(bootstrap, tools, name)["replicas"]
    others = sorted({1, 2, 3} - {first})
    topics = work / "topics.json"
    topics.write_text(json.dumps({"version": 1, "topics": [{"topic": name}]}))
    generate = ("--generate", "--topics-to-move-json-file", str(topics))
    where = ("--bootstrap-server", bootstrap, "--broker-list", ",".join(map(str, others)))
    proposed = tools.run("kafka-reassign-partitions", *where, *generate)
    expect(proposed, "Proposed partition reassignment configuration", f'"topic":"{name}"')
    path = plan(work, name, *others)
    expect(reassign(bootstrap, tools, path, "--execute"), "Successfully started")
    expect(complete(bootstrap, tools, path), f"{name}-0 is complete")
    now = replicas(bootstrap, tools, name)
    assert (now["replicas"], now["isr"]) == (others, others), now
    assert now["leader"] in others, now
    got = read(bootstrap, tools, name, 100, "--from-beginning")
    assert got == [str(n) for n in range(100)]


@check(
    "kafka-reassign-partitions: throttle",
    "The throttle is set while replicas move, and --verify removes it; --cancel calls a move off.",
    brokers=3,
)
def throttle(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools, 1, "--replication-factor", "1")
    perf = ("--topic", name, "--num-records", "6000", "--record-size", "1000")
    rate = ("--throughput", "-1", "--bootstrap-server", bootstrap)
    tools.run("kafka-producer-perf-test", *perf, *rate)
    [first] = replicas(bootstrap, tools, name)["replicas"]
    others = sorted({1, 2, 3} - {first})
    path = plan(work, name, *others)
    to = ("--bootstrap-server", bootstrap)
    of_topic = (*to, "--describe", "--entity-type", "topics", "--entity-name", name)
    of_broker = (*to, "--describe", "--entity-type", "brokers", "--entity-name", str(first))
    begun = reassign(bootstrap, tools, path, "--execute", "--throttle", "100000")
    expect(begun, "Successfully started", "throttle.* 100000 B/s")
    listed = tools.run("kafka-reassign-partitions", *to, "--list")
    expect(listed, f"{name}-0: replicas: ", "adding: ")
    expect(tools.run("kafka-configs", *of_topic), r"replication\.throttled\.replicas=0:")
    expect(tools.run("kafka-configs", *of_broker), r"replication\.throttled\.rate=100000")
    expect(reassign(bootstrap, tools, path, "--verify"), "is still in progress")
    expect(reassign(bootstrap, tools, path, "--cancel"), "Successfully cancelled")
    assert replicas(bootstrap, tools, name)["replicas"] == [first]
    expect_none(tools.run("kafka-configs", *of_topic), "throttled")
    reassign(bootstrap, tools, path, "--execute", "--throttle", "100000000")
    complete(bootstrap, tools, path)
    assert replicas(bootstrap, tools, name)["replicas"] == others
    expect_none(tools.run("kafka-configs", *of_topic), "throttled")
    expect_none(tools.run("kafka-configs", *of_broker), r"throttled\.rate")


@check("kafka-leader-election", "Elects the preferred leader, and says where there is no need to.")
def leader_election(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools)
    where = ("--bootstrap-server", bootstrap, "--election-type")
    one = ("--topic", name, "--partition", "0")
    told = tools.run("kafka-leader-election", *where, "preferred", *one)
    expect(told, f"Valid replica already elected for partitions {name}-0")
    path = work / "partitions.json"
    path.write_text(json.dumps({"partitions": [{"topic": name, "partition": 0}]}))
    from_file = ("--path-to-json-file", str(path))
    told = tools.run("kafka-leader-election", *where, "unclean", *from_file)
    expect(told, f"Valid replica already elected for partitions {name}-0")
    unknown = ("--topic", tools.name("topic"), "--partition", "0")
    told = tools.refused("kafka-leader-election", *where, "preferred", *unknown)
    expect(told, "UnknownTopicOrPartition|does not host")


@check(
    "kafka-leader-election: another preferred one",
    "After a change of the replicas' order the first of them is elected.",
    brokers=3,
)
def another_leader(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools, 1, "--replication-factor", "3")
    before = replicas(bootstrap, tools, name)
    turned = [*before["replicas"][1:], before["replicas"][0]]
    path = plan(work, name, *turned)
    reassign(bootstrap, tools, path, "--execute")
    complete(bootstrap, tools, path)
    where = ("--bootstrap-server", bootstrap, "--election-type", "preferred")
    told = tools.run("kafka-leader-election", *where, "--topic", name, "--partition", "0")
    expect(told, f"(Successfully|Valid).*{name}-0")
    now = replicas(bootstrap, tools, name)
    assert (now["leader"], now["replicas"]) == (turned[0], turned), now


@check("kafka-log-dirs", "What lies in the log directories of the brokers.")
def log_dirs(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools)
    write(bootstrap, tools, name, "x" * 1000 + "\n")
    where = ("--bootstrap-server", bootstrap, "--describe", "--topic-list", name)
    told = tools.run("kafka-log-dirs", *where)
    described = json.loads(told.splitlines()[-1])
    assert described["version"] >= 1, told
    partitions = [
        partition
        for broker in described["brokers"]
        for directory in broker["logDirs"]
        for partition in directory["partitions"]
    ]
    assert partitions, told
    for partition in partitions:
        assert partition["partition"] == f"{name}-0", told
        assert partition["isFuture"] is False, told
    assert max(p["size"] for p in partitions) > 1000, told
    assert all(d["error"] is None for b in described["brokers"] for d in b["logDirs"]), told
