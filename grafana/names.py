"""Recording rules: our metrics under the names that other rules of the JMX exporter give."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_COUNTERS = {
    "server_brokertopicmetrics": (
        "messagesin bytesin bytesout bytesrejected totalproducerequests totalfetchrequests "
        "failedproducerequests failedfetchrequests producemessageconversions "
        "fetchmessageconversions replicationbytesin replicationbytesout reassignmentbytesin "
        "reassignmentbytesout invalidmagicnumberrecords invalidmessagecrcrecords "
        "invalidoffsetorsequencerecords nokeycompactedtopicrecords"
    ),
    "server_replicamanager": "isrshrinks isrexpands failedisrupdates",
    "server_fetchsessioncache": "incrementalfetchsessionevictions",
    "network_requestmetrics": "requests errors",
    "controller_controllerstats": "uncleanleaderelections",
}
_SOCKETS = (
    "connection_count connection_creation_rate connection_creation_total connection_close_rate "
    "incoming_byte_rate incoming_byte_total outgoing_byte_rate outgoing_byte_total request_total"
)
_OURS = "kafka_server_socket_server_metrics_"
_SOFTWARE = (
    f"{_OURS}clientsoftwarename_(.+)_clientsoftwareversion_(.+)_listener_(.+)"
    "_networkprocessor_0_connections"
)
_IDLE = "pykbroker_event_loop_idle_ratio"

_HEAD = """\
# Made by `python -m grafana`: our metrics under the names that other rules of the JMX exporter give
# them, for dashboards that were made for those, and for nothing else. There are no threads for the
# network and handlers: one event loop does the work of both, and its idle share stands for theirs.
groups:
"""


def text() -> str:
    """What stands in names.yml."""
    stacks = (*_counters(), *_sockets("kafka_server_socketservermetrics_", "connections"))
    return (
        _HEAD
        + _group(
            "jmx-monitoring-stacks",
            *stacks,
            ("kafka_network_socketserver_networkprocessoravgidlepercent", _IDLE),
            (
                "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_oneminuterate",
                _IDLE,
            ),
        )
        + "\n"
        + _group(
            "strimzi",
            *_sockets(_OURS, "connections_software"),
            ("kafka_network_socketserver_networkprocessoravgidle_percent", _IDLE),
            ("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", _IDLE),
        )
    )


def _group(name: str, *rules: tuple[str, str]) -> str:
    lines = (f"      - record: {record}\n        expr: >\n          {e}\n" for record, e in rules)
    return f"  - name: names-{name}\n    rules:\n" + "".join(lines)


def _counters() -> Iterator[tuple[str, str]]:
    for mbean, names in _COUNTERS.items():
        for name in names.split():
            yield f"kafka_{mbean}_{name}persec", f"kafka_{mbean}_{name}_total"


def _sockets(prefix: str, software: str) -> Iterator[tuple[str, str]]:
    """Where ours have the listener in their names, theirs have a label."""
    for name in _SOCKETS.split():
        ours = f"{_OURS}listener_(.+)_networkprocessor_0_{name}"
        yield prefix + name, _labelled(ours, "listener")
    labels = ("client_software_name", "client_software_version", "listener")
    yield prefix + software, _labelled(_SOFTWARE, *labels)


def _labelled(name: str, *labels: str) -> str:
    """Series of names that match, with the groups of the match as labels."""
    expr = f'{{__name__=~"{name}"}}'
    for number, label in enumerate(labels, 1):
        expr = f'label_replace({expr}, "{label}", "${number}", "__name__", "{name}")'
    return expr
