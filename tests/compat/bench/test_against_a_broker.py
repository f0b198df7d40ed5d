"""The benchmark's own client, and small loads, against a broker."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest
from kafka.record import MemoryRecords
from kio.schema.fetch.v12.response import FetchResponse
from kio.schema.produce.v9.response import ProduceResponse

from compat.bench.batches import batch, payloads
from compat.bench.cli import main
from compat.bench.launchers import known_launcher
from compat.bench.loads.partitions import asked, fetch_all, produce_to_all
from compat.bench.loads.requests import pipelined_produce, read_back
from compat.bench.processes import ProcessTree
from compat.bench.raw import BrokerError, PreparedFetch, create_topic, prepare_produce
from compat.bench.subjects import started
from tests.support.process import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compat.bench.subjects import Subject


@pytest.fixture(scope="module")
def broker() -> Iterator[Subject]:
    with started(known_launcher("pykbroker-memory")) as subject:
        yield subject


def values(records: bytes) -> list[bytes]:
    found = []
    parsed = MemoryRecords(records)
    while (one := parsed.next_batch()) is not None:
        found.extend(bytes(record.value) for record in one)
    return found


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_a_batch_holds_the_payloads(codec: str) -> None:
    assert values(batch(100, 200, codec)) == [payloads(200)[n % 64] for n in range(100)]


def test_payloads_compress_as_events_do() -> None:
    pool = payloads(1000)
    assert {len(value) for value in pool} == {1000}
    assert len(set(pool)) == len(pool)
    assert 0.2 < len(zlib.compress(b"".join(pool))) / 64_000 < 0.7


def test_what_is_produced_is_fetched(broker: Subject) -> None:
    with broker.topic() as topic, topic.connect() as connection:
        produce = prepare_produce(topic.name, batch(3, 100))
        produce.check(connection.ask(produce.frame))
        fetch = PreparedFetch(topic.name)
        fetched = fetch.read(connection.ask(fetch.at(0)))
        assert fetched.high_watermark == 3
        assert fetched.next_offset(0) == 3
        assert values(bytes(fetched.records)) == list(payloads(100)[:3])
        assert fetch.read(connection.ask(fetch.at(3))).next_offset(3) == 3


def test_errors_are_seen(broker: Subject) -> None:
    produce, fetch = prepare_produce("nothing", batch(1, 1)), PreparedFetch("nothing")
    with broker.connect() as connection:
        with pytest.raises(BrokerError, match="Produce: unknown_topic_or_partition"):
            produce.check(connection.ask(produce.frame))
        with pytest.raises(BrokerError, match="Fetch: unknown_topic_or_partition"):
            fetch.read(connection.ask(fetch.at(0)))
        with pytest.raises(BrokerError, match="CreateTopics: invalid_partitions"):
            create_topic(connection, "none", 0)


def test_what_a_broker_refuses_is_not_measured(broker: Subject) -> None:
    with broker.topic(2) as topic, topic.connect() as connection:
        for request, response in (
            (fetch_all(topic.name, 3), FetchResponse),
            (produce_to_all(topic.name, 3), ProduceResponse),
        ):
            with pytest.raises(BrokerError, match="refused: unknown_topic_or_partition"):
                asked(broker, connection, request, 1, response)


def test_requests_ahead_of_their_answers_are_all_answered(broker: Subject) -> None:
    with broker.topic() as topic:
        assert pipelined_produce(topic, batch(10, 100), 20) > 0
        data = len(batch(10, 100))
        assert read_back(topic, 200, data) == 20
        assert read_back(topic, 200) == 1


def test_a_topic_is_gone_afterwards(broker: Subject) -> None:
    with broker.topic() as topic:
        pass
    produce = prepare_produce(topic.name, batch(1, 1))
    with topic.connect() as connection, pytest.raises(BrokerError):
        produce.check(connection.ask(produce.frame))


def test_processor_time_counts_children_that_run_and_that_have_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n"
    for program in (burn, parent):
        code = f"{program}\nprint('done', flush=True)\ninput()"
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            spent = ProcessTree(process.pid).cpu_seconds()
            process.communicate(b"\n")
        assert spent >= 0.3


def test_the_peak_is_seen() -> None:
    code = "input(); data = b'x' * 200_000_000; print(); input(); del data; print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with ProcessTree(process.pid).peak() as peak:
            for _ in range(2):
                process.stdin.write(b"\n")
                process.stdin.flush()
                process.stdout.readline()
                seen = len(peak.samples)
                eventually(lambda seen=seen: len(peak.samples) > seen + 1, what="a sample")
        process.communicate(b"\n")
    assert peak.samples[0] < 100
    assert peak.samples[-1] < 100
    assert peak.mb > 200  # samples are taken while it grows


def test_loads_of_every_kind_give_their_figures(broker: Subject, tmp_path: Path) -> None:
    assert broker.processes is not None
    [pid] = broker.processes.pids
    families = ["latency/", "end-to-end/", "connections/", "partitions/", "fan-out/", "groups/"]
    patterns = ["produce/1 KB", "consume/1 KB", "requests/*10 KB", *families]
    only = [word for pattern in patterns for word in ("--only", pattern)]
    target = f"pykbroker={broker.bootstrap},pid={pid}"
    arguments = ["--quick", "--rounds", "1", "--target", target, *only]
    out = tmp_path / "out"
    assert main([*arguments, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert not found["failures"]
    measures = {(one["family"], one["measure"]): one["values"] for one in found["results"]}
    assert ("produce", "mb_per_s") in measures
    assert ("consume", "cpu_s_per_gb") in measures
    assert ("latency", "p99.9_ms") in measures
    assert ("end-to-end", "p50_ms") in measures
    assert ("requests", "cpu_ms_per_1000") in measures
    assert ("connections", "kb_each") in measures
    assert ("partitions", "create_ms") in measures
    assert ("fan-out", "mb_per_s") in measures
    assert ("groups", "join_ms") in measures
    assert all(
        values["pykbroker"][0] > 0
        for (_, measure), values in measures.items()
        if measure != "kb_each"  # what was freed before may be used again
    )


def test_what_a_broker_is_started_for_gives_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "out"
    only = ("--only", "start/", "--only", "replicas/")
    arguments = ["--quick", "--rounds", "1", "--managed", "pykbroker-memory", *only]
    assert main([*arguments, "--json", str(out)]) == 0
    measures = {one["measure"] for one in json.loads(out.read_text())["results"]}
    assert {"first_ack_ms", "idle_mb", "peak_mb", "after_mb", "p99_ms", "mb_per_s"} <= measures
