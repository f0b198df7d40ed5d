"""Tools that write and read records, and ask for their offsets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from compat.tools.registry import check
from compat.tools.runner import expect

if TYPE_CHECKING:
    from pathlib import Path

    from compat.tools.runner import Tools

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def topic(bootstrap: str, tools: Tools, partitions: int = 1, *more: str) -> str:
    name = tools.name("topic")
    where = ("--bootstrap-server", bootstrap, "--create", "--topic", name)
    tools.run("kafka-topics", *where, "--partitions", str(partitions), *more)
    return name


def write(bootstrap: str, tools: Tools, name: str, lines: str, *more: str) -> None:
    where = ("--bootstrap-server", bootstrap, "--topic", name)
    output = tools.run("kafka-console-producer", *where, *more, stdin=lines)
    assert not re.search("ERROR|Exception", output), output


def read(bootstrap: str, tools: Tools, name: str, count: int, *more: str) -> list[str]:
    where = ("--bootstrap-server", bootstrap, "--topic", name, "--max-messages", str(count))
    output = tools.run("kafka-console-consumer", *where, *more)
    return [line for line in output.splitlines() if not line.startswith("Processed a total of")]


@check(
    "kafka-console-producer, kafka-console-consumer",
    "What is read from standard input is published, and read data is written to standard output.",
)
def console(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools)
    lines = "".join(f"k{n}:value {n}\n" for n in range(20))
    keyed = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
    write(bootstrap, tools, name, lines, *keyed)
    shown = [
        part
        for what in ("key", "offset", "partition")
        for part in ("--formatter-property", f"print.{what}=true")
    ]
    got = read(bootstrap, tools, name, 20, "--from-beginning", *shown)
    wanted = [f"Partition:0\tOffset:{n}\tk{n}\tvalue {n}" for n in range(20)]
    assert got == wanted, got
    tail = read(bootstrap, tools, name, 2, "--partition", "0", "--offset", "18")
    assert tail == ["value 18", "value 19"], tail


@check("kafka-console-producer: headers and acks", "Headers, null values and acks are as asked.")
def console_headers(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools)
    properties = ("parse.key=true", "parse.headers=true", "null.marker=NULL")
    options = [part for one in properties for part in ("--reader-property", one)]
    for acks in ("0", "1", "all"):
        idempotence = ("--command-property", "enable.idempotence=false") if acks != "all" else ()
        acked = ("--command-property", f"acks={acks}", *idempotence)
        write(bootstrap, tools, name, f"a:1,b:2\tkey\tacks {acks}\n", *options, *acked)
    write(bootstrap, tools, name, "a:1\tkey\tNULL\n", *options)
    shown = ("--formatter-property", "print.headers=true", "--formatter-property", "print.key=true")
    got = read(bootstrap, tools, name, 4, "--from-beginning", *shown)
    wanted = [f"a:1,b:2\tkey\tacks {acks}" for acks in ("0", "1", "all")] + ["a:1\tkey\tnull"]
    assert got == wanted, got


@check("kafka-console-producer: compression", "Batches of every codec are written and read.")
def console_compression(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools)
    for codec in CODECS:
        write(bootstrap, tools, name, f"{codec}\n" * 50, "--compression-codec", codec)
    got = read(bootstrap, tools, name, 250, "--from-beginning")
    assert got == [codec for codec in CODECS for _ in range(50)], got


@check("kafka-get-offsets", "The offsets of partitions at their ends and at times.")
def get_offsets(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools, 2)
    write(bootstrap, tools, name, "k:x\n" * 5, *_keyed())
    where = ("--bootstrap-server", bootstrap, "--topic", name)

    def offsets(*more: str) -> dict[str, str]:
        found = tools.run("kafka-get-offsets", *where, *more)
        return dict(re.findall(rf"^{name}:(\d+):(-?\d*)$", found, re.MULTILINE))

    latest = offsets()
    assert sorted(latest.values()) == ["0", "5"], latest
    assert offsets("--time", "earliest") == {"0": "0", "1": "0"}
    [busy] = [index for index, end in latest.items() if end == "5"]
    assert offsets("--time", "max-timestamp")[busy] in "01234"
    assert offsets("--time", "0", "--partitions", busy) == {busy: "0"}


def _keyed() -> list[str]:
    properties = ("parse.key=true", "key.separator=:")
    return [part for one in properties for part in ("--reader-property", one)]


@check("kafka-delete-records", "Deletes records of partitions down to the given offset.")
def delete_records(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools)
    write(bootstrap, tools, name, "".join(f"{n}\n" for n in range(10)))

    def delete(offset: int, partition: int = 0) -> str:
        path = work / "offsets.json"
        place = {"topic": name, "partition": partition, "offset": offset}
        path.write_text(json.dumps({"partitions": [place], "version": 1}))
        where = ("--bootstrap-server", bootstrap, "--offset-json-file", str(path))
        return tools.attempt("kafka-delete-records", *where)[1]

    expect(delete(4), rf"partition: {name}-0\s+low_watermark: 4")
    got = read(bootstrap, tools, name, 6, "--from-beginning")
    assert got == ["4", "5", "6", "7", "8", "9"], got
    expect(delete(99), rf"partition: {name}-0\s+error: .*OffsetOutOfRange")
    expect(delete(-1), rf"partition: {name}-0\s+low_watermark: 10")


def _events(output: str, name: str) -> list[dict[str, Any]]:
    found = []
    for line in output.splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            if event["name"] == name:
                found.append(event)
    return found


@check(
    "kafka-verifiable-producer, kafka-verifiable-consumer",
    "Every message that was acknowledged is consumed, in order.",
)
def verifiable(bootstrap: str, work: Path, tools: Tools) -> None:
    name, group = topic(bootstrap, tools, 1), tools.name("group")
    where = ("--bootstrap-server", bootstrap, "--topic", name)
    sent = tools.run("kafka-verifiable-producer", *where, "--max-messages", "3000", "--acks", "-1")
    acknowledged = _events(sent, "producer_send_success")
    assert [int(e["value"]) for e in acknowledged] == list(range(3000))
    assert [e["offset"] for e in acknowledged] == list(range(3000))
    asked = ("--group-id", group, "--max-messages", "3000", "--reset-policy", "earliest")
    got = tools.run("kafka-verifiable-consumer", *where, *asked, "--verbose")
    values = [int(e["value"]) for e in _events(got, "record_data")]
    assert values == list(range(3000)), values[:20]
    commits = _events(got, "offsets_committed")
    assert all(e["success"] for e in commits), commits
    assert commits[-1]["offsets"][0]["offset"] == 3000, commits[-1]
    assert len(_events(got, "partitions_assigned")) >= 1


@check(
    "kafka-producer-perf-test, kafka-consumer-perf-test",
    "As many records as were asked for are written and read, and their rates are told.",
)
def performance(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools, 3)
    producer = ("--topic", name, "--num-records", "20000", "--record-size", "200")
    told = tools.run(
        "kafka-producer-perf-test",
        *producer,
        "--throughput",
        "-1",
        "--bootstrap-server",
        bootstrap,
        "--command-property",
        "acks=all",
    )
    expect(told, r"^20000 records sent, [\d.]+ records/sec .* 99\.9th\.?")
    consumer = ("--bootstrap-server", bootstrap, "--topic", name, "--num-records", "20000")
    read_back = tools.run("kafka-consumer-perf-test", *consumer)
    header, values = read_back.splitlines()[-2:]
    told_by_name = dict(
        zip((h.strip() for h in header.split(",")), values.split(", "), strict=False)
    )
    assert int(told_by_name["data.consumed.in.nMsg"]) >= 20000, read_back


@check("kafka-e2e-latency", "A record comes back to who sent it, many times over.")
def end_to_end(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools)
    told = tools.run(
        "kafka-e2e-latency",
        *("--bootstrap-server", bootstrap, "--topic", name, "--num-records", "1000"),
        *("--producer-acks", "all", "--record-size", "100"),
    )
    expect(told, r"^Avg latency: [\d.]+ ms", r"^Percentiles: ")
