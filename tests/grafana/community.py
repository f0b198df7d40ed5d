"""Dashboards that others made for Kafka. They are not ours to ship: read where they are present."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from tests.grafana.queries import PanelQuery, queries

DIRECTORY = Path(
    os.environ.get(
        "KAFKA_DASHBOARDS", Path(__file__).resolve().parents[2].parent / "shared" / "dashboards"
    )
)
WITHOUT = Path(__file__).with_name("community.tsv")
"""Panels that return no data, and why: ``jvm`` and ``elsewhere`` (not told by a broker at all, as
Kubernetes' figures) make no sense here, ``absent`` does."""

VARIABLES = {
    "confluent-kafka-cluster-kraft": {"env": "dev", "instance": ".+", "percentile": "0.99"},
    "strimzi-kafka": {
        "kubernetes_namespace": "kafka",
        "strimzi_cluster_name": "my-cluster",
        "kafka_broker": ".*",
        "kafka_topic": ".+",
        "kafka_partition": ".*",
    },
    "kafka-exporter-overview": {"instance": "kafka", "topic": "orders"},
}


def community_queries() -> list[PanelQuery]:
    """Of all their panels."""
    paths = [DIRECTORY / f"{name}.json" for name in VARIABLES]
    if not all(path.is_file() for path in paths):
        pytest.skip("KAFKA_DASHBOARDS does not name a directory with community dashboards")
    return [query for path in paths for query in queries(path, VARIABLES[path.stem])]


def without_data() -> dict[tuple[str, str], str]:
    """(dashboard, panel): what kind of reason there is."""
    with WITHOUT.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {(row["dashboard"], row["panel"]): row["kind"] for row in rows}
