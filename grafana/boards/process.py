"""The brokers as processes of this machine: time, memory, files, connections."""

from __future__ import annotations

from grafana.panels import BROKER, Board, Query, Section, graph, stat, table

LISTENER = "kafka_server_socket_server_metrics_listener_(.+)_networkprocessor_0_connection_"


def _by_listener(what: str) -> str:
    """Connection figures have the listener in their names."""
    return (
        f'label_replace({{__name__=~"{LISTENER}{what}",{BROKER}}}, '
        f'"listener", "$1", "__name__", "{LISTENER}{what}")'
    )


_LOOP = Section(
    "Event loop and CPU",
    (
        graph(
            "CPU",
            "Cores in use; the event loop can use one, workers for disks some more.",
            "percentunit",
            Query(f"rate(process_cpu_seconds_total{{{BROKER}}}[$__rate_interval])", "{{instance}}"),
            width=8,
        ),
        graph(
            "Lag of the event loop",
            "How late the last timer was.",
            "s",
            Query(f"pykbroker_event_loop_lag_seconds{{{BROKER}}}", "{{instance}}"),
            width=8,
        ),
        graph(
            "Worst lag of the event loop",
            "How late the latest timer of the last minute was.",
            "s",
            Query(f"pykbroker_event_loop_lag_max_seconds{{{BROKER}}}", "{{instance}}"),
            width=8,
        ),
    ),
)

_MEMORY = Section(
    "Memory and files",
    (
        graph(
            "Resident memory",
            "Bytes in memory, pages shared with other brokers of the machine included.",
            "bytes",
            Query(f"process_resident_memory_bytes{{{BROKER}}}", "{{instance}}"),
            width=8,
        ),
        graph(
            "File descriptors",
            "Of those that the process may have.",
            "percentunit",
            Query(
                f"process_open_fds{{{BROKER}}} / process_max_fds{{{BROKER}}}",
                "{{instance}}",
            ),
            width=8,
        ),
        graph(
            "Fetch sessions",
            "Open sessions of consumers and followers.",
            "none",
            Query(
                f"kafka_server_fetchsessioncache_numincrementalfetchsessions{{{BROKER}}}",
                "{{instance}}",
            ),
            width=8,
        ),
    ),
)

_CONNECTIONS = Section(
    "Connections",
    (
        graph(
            "Open connections by listener",
            "Connections of clients and of other brokers.",
            "none",
            Query(
                f"sum by (instance, listener) ({_by_listener('count')})",
                "{{instance}} {{listener}}",
            ),
            width=8,
        ),
        graph(
            "New connections",
            "Connections opened per second.",
            "cps",
            Query(
                f"sum by (instance) (rate({_by_listener('creation_total')}[$__rate_interval:]))",
                "{{instance}}",
            ),
            width=8,
        ),
        graph(
            "Refused connections",
            "Connections closed because their client broke the protocol, per second.",
            "cps",
            Query(
                f"rate(pykbroker_connections_refused_total{{{BROKER}}}[$__rate_interval])",
                "{{instance}}",
            ),
            width=8,
        ),
    ),
)

_BUILD = Section(
    "Brokers",
    (
        stat(
            "Series left out",
            "Partitions and committed offsets beyond what one page of metrics holds.",
            f"sum(pykbroker_metrics_left_out{{{BROKER}}})",
            width=6,
        ),
        stat(
            "Shortest uptime",
            "Of the broker that was started last.",
            f"time() - max(process_start_time_seconds{{{BROKER}}})",
            unit="s",
            width=6,
        ),
        table(
            "Versions",
            "The version that each broker runs, and its state: 1 fenced, 3 running, 6 stopping.",
            Query(f"max by (instance, version) (pykbroker_build_info{{{BROKER}}})"),
            Query(f"max by (instance) (kafka_server_kafkaserver_brokerstate{{{BROKER}}})"),
            columns=("broker", "state"),
            width=12,
        ),
    ),
)

PROCESS = Board(
    "pykbroker-process",
    "pykbroker / Process",
    "The brokers as processes: time, memory, files, connections.",
    (),
    (_LOOP, _MEMORY, _CONNECTIONS, _BUILD),
)
