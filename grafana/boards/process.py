"""The brokers as processes of this machine: time, memory, files, connections."""

from __future__ import annotations

from grafana.panels import BROKER, Board, Query, Section, graph, stat, table

SOCKETS = "kafka_server_socket_server_metrics_"
LISTENER = f"{SOCKETS}listener_(.+)_networkprocessor_0_"
SOFTWARE = (
    f"{SOCKETS}clientsoftwarename_(.+)_clientsoftwareversion_(.+)_listener_.+"
    "_networkprocessor_0_connections"
)


def _by_listener(what: str) -> str:
    """Figures of sockets have the listener in their names."""
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

_DISK = Section(
    "Disk",
    (
        graph(
            "Free space",
            "Bytes that are free for the broker, on the volume of each log directory.",
            "bytes",
            Query(
                f"pykbroker_log_directory_usable_bytes{{{BROKER}}}", "{{instance}} {{logDirectory}}"
            ),
        ),
        graph(
            "Disk traffic",
            "Bytes per second that the process had read and written.",
            "Bps",
            Query(
                f"rate(kafka_server_kafkaserver_linux_disk_read_bytes{{{BROKER}}}[$__rate_interval])",
                "{{instance}} read",
            ),
            Query(
                "rate(kafka_server_kafkaserver_linux_disk_write_bytes"
                f"{{{BROKER}}}[$__rate_interval])",
                "{{instance}} written",
            ),
        ),
        graph(
            "Syncs",
            "Syncs of logs, per second.",
            "ops",
            Query(
                "rate(kafka_log_logflushstats_logflushrateandtimems_count"
                f"{{{BROKER}}}[$__rate_interval])",
                "{{instance}}",
            ),
            width=8,
        ),
        graph(
            "Sync time, 99th percentile",
            "How long a sync of a log takes.",
            "ms",
            Query(
                f'kafka_log_logflushstats_logflushrateandtimems{{{BROKER},quantile="0.99"}}',
                "{{instance}}",
            ),
            width=8,
        ),
        graph(
            "Dirtiest log",
            "Share of the dirtiest compacted log that was not cleaned yet.",
            "percent",
            Query(f"kafka_log_logcleaner_max_dirty_percent{{{BROKER}}}", "{{instance}}"),
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
                f"sum by (instance, listener) ({_by_listener('connection_count')})",
                "{{instance}} {{listener}}",
            ),
            width=8,
        ),
        graph(
            "New connections",
            "Connections opened per second.",
            "cps",
            Query(
                f"sum by (instance) (rate({_by_listener('connection_creation_total')}"
                "[$__rate_interval:]))",
                "{{instance}}",
            ),
            width=8,
        ),
        graph(
            "Network",
            "Bytes per second received and sent, those of other brokers included.",
            "Bps",
            Query(
                f"sum by (instance) (rate({_by_listener('incoming_byte_total')}"
                "[$__rate_interval:]))",
                "{{instance}} in",
            ),
            Query(
                f"sum by (instance) (rate({_by_listener('outgoing_byte_total')}"
                "[$__rate_interval:]))",
                "{{instance}} out",
            ),
            width=12,
        ),
        graph(
            "Client software",
            "Open connections by what the client calls itself.",
            "none",
            Query(
                "sum by (software, version) (label_replace(label_replace("
                f'{{__name__=~"{SOFTWARE}",{BROKER}}}, '
                f'"software", "$1", "__name__", "{SOFTWARE}"), '
                f'"version", "$2", "__name__", "{SOFTWARE}"))',
                "{{software}} {{version}}",
            ),
            width=12,
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
    (_LOOP, _DISK, _MEMORY, _CONNECTIONS, _BUILD),
)
