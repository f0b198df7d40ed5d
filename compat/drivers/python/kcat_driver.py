"""A driver around the command kcat: one process for each thing that is asked of it."""

from __future__ import annotations

import json

from compat.drivers.python.kcat_consumer import Consumer
from compat.drivers.python.kcat_producer import Producer
from compat.drivers.python.kcat_words import (
    ask,
    error_of,
    features,
    kill_all,
    properties,
    version,
)
from compat.drivers.python.librdkafka_settings import CLIENT_SETTINGS
from compat.drivers.python.service import Handle, Service
from compat.drivers.python.words import CommandError, Json, renamed

CAPABILITIES = (
    "produce",
    "consume",
    "groups",
    "headers",
    "idempotent",
    "acks0",
    "regex",
    "static_membership",
    "cooperative",
    "range",
    "roundrobin",
    "auto_commit",
    "auto_commit_interval",
    "offsets_for_times",
    "reset_none",
    "isolation",
    "partitioner_java",
    "partitioner_librdkafka",
    "partitions_explicit",
    "events",
)
CODECS = ("gzip", "snappy", "lz4", "zstd")


class Admin(Handle):
    """kcat -L, and no more."""

    def __init__(self, config: Json) -> None:
        settings = renamed(config, CLIENT_SETTINGS)
        bootstrap = settings.pop("bootstrap.servers")
        self._arguments = ["-b", bootstrap, "-L", "-J", *properties(settings)]

    @staticmethod
    def explain(error: Exception) -> CommandError:
        return CommandError("CLIENT", f"{type(error).__name__}: {error}")

    def list_topics(self) -> Json:
        return {"topics": sorted(topic["topic"] for topic in self._ask()["topics"])}

    def describe_topics(self, topics: list[str]) -> Json:
        told = [topic for name in topics for topic in self._ask("-t", name)["topics"]]
        return {"topics": {topic["topic"]: _topic(topic) for topic in told}}

    def describe_cluster(self) -> Json:
        told = self._ask()
        brokers = []
        for broker in told["brokers"]:
            host, _, port = broker["name"].rpartition(":")
            brokers.append({"id": broker["id"], "host": host, "port": int(port)})
        return {"controller": told["controllerid"], "brokers": brokers}

    def _ask(self, *arguments: str) -> Json:
        told: Json = json.loads(ask([*self._arguments, *arguments]))
        return told


def _topic(topic: Json) -> Json:
    if "error" in topic:
        return {"error": error_of(topic["error"]).line}
    return {
        "partitions": [
            {
                "partition": p["partition"],
                "leader": p["leader"],
                "replicas": [replica["id"] for replica in p["replicas"]],
                "isr": [replica["id"] for replica in p["isrs"]],
            }
            for p in sorted(topic["partitions"], key=lambda p: p["partition"])
        ]
    }


def main() -> None:
    built_with = features()
    Service(
        client="kcat",
        version=version(),
        language="c",
        partitioner="librdkafka",
        capabilities=[*CAPABILITIES, *(codec for codec in CODECS if codec in built_with)],
        kinds={"producer": Producer, "consumer": Consumer, "admin": Admin},
        at_end=kill_all,
    ).run()


if __name__ == "__main__":
    main()
