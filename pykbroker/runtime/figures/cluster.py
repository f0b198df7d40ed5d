"""Of the cluster as the metadata says it. Every controller tells the controllers' figures; what is
one thing of the whole cluster (kafka_exporter's names) only the active one, so that sums are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.config.listeners import CONTROLLER_ROLE
from pykbroker.runtime.figures.timings import timing_samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.controller_batch import ControllerCounts
    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.services import Services
    from pykbroker.state.controller.image import MetadataImage

_CONTROLLER = "kafka_controller_kafkacontroller_"
TOPIC_LIMIT = 10_000
"""Topics with a series of their own."""
FENCED, RUNNING, CONTROLLED_SHUTDOWN = 1, 3, 6


def cluster_samples(broker: Services) -> Iterator[Sample | None]:
    image = broker.images.current
    own = image.brokers.get(broker.node_id)
    if own is not None:
        leaving = CONTROLLED_SHUTDOWN if own.in_controlled_shutdown else RUNNING
        yield "kafka_server_kafkaserver_brokerstate", (), FENCED if own.fenced else leaving
    if CONTROLLER_ROLE not in broker.settings.current.list("process.roles"):
        return
    is_active = image.controller_id == broker.node_id
    yield f"{_CONTROLLER}activecontrollercount", (), is_active
    yield from _topics(image, is_active=is_active)
    yield from controller_samples(broker.controller.counts)
    fenced = sum(known.fenced for known in image.brokers.values())
    serving = len(image.brokers) - fenced
    yield f"{_CONTROLLER}activebrokercount", (), serving
    yield f"{_CONTROLLER}fencedbrokercount", (), fenced
    if not is_active:
        return
    yield "kafka_brokers", (), serving
    for known in image.brokers.values():
        if known.endpoints and not known.fenced:
            endpoint = known.endpoints[0]
            address = f"{endpoint.host}:{endpoint.port}"
            yield "kafka_broker_info", (str(known.node_id), address), 1


def controller_samples(counts: ControllerCounts) -> Iterator[Sample | None]:
    stats = "kafka_controller_controllerstats_"
    yield f"{stats}uncleanleaderelections_total", (), counts.unclean_elections
    yield from timing_samples(f"{stats}leaderelectionrateandtimems", counts.elections)
    queue = "kafka_controller_controllereventmanager_eventqueue"
    yield from timing_samples(f"{queue}timems", counts.waited)
    yield from timing_samples(f"{queue}processingtimems", counts.turns)
    yield f"{_CONTROLLER}eventqueueoperationsstartedcount", (), counts.started
    yield f"{_CONTROLLER}metadataerrorcount", (), counts.errors


def _topics(image: MetadataImage, *, is_active: bool) -> Iterator[Sample | None]:
    offline = displaced = total = 0
    for number, topic in enumerate(image.topics.values()):
        yield None
        total += len(topic.partitions)
        for partition in topic.partitions:
            offline += partition.leader < 0
            displaced += partition.leader != partition.replicas[0]
        if is_active and number < TOPIC_LIMIT:
            yield "kafka_topic_partitions", (topic.name,), len(topic.partitions)
    if is_active:
        yield "pykbroker_metrics_left_out", (), max(0, len(image.topics) - TOPIC_LIMIT)
    yield f"{_CONTROLLER}offlinepartitionscount", (), offline
    yield f"{_CONTROLLER}preferredreplicaimbalancecount", (), displaced
    yield f"{_CONTROLLER}globaltopiccount", (), len(image.topics)
    yield f"{_CONTROLLER}globalpartitioncount", (), total
