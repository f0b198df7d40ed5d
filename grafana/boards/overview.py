"""Whether the cluster is well, on one page."""

from __future__ import annotations

from grafana.panels import (
    BAD,
    BROKER,
    GOOD,
    NONE_IS_GOOD,
    ONCE,
    WARNING,
    Board,
    Query,
    Section,
    graph,
    stat,
    table,
)

JOB = 'job="$job"'

_HEALTH = Section(
    "Health",
    (
        stat(
            "Brokers that serve",
            "Unfenced brokers, as the active controller sees them.",
            f"sum(kafka_brokers{{{JOB}}})",
            width=6,
        ),
        stat(
            "Brokers that do not answer",
            "Targets that Prometheus could not scrape.",
            f"count(up{{{JOB}}} == 0) or vector(0)",
            steps=NONE_IS_GOOD,
            width=6,
        ),
        stat(
            "Active controllers",
            "Exactly one is right.",
            f"sum(kafka_controller_kafkacontroller_activecontrollercount{{{JOB}}})",
            steps=((None, BAD), (1, GOOD), (2, BAD)),
            width=6,
        ),
        stat(
            "Offline partitions",
            "Partitions without a leader: nobody can write or read them.",
            f"max(kafka_controller_kafkacontroller_offlinepartitionscount{{{JOB}}})",
            steps=NONE_IS_GOOD,
            width=6,
        ),
        stat(
            "Under-replicated partitions",
            "Partitions whose ISR lacks a replica.",
            f"sum(kafka_server_replicamanager_underreplicatedpartitions{{{JOB}}})",
            steps=NONE_IS_GOOD,
            width=6,
        ),
        stat(
            "Under min ISR",
            "Partitions that refuse writes with acks=all.",
            f"sum(kafka_server_replicamanager_underminisrpartitioncount{{{JOB}}})",
            steps=NONE_IS_GOOD,
            width=6,
        ),
        stat(
            "Offline log directories",
            "Log directories that failed.",
            f"sum(kafka_log_logmanager_offlinelogdirectorycount{{{JOB}}})",
            steps=NONE_IS_GOOD,
            width=6,
        ),
        stat(
            "Unclean elections",
            "Leaders elected in the last hour that may lack committed records.",
            "sum(increase(kafka_controller_controllerstats_uncleanleaderelections_total"
            f"{{{JOB}}}[1h]))",
            steps=NONE_IS_GOOD,
            width=6,
        ),
    ),
)

_SIZE = Section(
    "Size",
    (
        stat(
            "Topics",
            "Topics of the cluster, internal ones included.",
            f"max(kafka_controller_kafkacontroller_globaltopiccount{{{JOB}}})",
        ),
        stat(
            "Partitions",
            "Partitions of the cluster.",
            f"max(kafka_controller_kafkacontroller_globalpartitioncount{{{JOB}}})",
        ),
        stat(
            "Groups",
            "Consumer groups, by all coordinators.",
            f"sum(kafka_coordinator_group_groupmetadatamanager_numgroups{{{JOB}}})",
        ),
        stat(
            "Largest lag",
            "Records that the group and topic furthest behind have left to read.",
            f"max(max by (consumergroup, topic) (kafka_consumergroup_lag_sum{{{JOB}}}))",
        ),
        stat(
            "Data",
            "Bytes of all logs, replicas included.",
            f"sum(kafka_log_log_size{{{JOB}}})",
            unit="bytes",
        ),
        stat(
            "Free space",
            "On the fullest volume of a log directory.",
            f"min(pykbroker_log_directory_usable_bytes{{{JOB}}}"
            f" / pykbroker_log_directory_total_bytes{{{JOB}}})",
            unit="percentunit",
            steps=((None, BAD), (0.1, WARNING), (0.2, GOOD)),
        ),
    ),
)

_TRAFFIC = Section(
    "Traffic",
    (
        graph(
            "Records in",
            "Records appended for clients, by the broker that leads.",
            "short",
            Query(
                "sum by (instance) (rate(kafka_server_brokertopicmetrics_messagesin_total"
                f'{{{BROKER},topic=""}}[$__rate_interval]))',
                "{{instance}}",
            ),
            width=8,
            stacked=True,
        ),
        graph(
            "Bytes in",
            "Bytes appended for clients.",
            "Bps",
            Query(
                "sum by (instance) (rate(kafka_server_brokertopicmetrics_bytesin_total"
                f'{{{BROKER},topic=""}}[$__rate_interval]))',
                "{{instance}}",
            ),
            width=8,
            stacked=True,
        ),
        graph(
            "Bytes out",
            "Bytes fetched by clients; what followers fetch is not in it.",
            "Bps",
            Query(
                "sum by (instance) (rate(kafka_server_brokertopicmetrics_bytesout_total"
                f'{{{BROKER},topic=""}}[$__rate_interval]))',
                "{{instance}}",
            ),
            width=8,
            stacked=True,
        ),
        graph(
            "Requests",
            "Requests of all APIs, those of other brokers included.",
            "reqps",
            Query(
                "sum by (instance) (rate(kafka_network_requestmetrics_requests_total"
                f"{{{BROKER},{ONCE}}}[$__rate_interval]))",
                "{{instance}}",
            ),
            width=8,
        ),
        graph(
            "Error codes",
            "Error codes told per second; some are part of the protocol.",
            "cps",
            Query(
                "sum by (error) (rate(kafka_network_requestmetrics_errors_total"
                f'{{{BROKER},{ONCE},error!="NONE"}}[$__rate_interval]))',
                "{{error}}",
            ),
            width=8,
        ),
        graph(
            "Lag of the event loop",
            "The worst of the last minute. All of a broker waits while its loop is late.",
            "s",
            Query(
                f"max by (instance) (pykbroker_event_loop_lag_max_seconds{{{BROKER}}})",
                "{{instance}}",
            ),
            width=8,
        ),
    ),
)

_BROKERS = Section(
    "Brokers",
    (
        table(
            "Brokers",
            "Addresses, as the active controller tells them.",
            Query(f"max by (id, address) (kafka_broker_info{{{JOB}}})"),
            width=12,
        ),
        graph(
            "Leaders",
            "Partitions led; uneven after a broker was away, until preferred leaders are elected.",
            "none",
            Query(f"kafka_server_replicamanager_leadercount{{{BROKER}}}", "{{instance}}"),
        ),
    ),
)

OVERVIEW = Board(
    "pykbroker-overview",
    "pykbroker / Overview",
    "Whether the cluster is well, and what it carries.",
    (),
    (_HEALTH, _SIZE, _TRAFFIC, _BROKERS),
)
