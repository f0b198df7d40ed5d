"""Whether replicas are where they should be, and what they cost."""

from __future__ import annotations

from grafana.panels import BROKER, NONE_IS_GOOD, Board, Panel, Query, Section, graph, stat, table

TOPIC = f'{BROKER},topic=~"$topic"'
MANAGER = "kafka_server_replicamanager"


def _count(name: str, title: str, meaning: str) -> Panel:
    expr = f"sum({MANAGER}_{name}{{{BROKER}}})"
    return stat(title, meaning, expr, steps=NONE_IS_GOOD)


_STATE = Section(
    "State",
    (
        _count(
            "underreplicatedpartitions", "Under-replicated", "Partitions whose ISR lacks a replica."
        ),
        _count("underminisrpartitioncount", "Under min ISR", "They refuse writes with acks=all."),
        _count(
            "atminisrpartitioncount",
            "At min ISR",
            "Partitions that cannot lose another replica; all, where there is one replica.",
        ),
        _count(
            "offlinereplicacount", "Offline replicas", "Replicas whose log directory has failed."
        ),
        _count("reassigningpartitions", "Reassigning", "Partitions that are being moved."),
        stat(
            "Not led by the preferred",
            "Partitions that another replica leads than the first.",
            'max(kafka_controller_kafkacontroller_preferredreplicaimbalancecount{job="$job"})',
            steps=NONE_IS_GOOD,
        ),
        graph(
            "Under-replicated partitions by leader",
            "As each leader sees it.",
            "none",
            Query(f"{MANAGER}_underreplicatedpartitions{{{BROKER}}}", "{{instance}}"),
            width=8,
        ),
        graph(
            "Leaders",
            "Partitions led by each broker.",
            "none",
            Query(f"{MANAGER}_leadercount{{{BROKER}}}", "{{instance}}"),
            width=8,
        ),
        graph(
            "Replicas",
            "Replicas on each broker.",
            "none",
            Query(f"{MANAGER}_partitioncount{{{BROKER}}}", "{{instance}}"),
            width=8,
        ),
        table(
            "Partitions that are not in full",
            "Replicas and those in sync, of partitions that lack some.",
            Query(
                f"max by (topic, partition) (kafka_topic_partition_in_sync_replica{{{TOPIC}}})"
                f" < max by (topic, partition) (kafka_topic_partition_replicas{{{TOPIC}}})"
            ),
            columns=("in sync",),
        ),
    ),
)

_CHANGES = Section(
    "Changes",
    (
        graph(
            "ISR shrinks",
            "Replicas that leaders took out of an ISR, per second.",
            "cps",
            Query(
                f"rate({MANAGER}_isrshrinks_total{{{BROKER}}}[$__rate_interval])", "{{instance}}"
            ),
            width=8,
        ),
        graph(
            "ISR expansions",
            "Replicas that leaders took into an ISR, per second.",
            "cps",
            Query(
                f"rate({MANAGER}_isrexpands_total{{{BROKER}}}[$__rate_interval])", "{{instance}}"
            ),
            width=8,
        ),
        graph(
            "Refused ISR changes",
            "Changes that the controller refused, per second.",
            "cps",
            Query(
                f"rate({MANAGER}_failedisrupdates_total{{{BROKER}}}[$__rate_interval])",
                "{{instance}}",
            ),
            width=8,
        ),
    ),
)

_FETCHER = f'{BROKER},clientId!=""'

_FOLLOWERS = Section(
    "Followers",
    (
        graph(
            "Largest lag",
            "Records that the furthest partition of each follower is behind its leader.",
            "short",
            Query(f"kafka_server_replicafetchermanager_maxlag{{{_FETCHER}}}", "{{instance}}"),
        ),
        graph(
            "Lag by topic",
            "Records that followers are behind, of all partitions.",
            "short",
            Query(
                f"sum by (topic) (kafka_server_fetcherlagmetrics_consumerlag{{{TOPIC}}})",
                "{{topic}}",
            ),
        ),
        graph(
            "Slowest fetcher",
            "Fetches per second of the slowest connection to a leader.",
            "ops",
            Query(f"kafka_server_replicafetchermanager_minfetchrate{{{_FETCHER}}}", "{{instance}}"),
        ),
        graph(
            "Partitions that are fetched no more",
            "Their follower gave up: its log says why.",
            "none",
            Query(
                f"kafka_server_replicafetchermanager_failedpartitionscount{{{_FETCHER}}}",
                "{{instance}}",
            ),
        ),
    ),
)

_CONTROLLER = Section(
    "Controller",
    (
        graph(
            "Elections",
            "Leaders elected in place of others, per second; unclean ones may lose records.",
            "cps",
            Query(
                "sum(rate(kafka_controller_controllerstats_leaderelectionrateandtimems_count"
                '{job="$job"}[$__rate_interval]))',
                "all",
            ),
            Query(
                "sum(rate(kafka_controller_controllerstats_uncleanleaderelections_total"
                '{job="$job"}[$__rate_interval]))',
                "unclean",
            ),
            width=8,
        ),
        graph(
            "Wait for the controller, 99th percentile",
            "Until it looks at a request, and until it has decided and written.",
            "ms",
            Query(
                "max(kafka_controller_controllereventmanager_eventqueuetimems"
                '{job="$job",quantile="0.99"})',
                "waiting",
            ),
            Query(
                "max(kafka_controller_controllereventmanager_eventqueueprocessingtimems"
                '{job="$job",quantile="0.99"})',
                "deciding",
            ),
            width=8,
        ),
        graph(
            "Brokers",
            "As the active controller sees them.",
            "none",
            Query('max(kafka_controller_kafkacontroller_activebrokercount{job="$job"})', "serving"),
            Query('max(kafka_controller_kafkacontroller_fencedbrokercount{job="$job"})', "fenced"),
            width=8,
        ),
    ),
)

_COST = Section(
    "Traffic",
    (
        graph(
            "Replication in",
            "Bytes per second fetched from leaders.",
            "Bps",
            Query(
                "rate(kafka_server_brokertopicmetrics_replicationbytesin_total"
                f"{{{BROKER}}}[$__rate_interval])",
                "{{instance}}",
            ),
        ),
        graph(
            "Replication out",
            "Bytes per second sent to followers.",
            "Bps",
            Query(
                "rate(kafka_server_brokertopicmetrics_replicationbytesout_total"
                f"{{{BROKER}}}[$__rate_interval])",
                "{{instance}}",
            ),
        ),
        graph(
            "Reassignment",
            "Bytes per second for replicas that a reassignment adds; part of the replication.",
            "Bps",
            Query(
                "rate(kafka_server_brokertopicmetrics_reassignmentbytesin_total"
                f"{{{BROKER}}}[$__rate_interval])",
                "{{instance}} in",
            ),
            Query(
                "rate(kafka_server_brokertopicmetrics_reassignmentbytesout_total"
                f"{{{BROKER}}}[$__rate_interval])",
                "{{instance}} out",
            ),
        ),
        graph(
            "Throttled replication",
            "Bytes per second of partitions under a replication throttle, sent and fetched.",
            "Bps",
            Query(f"kafka_server_leaderreplication_byte_rate{{{BROKER}}}", "{{instance}} sent"),
            Query(
                f"kafka_server_followerreplication_byte_rate{{{BROKER}}}", "{{instance}} fetched"
            ),
        ),
    ),
)

REPLICATION = Board(
    "pykbroker-replication",
    "pykbroker / Replication",
    "Whether replicas are where they should be, and what they cost.",
    ("topic",),
    (_STATE, _CHANGES, _FOLLOWERS, _CONTROLLER, _COST),
)
