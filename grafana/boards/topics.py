"""What lies in topics and partitions, and what goes in and out."""

from __future__ import annotations

from grafana.panels import BROKER, NEUTRAL, Board, Panel, Query, Section, graph, stat, table

TOPIC = f'{BROKER},topic=~"$topic"'


def _rate(name: str, title: str, meaning: str, unit: str) -> Panel:
    expr = (
        f'sum by (topic) (rate(kafka_server_brokertopicmetrics_{name}_total{{{TOPIC},topic!=""}}'
        "[$__rate_interval]))"
    )
    return graph(title, meaning, unit, Query(expr, "{{topic}}"), width=8, stacked=True)


_SUMMARY = Section(
    "Picked topics",
    (
        stat(
            "Topics",
            "Topics that were picked.",
            'count(max by (topic) (kafka_topic_partitions{job="$job",topic=~"$topic"}))',
            width=6,
        ),
        stat(
            "Partitions",
            "Their partitions.",
            'sum(max by (topic) (kafka_topic_partitions{job="$job",topic=~"$topic"}))',
            width=6,
        ),
        stat(
            "Records",
            "Offsets between the first and the high watermark; compaction leaves gaps.",
            f"sum(kafka_topic_partition_current_offset{{{TOPIC}}})"
            f" - sum(kafka_topic_partition_oldest_offset{{{TOPIC}}})",
            unit="short",
            width=6,
        ),
        stat(
            "Data",
            "Bytes of their logs, replicas included.",
            f"sum(kafka_log_log_size{{{TOPIC}}})",
            unit="bytes",
            steps=NEUTRAL,
            width=6,
        ),
    ),
)

_TRAFFIC = Section(
    "Traffic by topic",
    (
        _rate("messagesin", "Records in", "Records appended for clients.", "short"),
        _rate("bytesin", "Bytes in", "Bytes appended for clients.", "Bps"),
        _rate("bytesout", "Bytes out", "Bytes sent to clients that fetch.", "Bps"),
        _rate("totalproducerequests", "Appends", "Partitions that produce requests name.", "ops"),
        _rate("totalfetchrequests", "Reads", "Partitions read for fetches.", "ops"),
        _rate(
            "failedproducerequests",
            "Refused appends",
            "For what the producer sent, or for lack of replicas.",
            "ops",
        ),
        graph(
            "Refused batches",
            "By why: too large, checksum, message format, sequence, no key in a compacted topic.",
            "cps",
            *(
                Query(
                    f"sum(rate(kafka_server_brokertopicmetrics_{name}_total"
                    f'{{{BROKER},topic=""}}[$__rate_interval]))',
                    legend,
                )
                for name, legend in (
                    ("bytesrejected", "too large (bytes)"),
                    ("invalidmessagecrcrecords", "checksum"),
                    ("invalidmagicnumberrecords", "message format"),
                    ("invalidoffsetorsequencerecords", "offsets or sequence"),
                    ("nokeycompactedtopicrecords", "no key"),
                )
            ),
        ),
        graph(
            "Old message formats",
            "Records per second that are converted, which costs time; newer clients need none.",
            "short",
            Query(
                "sum(rate(kafka_server_brokertopicmetrics_producemessageconversions_total"
                f'{{{BROKER},topic=""}}[$__rate_interval]))',
                "produced",
            ),
            Query(
                "sum(rate(kafka_server_brokertopicmetrics_fetchmessageconversions_total"
                f'{{{BROKER},topic=""}}[$__rate_interval]))',
                "fetched",
            ),
        ),
    ),
)

_LOGS = Section(
    "Logs",
    (
        graph(
            "Size by topic",
            "Bytes of logs, replicas included.",
            "bytes",
            Query(f"sum by (topic) (kafka_log_log_size{{{TOPIC}}})", "{{topic}}"),
            width=8,
            stacked=True,
        ),
        graph(
            "Size by broker",
            "Bytes of logs on each broker.",
            "bytes",
            Query(f"sum by (instance) (kafka_log_log_size{{{TOPIC}}})", "{{instance}}"),
            width=8,
            stacked=True,
        ),
        graph(
            "Segments",
            "Files that logs consist of; each takes file descriptors.",
            "none",
            Query(f"sum by (topic) (kafka_log_log_numlogsegments{{{TOPIC}}})", "{{topic}}"),
            width=8,
        ),
        graph(
            "Growth by topic",
            "Change of the logs' size; below zero while segments are deleted.",
            "Bps",
            Query(
                f"sum by (topic) (deriv(kafka_log_log_size{{{TOPIC}}}[$__rate_interval]))",
                "{{topic}}",
            ),
            signed=True,
        ),
        graph(
            "Records by partition",
            "The high watermark's progress: partitions that get more than others have a hot key.",
            "short",
            Query(
                "topk(20, sum by (topic, partition) "
                f"(rate(kafka_topic_partition_current_offset{{{TOPIC}}}[$__rate_interval])))",
                "{{topic}}-{{partition}}",
            ),
        ),
        table(
            "Partitions",
            "As their leaders tell; preferred is 1 where the first replica leads.",
            Query(f"max by (topic, partition) (kafka_topic_partition_leader{{{TOPIC}}})"),
            Query(f"max by (topic, partition) (kafka_topic_partition_replicas{{{TOPIC}}})"),
            Query(f"max by (topic, partition) (kafka_topic_partition_in_sync_replica{{{TOPIC}}})"),
            Query(
                f"max by (topic, partition) (kafka_topic_partition_leader_is_preferred{{{TOPIC}}})"
            ),
            Query(f"max by (topic, partition) (kafka_topic_partition_oldest_offset{{{TOPIC}}})"),
            Query(f"max by (topic, partition) (kafka_topic_partition_current_offset{{{TOPIC}}})"),
            columns=(
                "leader",
                "replicas",
                "in sync",
                "preferred",
                "first offset",
                "high watermark",
            ),
        ),
    ),
)

TOPICS = Board(
    "pykbroker-topics",
    "pykbroker / Topics and partitions",
    "What lies in topics and partitions, and what goes in and out.",
    ("topic",),
    (_SUMMARY, _TRAFFIC, _LOGS),
)
