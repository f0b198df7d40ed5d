"""Writes docs/metrics.md: what ``/metrics`` tells, and which of Kafka's figures it does not.

python -m pykbroker.runtime.figures.listing docs
"""

from __future__ import annotations

import sys
from pathlib import Path

from pykbroker.runtime.figures.table import FAMILIES, Family, named

OWN = (
    "pykbroker_",
    "kafka_server_leaderreplication_",
    "kafka_server_followerreplication_",
    "kafka_log_logcleanermanager_time_since_last_run_ms",
)
"""Not among the facts about the usual exporters."""
QUOTAS = ("kafka_server_produce_", "kafka_server_fetch_", "kafka_server_request_")
"""As the rules of jmx-monitoring-stacks have them: the usual ones make names of clients."""
LISTENER = "kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_"

WITHOUT_MEANING = {
    "kafka_consumergroupzookeeper_": "there is no ZooKeeper",
    "kafka_exporter_build_info": "there is no exporter; pykbroker_build_info tells the version",
    "kafka_server_raft_": "the metadata store is no Raft log",
    "kafka_server_broker_metadata_metrics_": "the metadata store is no log with offsets",
    "kafka_controller_kafkacontroller_last": "the metadata store is no log with offsets",
    "kafka_network_acceptor_": "no thread accepts, the event loop does",
    "kafka_network_processor_": "there are no network threads; see the lag of the event loop",
    "kafka_network_socketserver_networkprocessor": "there are no network threads; see "
    "pykbroker_event_loop_idle_ratio",
    "kafka_network_socketserver_memorypool": "there is no memory pool",
    "kafka_network_requestchannel_": "there is no queue between threads",
    "kafka_network_requestmetrics_messageconversions": "it is part of the local time",
    "kafka_network_requestmetrics_temporarymemory": "Python does not tell what a request needs",
    "kafka_server_kafkarequesthandlerpool_": "there are no handler threads",
    "kafka_server_group_coordinator_metrics_thread": "there are no coordinator threads",
    "kafka_server_group_coordinator_metrics_event_": "there are no coordinator threads",
    "kafka_server_replicafetchermanager_deadthread": "there are no fetcher threads",
    "kafka_server_brokertopicmetrics_remote": "there is no tiered storage",
    "kafka_server_brokertopicmetrics_totalshare": "there are no share groups",
    "kafka_server_group_coordinator_metrics_share_": "there are no share groups",
    "kafka_server_group_coordinator_metrics_streams_": "there are no streams groups",
    "kafka_server_group_coordinator_metrics_state_": "there are no such groups",
    "kafka_server_group_coordinator_metrics_consumer_": "there are no consumer-protocol groups",
    "kafka_server_addpartitionstotxnmanager_": "there are no transactions",
    "kafka_server_transaction_coordinator_": "there are no transactions",
    "kafka_coordinator_transaction_": "there are no transactions",
    "kafka_server_replicamanager_partitionswithlate": "there are no transactions",
    "kafka_network_socketserver_expiredconnectionskilledcount": "clients do not authenticate",
    f"{LISTENER}failed_authentication": "clients do not authenticate",
    f"{LISTENER}successful_authentication": "clients do not authenticate",
    "kafka_server_group_coordinator_metrics_protocol_consumer": "there are no such groups",
    "kafka_controller_kafkacontroller_timedoutbrokerheartbeatcount": "leases stand for heartbeats",
}
"""By the beginnings of their names."""

_OF_CLIENTS = "its name is made of values; see"
LEFT_OUT = {
    "kafka_network_requestmetrics_deprecatedrequests": "its labels are made of values; "
    "kafka_network_requestmetrics_requests_total tells the versions",
    "kafka_server_fetcherstats_": "its labels are named after a thread; "
    "kafka_server_brokertopicmetrics_replicationbytesin_total tells the bytes",
    "kafka_server_produce_user_": f"{_OF_CLIENTS} kafka_server_produce_byte_rate",
    "kafka_server_produce_client_id_": f"{_OF_CLIENTS} kafka_server_produce_byte_rate",
    "kafka_server_fetch_user_": f"{_OF_CLIENTS} kafka_server_fetch_byte_rate",
    "kafka_server_fetch_client_id_": f"{_OF_CLIENTS} kafka_server_fetch_byte_rate",
    "kafka_server_request_user_": f"{_OF_CLIENTS} kafka_server_request_request_time",
}
"""They would have a meaning."""


def why_absent(name: str) -> str | None:
    """None for a name that nobody has thought of."""
    for beginning, reason in (WITHOUT_MEANING | LEFT_OUT).items():
        if name.startswith(named(beginning, listener="PLAINTEXT")):
            return reason
    return None


def page() -> str:
    rows = [f"| `{f.name}` | {f.type} | {_labels(f)} | {f.help} |" for f in FAMILIES.values()]
    absent = [f"- `{name}*`: {reason}." for name, reason in WITHOUT_MEANING.items()]
    return "\n".join(
        (
            "# Metrics",
            "",
            "Made by `python -m pykbroker.runtime.figures.listing docs`. Served with `--http-port`",
            "under `/metrics`, beside the process's own figures (`process_*`). Names, types and",
            "labels are those of the usual JMX exporter rules for Kafka, and of kafka_exporter;",
            "those of clients' quotas are of the rules in jmx-monitoring-stacks.",
            "",
            "| name | type | labels | meaning |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            "A label in brackets: there is a series without it as well. At most 10,000 partitions,",
            "topics and groups, 20,000 committed offsets and 1,000 clients with a quota have",
            "series of their own; `pykbroker_metrics_left_out` counts the others. Clients without",
            "a quota have none: their names have no bound. Quantiles are over the last five",
            "minutes in which the API was asked, of some of the requests where there are many, and",
            "right to 3 %. Counters that do not end in `_total` have no type on the page.",
            "",
            "A page of 1,000 partitions has 20,000 series and takes 160 ms of CPU time, in pieces",
            "of 1 ms, the longest 2.5 ms (`tests/bench/metrics_cost.py`). Counting adds 1 to 2 %",
            "to the instructions of a produce or a fetch of one partition, the kernel's left out",
            "(`tests/bench/counting_cost.py --instructions`).",
            "",
            "## Of Kafka's, without a meaning here",
            "",
            *absent,
            "",
            "## Of Kafka's, left out",
            "",
            *(f"- `{name}*`: {reason}." for name, reason in LEFT_OUT.items()),
            "",
        )
    )


def _labels(family: Family) -> str:
    names = ", ".join(f"`{name}`" for name in family.labels)
    return f"[{names}]" if family.also_bare else names


if __name__ == "__main__":
    (Path(sys.argv[1]) / "metrics.md").write_text(page(), encoding="utf-8")
