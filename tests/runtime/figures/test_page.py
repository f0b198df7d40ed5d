"""The page of figures, as a scraper reads it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from pykbroker.edges.clock import SystemClock
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.runtime.figures.broker import samples, watch
from pykbroker.runtime.figures.groups import group_samples
from pykbroker.runtime.figures.partitions import partition_samples, traffic_samples
from pykbroker.runtime.figures.rates import Rates
from pykbroker.runtime.figures.table import FAMILIES, family_of, named
from pykbroker.runtime.metrics import collect, page, render
from pykbroker.state.group.classic_group import ClassicGroup
from pykbroker.state.group.counts import GroupCounts
from pykbroker.state.group.offsets import CommittedOffset, GroupOffsets, OffsetKey
from pykbroker.state.types import TopicPartition
from tests.support.data_path import DataPath, batch, partition_image
from tests.support.in_process import broker_in_process
from tests.support.scraped import NoEnds, read, scrape, value


def test_partitions_tell_their_logs_and_replicas() -> None:
    path = DataPath()
    short = partition_image(replicas=(1, 2), isr=(1,))
    followed = partition_image(leader=2, replicas=(2, 1))
    path.create("t", [short, followed], min_insync_replicas=2)
    path.partition().append_as_leader(batch(b"a", b"b"), acks=1)
    found = scrape(partition_samples(path.replicas))
    zero, one = {"topic": "t", "partition": "0"}, {"topic": "t", "partition": "1"}
    manager = "kafka_server_replicamanager_"
    assert value(found, f"{manager}partitioncount") == 2
    assert value(found, f"{manager}leadercount") == 1
    assert value(found, f"{manager}underreplicatedpartitions") == 1
    assert value(found, f"{manager}underminisrpartitioncount") == 1
    assert value(found, f"{manager}atminisrpartitioncount") == 0
    assert value(found, "kafka_log_log_logendoffset", **zero) == 2
    assert value(found, "kafka_log_log_logendoffset", **one) == 0
    assert value(found, "kafka_log_log_size", **zero) == path.partition().traffic.bytes_in
    assert value(found, "kafka_cluster_partition_insyncreplicascount", **zero) == 1
    assert value(found, "kafka_cluster_partition_replicascount", **one) == 0
    assert value(found, "kafka_topic_partition_under_replicated_partition", **zero) == 1
    assert value(found, "kafka_topic_partition_leader", **zero) == 1
    assert value(found, "kafka_topic_partition_leader", **one) is None
    # Nothing of it is committed while too few are in sync.
    assert value(found, "kafka_topic_partition_current_offset", **zero) == 0


def test_traffic_never_falls_when_partitions_and_topics_go() -> None:
    path = DataPath()
    path.create("t", 2)
    path.create("u", 1)
    path.append(b"a", b"b")
    path.append(b"c", index=1)
    path.append(b"d", name="u")
    messages = "kafka_server_brokertopicmetrics_messagesin_total"

    def told() -> tuple[float | None, float | None, float | None]:
        found = scrape(traffic_samples(path.services))
        by_topic = [value(found, messages, topic=topic) for topic in ("t", "u")]
        return value(found, messages), by_topic[0], by_topic[1]

    assert told() == (4, 3, 1)
    elsewhere = partition_image(leader=2, replicas=(2,), epoch=1, version=1)
    path.elect("t", elsewhere, partition_image())
    assert told() == (4, 3, 1)
    path.delete("t")
    assert told() == (4, None, 1)


def committed(offset: int) -> CommittedOffset:
    return CommittedOffset(offset, -1, "", 0)


def test_lag_is_what_is_behind_the_committed_offset() -> None:
    path = DataPath()
    path.create("t", 2)
    path.append(b"a", b"b", b"c")
    offsets = GroupOffsets()
    offsets.put("g", OffsetKey("t", 0), committed(1), -1)
    offsets.put("g", OffsetKey("t", 1), committed(0), -1)
    offsets.put("g", OffsetKey("elsewhere", 0), committed(7), -1)
    offsets.put("g", OffsetKey("told", 3), committed(7), -1)
    ends = SimpleNamespace(end={TopicPartition("told", 3): 12}.get)
    shard = SimpleNamespace(groups={"g": ClassicGroup("g", 0)}, offsets=offsets)
    groups = SimpleNamespace(
        shards=lambda: [shard], counts=GroupCounts(), loads=SimpleNamespace(longest_ms=3, mean_ms=2)
    )
    broker: Any = SimpleNamespace(groups=groups, replicas=path.replicas, clock=path.clock)
    found = scrape(group_samples(broker, Rates(0), ends))
    name = "kafka_consumergroup_"
    group = {"consumergroup": "g", "topic": "t"}
    assert value(found, f"{name}lag", **group, partition="0") == 2
    assert value(found, f"{name}lag", **group, partition="1") == 0
    assert value(found, f"{name}lag_sum", **group) == 2
    assert value(found, f"{name}current_offset", **group, partition="0") == 1
    assert value(found, f"{name}current_offset_sum", **group) == 1
    away = {"consumergroup": "g", "topic": "elsewhere"}
    assert value(found, f"{name}current_offset", **away, partition="0") == 7
    assert value(found, f"{name}lag", **away, partition="0") is None
    assert value(found, f"{name}lag_sum", **away) is None
    told = {"consumergroup": "g", "topic": "told"}
    assert value(found, f"{name}lag", **told, partition="3") == 5
    assert value(found, f"{name}lag_sum", **told) == 5
    assert value(found, f"{name}members", consumergroup="g") == 0
    assert value(found, "kafka_coordinator_group_groupmetadatamanager_numgroupsempty") == 1
    assert value(found, "kafka_coordinator_group_groupmetadatamanager_numoffsets") == 4


@pytest.mark.anyio
async def test_a_broker_tells_what_the_table_says() -> None:
    async with broker_in_process() as broker:
        services = broker.services
        made = samples(services, broker.connections, watch(services, broker.connections), NoEnds())
        found = [sample for sample in made if sample is not None]
        pages = {
            accept: render(found, accept)[1].decode()
            for accept in ("text/plain", "application/openmetrics-text; version=1.0.0")
        }
    text, openmetrics = pages.values()
    assert value(read(text), "kafka_controller_kafkacontroller_activecontrollercount") == 1
    assert value(read(text), "kafka_brokers") == 1
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == len(read(text)), "no series stands twice"
    told = {family.name: family for family in text_format(text)}
    for name, family in FAMILIES.items():
        shown = told.get(name.removesuffix("_total"))
        if shown is not None:
            # The formats have no counters but those.
            is_other = family.type == "counter" and not name.endswith("_total")
            type_ = "unknown" if is_other else family.type
            assert (shown.type, shown.documentation) == (type_, family.help)
    assert all(family_of(name) for name, _, _ in found)
    assert {f.name for f in open_metrics(openmetrics)} == told.keys()


def test_connections_are_told_by_listener() -> None:
    name = "kafka_server_socket_server_metrics_listener_{}_networkprocessor_0_connection_count"
    template = name.format("{listener}")
    assert template in FAMILIES
    found = scrape([(named(template, listener="INSIDE"), (), 3)])
    assert value(found, name.format("inside")) == 3


@pytest.mark.anyio
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
async def test_a_page_that_is_made_in_pieces_is_one(accept: str) -> None:
    """Each family once, with all its series, the process's own among them."""
    made = [("kafka_topic_partitions", (f"t{number}",), number) for number in range(1000)]
    both = [("pykbroker_metrics_left_out", (), 2.0), ("pykbroker_metrics_left_out", (), 3.0)]
    content_type, body = await page([*made, None, *both], accept, SystemClock(), ThreadWorkers())
    assert content_type.startswith(accept[:10])
    text = body.decode()
    parse = open_metrics if "openmetrics" in accept else text_format
    found = {family.name: family for family in parse(text)}
    samples = found["kafka_topic_partitions"].samples
    assert [(s.labels["topic"], s.value) for s in samples] == [(t, n) for _, (t,), n in made]
    assert [s.value for s in found["pykbroker_metrics_left_out"].samples] == [5]
    assert text.count("# TYPE kafka_topic_partitions ") == 1
    assert found["process_resident_memory_bytes"].samples[0].value > 0
    assert found["kafka_server_kafkaserver_linux_disk_write_bytes"].type == "gauge"
    assert text.endswith("# EOF\n") == ("openmetrics" in accept)


@pytest.mark.anyio
async def test_others_have_their_turn_while_figures_are_taken() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    class Slow(SystemClock):
        """Every look at it finds more than a turn gone by."""

        def __init__(self) -> None:
            self.ns = 0

        def monotonic_ns(self) -> int:
            self.ns += 2_000_000
            return self.ns

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        found = await collect([("x", (), 1.0)] * 160, Slow())
        tasks.cancel_scope.cancel()
    assert len(found) == 160
    assert turns >= 10
