"""Kafka's own command line tools, unmodified."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat.driver import PATIENCE_SECONDS
from compat.suite import behaviour, holds, same

if TYPE_CHECKING:
    from compat.case import Case

SECONDS = 400.0


def tool(case: Case, name: str, *arguments: str, text: str = "", code: int | None = 0) -> str:
    """What it prints; it must end with ``code``."""
    done: dict[str, Any] = case.driver.call(
        "tool.run", patience=2 * PATIENCE_SECONDS, tool=name, arguments=list(arguments), input=text
    )
    output: str = done["output"]
    if code is not None and done["code"] != code:
        raise AssertionError(f"{name} ended with {done['code']}: {output[-1500:]}")
    return output


def on(case: Case) -> tuple[str, str]:
    return "--bootstrap-server", case.bootstrap


def filled(case: Case, count: int = 10, partitions: int = 1) -> str:
    """A topic with records of ``count`` lines."""
    topic = case.topic(partitions)
    lines = "".join(f"key{n}:value {n}\n" for n in range(count))
    options: tuple[str, ...] = ("--topic", topic, "--reader-property", "parse.key=true")
    options += ("--reader-property", "key.separator=:")
    tool(case, "kafka-console-producer", *on(case), *options, text=lines)
    return topic


@behaviour("kafka-topics: create, list, describe, alter, delete.", needs="tools", seconds=SECONDS)
def kafka_topics(case: Case) -> None:
    name = case.name("topic")
    where = ("--topic", name)
    factor = str(case.replication)
    options = ("--partitions", "3", "--replication-factor", factor)
    created = tool(
        case,
        "kafka-topics",
        *on(case),
        "--create",
        *where,
        *options,
        "--config",
        "retention.ms=100000",
    )
    holds("created", f"Created topic {name}." in created, created)
    case.wait_until_known(name, 3)
    holds("in the list", name in tool(case, "kafka-topics", *on(case), "--list").split())
    described = tool(case, "kafka-topics", *on(case), "--describe", *where)
    holds("partitions", "PartitionCount: 3" in described, described)
    holds("configs", "retention.ms=100000" in described, described)
    same("a line each", len(re.findall(r"Leader: \d+", described)), 3)
    again = tool(case, "kafka-topics", *on(case), "--create", *where, *options, code=1)
    holds("once only", "already exists" in again, again)
    tool(case, "kafka-topics", *on(case), "--alter", *where, "--partitions", "5")
    case.wait_until_known(name, 5)
    tool(case, "kafka-topics", *on(case), "--delete", *where)
    case.wait_for(lambda: name not in case.setup.do("list_topics")["topics"], "its end")


@behaviour(
    "kafka-configs: alter and describe the configs of topics and brokers.",
    needs="tools",
    seconds=SECONDS,
)
def kafka_configs(case: Case) -> None:
    topic = case.topic()
    entity = ("--entity-type", "topics", "--entity-name", topic)
    set_it = ("--alter", "--add-config", "retention.ms=123456,cleanup.policy=[compact,delete]")
    done = tool(case, "kafka-configs", *on(case), *entity, *set_it)
    holds("done", "Completed updating config" in done, done)
    described = tool(case, "kafka-configs", *on(case), *entity, "--describe")
    holds("retention", "retention.ms=123456" in described, described)
    holds("policy", "cleanup.policy=compact,delete" in described, described)
    tool(case, "kafka-configs", *on(case), *entity, "--alter", "--delete-config", "retention.ms")
    described = tool(case, "kafka-configs", *on(case), *entity, "--describe")
    holds("retention is the default again", "retention.ms=123456" not in described, described)
    node = str(case.setup.do("describe_cluster")["brokers"][0]["id"])
    broker = ("--entity-type", "brokers", "--entity-name", node)
    described = tool(case, "kafka-configs", *on(case), *broker, "--describe", "--all")
    holds("all of a broker", "log.retention.hours=" in described, described[:500])


@behaviour(
    "kafka-console-producer and kafka-console-consumer: lines in, lines out.",
    needs="tools",
    seconds=SECONDS,
)
def kafka_console(case: Case) -> None:
    topic = filled(case)
    options: tuple[str, ...] = ("--topic", topic, "--from-beginning", "--max-messages", "10")
    options += ("--formatter-property", "print.key=true", "--timeout-ms", "60000")
    read = tool(case, "kafka-console-consumer", *on(case), *options)
    lines = [line for line in read.splitlines() if line.startswith("key")]
    same("lines", lines, [f"key{n}\tvalue {n}" for n in range(10)])


@behaviour("kafka-get-offsets and kafka-delete-records.", needs="tools", seconds=SECONDS)
def kafka_offsets(case: Case) -> None:
    topic = filled(case)
    got = tool(case, "kafka-get-offsets", *on(case), "--topic", topic)
    holds("the end", f"{topic}:0:10" in got.split(), got)
    with tempfile.TemporaryDirectory() as work:
        plan = Path(work) / "offsets.json"
        partitions = [{"topic": topic, "partition": 0, "offset": 4}]
        plan.write_text(json.dumps({"partitions": partitions, "version": 1}))
        done = tool(case, "kafka-delete-records", *on(case), "--offset-json-file", str(plan))
    holds("low watermark", re.search(r"low_watermark: 4", done) is not None, done)
    got = tool(case, "kafka-get-offsets", *on(case), "--topic", topic, "--time", "earliest")
    holds("the beginning", f"{topic}:0:4" in got.split(), got)


@behaviour(
    "kafka-consumer-groups: list, describe, reset-offsets, delete.",
    needs="tools",
    seconds=SECONDS,
)
def kafka_consumer_groups(case: Case) -> None:
    topic, group = filled(case), case.group()
    options = ("--topic", topic, "--group", group, "--from-beginning", "--max-messages", "6")
    tool(case, "kafka-console-consumer", *on(case), *options, "--timeout-ms", "60000")
    run = ("kafka-consumer-groups", *on(case))
    holds("in the list", group in tool(case, *run, "--list").split())
    described = tool(case, *run, "--describe", "--group", group)
    row = next(line.split() for line in described.splitlines() if topic in line)
    same("committed, end, lag", row[3:6] if row[3].isdigit() else row[2:5], ["6", "10", "4"])
    state = tool(case, *run, "--describe", "--group", group, "--state")
    holds("its state", "Empty" in state, state)
    plan = ("--reset-offsets", "--group", group, "--topic", topic, "--to-offset", "2")
    dry = tool(case, *run, *plan, "--dry-run")
    holds("what it would be", re.search(rf"{topic}\s+0\s+2", dry) is not None, dry)
    same("and is not yet", case.setup.group_offsets(group), {f"{topic}-0": 6})
    tool(case, *run, *plan, "--execute")
    same("what it is", case.setup.group_offsets(group), {f"{topic}-0": 2})
    removed = tool(case, *run, "--delete-offsets", "--group", group, "--topic", topic)
    holds("offsets deleted", "Successful" in removed, removed)
    deleted = tool(case, *run, "--delete", "--group", group)
    holds("the group deleted", "successful" in deleted, deleted)
    holds("not in the list", group not in tool(case, *run, "--list").split())


@behaviour(
    "kafka-log-dirs, kafka-cluster, kafka-features, kafka-broker-api-versions, "
    "kafka-metadata-quorum: what a cluster is.",
    needs="tools",
    seconds=SECONDS,
)
def kafka_cluster(case: Case) -> None:
    topic = filled(case)
    told = tool(case, "kafka-log-dirs", *on(case), "--describe", "--topic-list", topic)
    found = json.loads(next(line for line in told.splitlines() if line.startswith("{")))
    sizes = [
        partition["size"]
        for broker in found["brokers"]
        for directory in broker["logDirs"]
        for partition in directory["partitions"]
        if partition["partition"] == f"{topic}-0"
    ]
    same("replicas", len(sizes), case.replication)
    holds("bytes", all(size > 0 for size in sizes), sizes)
    cluster_id = tool(case, "kafka-cluster", "cluster-id", *on(case))
    known = case.setup.do("describe_cluster")["cluster_id"]
    holds("cluster id", known in cluster_id, cluster_id)
    features = tool(case, "kafka-features", *on(case), "describe")
    holds("metadata.version", "metadata.version" in features, features)
    versions = tool(case, "kafka-broker-api-versions", *on(case))
    same("brokers", versions.count("(id: "), case.brokers)
    holds("no API unknown", "Produce(0):" in versions, versions[:400])
    quorum = tool(case, "kafka-metadata-quorum", *on(case), "describe", "--status")
    holds("a leader", re.search(r"LeaderId:\s+\d+", quorum) is not None, quorum)


@behaviour(
    "kafka-verifiable-producer and kafka-verifiable-consumer: each value acknowledged and read.",
    needs="tools",
    seconds=SECONDS,
)
def kafka_verifiable(case: Case) -> None:
    topic, group = case.topic(partitions=2), case.group()
    run = (*on(case), "--topic", topic, "--max-messages", "500")
    sent = _events(tool(case, "kafka-verifiable-producer", *run))
    same("acknowledged", sum(e["name"] == "producer_send_success" for e in sent), 500)
    read = _events(
        tool(
            case,
            "kafka-verifiable-consumer",
            *run,
            "--group-id",
            group,
            "--reset-policy",
            "earliest",
        )
    )
    same("read", sum(e["count"] for e in read if e["name"] == "records_consumed"), 500)


def _events(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


@behaviour(
    "kafka-producer-perf-test and kafka-consumer-perf-test run to their end.",
    needs="tools",
    seconds=SECONDS,
)
def kafka_perf_tests(case: Case) -> None:
    topic = case.topic(partitions=2)
    sent = tool(
        case,
        "kafka-producer-perf-test",
        "--topic",
        topic,
        "--num-records",
        "5000",
        "--record-size",
        "100",
        "--throughput",
        "-1",
        "--producer-props",
        f"bootstrap.servers={case.bootstrap}",
    )
    holds("records sent", "5000 records sent" in sent, sent)
    read = tool(
        case,
        "kafka-consumer-perf-test",
        *on(case),
        "--topic",
        topic,
        "--num-records" if "--num-records" in _help(case) else "--messages",
        "5000",
        "--timeout",
        "60000",
    )
    row = read.splitlines()[-1].split(",")
    holds("records read", int(float(row[4])) >= 5000, read)


def _help(case: Case) -> str:
    return tool(case, "kafka-consumer-perf-test", "--help", code=None)


@behaviour(
    "kafka-leader-election: preferred leaders lead again.",
    needs="tools",
    brokers=3,
    seconds=SECONDS,
)
def kafka_leader_election(case: Case) -> None:
    topic = case.topic()
    options = ("--election-type", "preferred", "--topic", topic, "--partition", "0")
    done = tool(case, "kafka-leader-election", *on(case), *options)
    holds("not needed", "Valid replica already elected" in done, done)


@behaviour(
    "kafka-reassign-partitions: execute with a throttle, verify, list.",
    needs="tools",
    brokers=3,
    seconds=SECONDS,
)
def kafka_reassign_partitions(case: Case) -> None:
    topic = case.topic(replication=2)
    before = case.setup.describe_topic(topic)["partitions"][0]["replicas"]
    ids = {broker["id"] for broker in case.setup.do("describe_cluster")["brokers"]}
    (other,) = ids - set(before)
    wanted = [other, before[0]]
    with tempfile.TemporaryDirectory() as work:
        plan = Path(work) / "plan.json"
        partitions = [{"topic": topic, "partition": 0, "replicas": wanted}]
        plan.write_text(json.dumps({"version": 1, "partitions": partitions}))
        run = ("kafka-reassign-partitions", *on(case), "--reassignment-json-file", str(plan))
        done = tool(case, *run, "--execute", "--throttle", "10000000")
        holds("started", "Successfully started partition reassignment" in done, done)
        case.wait_for(
            lambda: (
                set(case.setup.describe_topic(topic)["partitions"][0]["replicas"]) == set(wanted)
            ),
            "the new replicas",
        )
        verified = tool(case, *run, "--verify")
    holds("complete", f"Reassignment of partition {topic}-0 is completed." in verified, verified)
    holds("unthrottled", "Clearing topic-level throttles" in verified, verified)
    configs = case.setup.do("describe_configs", type="topic", name=topic)["configs"]
    same("no throttle is left", configs["leader.replication.throttled.replicas"]["value"], "")
    listed = tool(case, "kafka-reassign-partitions", *on(case), "--list")
    holds("none under way", topic not in listed, listed)


@behaviour(
    "kafka-client-metrics: subscriptions are made, described and deleted.",
    needs="tools",
    seconds=SECONDS,
)
def kafka_client_metrics(case: Case) -> None:
    name = case.name("metrics")
    run = ("kafka-client-metrics", *on(case))
    tool(
        case,
        *run,
        "--alter",
        "--name",
        name,
        "--metrics",
        "org.apache.kafka.producer.",
        "--interval",
        "30000",
    )
    described = tool(case, *run, "--describe", "--name", name)
    holds("interval", "interval.ms=30000" in described, described)
    tool(case, *run, "--delete", "--name", name)
    holds("gone", name not in tool(case, *run, "--list"))


@behaviour(
    "kafka-dump-log reads a broker's segments.", needs="tools", control=True, seconds=SECONDS
)
def kafka_dump_log(case: Case) -> None:
    topic = filled(case)
    broker = case.setup.describe_topic(topic)["partitions"][0]["leader"]
    directory = getattr(case.control, "data_directory", None)
    if directory is None:
        case.unavailable("where the broker keeps its data is not known")
    segment = directory(broker) / f"{topic}-0" / f"{0:020}.log"
    dumped = tool(
        case, "kafka-dump-log", "--files", str(segment), "--print-data-log", "--deep-iteration"
    )
    payloads = re.findall(r"payload: (value \d+)", dumped)
    same("records", payloads, [f"value {n}" for n in range(10)])


@behaviour("kafka-acls.", needs="tools", apis=("DescribeAcls",))
def kafka_acls(case: Case) -> None:
    case.unavailable("not covered by this suite yet")


@behaviour("kafka-transactions.", needs="tools", apis=("EndTxn",))
def kafka_transactions(case: Case) -> None:
    case.unavailable("not covered by this suite yet")
