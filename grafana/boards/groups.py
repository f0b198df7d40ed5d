"""Consumer groups: how far behind, how they are."""

from __future__ import annotations

from grafana.panels import BROKER, Board, Panel, Query, Section, graph, stat, table

GROUP = 'job="$job",consumergroup=~"$group",topic=~"$topic"'
COORDINATOR = "kafka_server_group_coordinator_metrics"
MANAGER = "kafka_coordinator_group_groupmetadatamanager"


def _state(name: str, title: str, meaning: str) -> Panel:
    return stat(title, meaning, f"sum({MANAGER}_numgroups{name}{{{BROKER}}})")


_GROUPS = Section(
    "Groups",
    (
        _state("", "Groups", "All groups, by their coordinators."),
        _state("stable", "Stable", "Groups whose members are at work."),
        _state("preparingrebalance", "Preparing", "Groups whose members join."),
        _state(
            "completingrebalance", "Completing", "Groups that wait for their leader's assignment."
        ),
        _state("empty", "Empty", "Groups without members."),
        _state("dead", "Dead", "Groups that are being forgotten."),
        graph(
            "Groups by coordinator",
            "Groups of each broker; partitions of __consumer_offsets decide which.",
            "none",
            Query(f"{MANAGER}_numgroups{{{BROKER}}}", "{{instance}}"),
        ),
        graph(
            "Members",
            "Members of the picked groups.",
            "none",
            Query(
                "max by (consumergroup) "
                '(kafka_consumergroup_members{job="$job",consumergroup=~"$group"})',
                "{{consumergroup}}",
            ),
        ),
        graph(
            "Rebalances",
            "Generations of groups that began, per second.",
            "cps",
            Query(f"{COORDINATOR}_group_completed_rebalance_rate{{{BROKER}}}", "{{instance}}"),
            width=8,
        ),
        graph(
            "Offset commits",
            "Offsets committed per second.",
            "ops",
            Query(f"{COORDINATOR}_offset_commit_rate{{{BROKER}}}", "{{instance}}"),
            width=8,
        ),
        graph(
            "Loading a coordinator's partition",
            "How long a partition of __consumer_offsets took to load, at most.",
            "ms",
            Query(f"{COORDINATOR}_partition_load_time_max{{{BROKER}}}", "{{instance}}"),
            width=8,
        ),
    ),
)

_LAG = Section(
    "Lag",
    (
        graph(
            "Lag",
            "Records behind the committed offset, of all partitions of a topic.",
            "short",
            Query(
                f"max by (consumergroup, topic) (kafka_consumergroup_lag_sum{{{GROUP}}})",
                "{{consumergroup}} {{topic}}",
            ),
        ),
        graph(
            "Lag in time",
            "How long the group needs for what is left, at the pace of its last commits.",
            "s",
            Query(
                f"max by (consumergroup, topic) (kafka_consumergroup_lag_sum{{{GROUP}}})"
                " / max by (consumergroup, topic) "
                f"(rate(kafka_consumergroup_current_offset_sum{{{GROUP}}}[$__rate_interval]) > 0)",
                "{{consumergroup}} {{topic}}",
            ),
        ),
        graph(
            "Commits",
            "Records per second that committed offsets move over.",
            "short",
            Query(
                "max by (consumergroup, topic) "
                f"(rate(kafka_consumergroup_current_offset_sum{{{GROUP}}}[$__rate_interval]))",
                "{{consumergroup}} {{topic}}",
            ),
        ),
        graph(
            "Records in",
            "Records per second that the picked topics get.",
            "short",
            Query(
                "sum by (topic) (rate(kafka_topic_partition_current_offset"
                '{job="$job",topic=~"$topic"}[$__rate_interval]))',
                "{{topic}}",
            ),
        ),
        table(
            "Partitions",
            "Committed offset and lag.",
            Query(
                "max by (consumergroup, topic, partition) "
                f"(kafka_consumergroup_current_offset{{{GROUP}}})"
            ),
            Query(f"max by (consumergroup, topic, partition) (kafka_consumergroup_lag{{{GROUP}}})"),
            columns=("committed", "lag"),
        ),
    ),
)

GROUPS = Board(
    "pykbroker-groups",
    "pykbroker / Groups and lag",
    "Consumer groups: how far behind, how they are.",
    ("group", "topic"),
    (_GROUPS, _LAG),
)
