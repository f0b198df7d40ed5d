"""Tools about the cluster as a whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compat.tools.registry import check
from compat.tools.runner import expect, expect_none

if TYPE_CHECKING:
    from pathlib import Path

    from compat.tools.runner import Tools


@check("kafka-broker-api-versions", "The versions of the APIs of all brokers are told.")
def api_versions(bootstrap: str, work: Path, tools: Tools) -> None:
    told = tools.run("kafka-broker-api-versions", "--bootstrap-server", bootstrap)
    brokers = re.findall(r"^\S+:\d+ \(id: (\d+) rack: \S+.*\) -> \($", told, re.MULTILINE)
    assert len(brokers) == len(set(brokers)) >= len(bootstrap.split(",")), told
    for api in ("Produce(0)", "Fetch(1)", "Metadata(3)", "JoinGroup(11)", "ApiVersions(18)"):
        expect(told, rf"{re.escape(api)}: \d+ to \d+ \[usable: \d+\]")
    expect_none(told, "ERROR")


@check("kafka-cluster", "The cluster's id and the addresses of its brokers.")
def cluster(bootstrap: str, work: Path, tools: Tools) -> None:
    to = ("--bootstrap-server", bootstrap)
    expect(tools.run("kafka-cluster", "cluster-id", *to), r"^Cluster ID: \S{22}$")
    endpoints = tools.run("kafka-cluster", "list-endpoints", *to)
    for address in bootstrap.split(","):
        expect(endpoints, rf"\b{address.rpartition(':')[2]}\b")
    unknown = tools.refused("kafka-cluster", "unregister", *to, "--id", "4711")
    expect(unknown, "4711|BrokerIdNotRegistered")


@check("kafka-features", "The features of the cluster and their finalized levels.")
def features(bootstrap: str, work: Path, tools: Tools) -> None:
    to = ("--bootstrap-server", bootstrap)
    told = tools.run("kafka-features", *to, "describe")
    expect(
        told,
        r"Feature: metadata\.version\s+SupportedMinVersion: \S+\s+SupportedMaxVersion: \S+\s+"
        r"FinalizedVersionLevel: \S+\s+Epoch: \d+",
    )
    too_high = tools.refused("kafka-features", *to, "upgrade", "--feature", "metadata.version=999")
    expect(too_high, "999|Could not upgrade|metadata.version")
    unknown = tools.refused("kafka-features", *to, "upgrade", "--feature", "no.such=1")
    expect(unknown, "no.such")


@check("kafka-metadata-quorum", "Leader, voters and lag of the metadata quorum.")
def quorum(bootstrap: str, work: Path, tools: Tools) -> None:
    to = ("--bootstrap-server", bootstrap)
    status = tools.run("kafka-metadata-quorum", *to, "describe", "--status")
    expect(
        status,
        r"^ClusterId:\s+\S{22}$",
        r"^LeaderId:\s+\d+$",
        r"^LeaderEpoch:\s+\d+$",
        r"^HighWatermark:\s+\d+$",
        r"^MaxFollowerLag:\s+\d+$",
        r"^CurrentVoters:\s+\[.*\]$",
    )
    replication = tools.run("kafka-metadata-quorum", *to, "describe", "--replication")
    expect(replication, r"^NodeId\s+.*LogEndOffset\s+Lag", r"^\d+\s+.*\bLeader\b")
