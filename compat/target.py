"""A cluster under test: its address, how many brokers it has, and what it advertises."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compat.driver import PATIENCE_SECONDS

if TYPE_CHECKING:
    from compat.client import Admin

API_VERSIONS = 18
API_KEYS = {
    "InitProducerId": 22,
    "AddPartitionsToTxn": 24,
    "EndTxn": 26,
    "DescribeAcls": 29,
    "SaslHandshake": 17,
    "ConsumerGroupHeartbeat": 68,
    "ShareGroupHeartbeat": 76,
    "StreamsGroupHeartbeat": 88,
    "AlterUserScramCredentials": 51,
    "CreateDelegationToken": 38,
}
"""Those by which behaviours say what they need."""


class NotKafka(Exception):
    """Nothing that speaks Kafka's protocol is there."""


@dataclass(frozen=True)
class Target:
    bootstrap: str
    brokers: int
    apis: frozenset[int]

    def lacks(self, apis: tuple[str, ...]) -> list[str]:
        return [name for name in apis if API_KEYS[name] not in self.apis]


def look_at(bootstrap: str, setup: Admin) -> Target:
    """Raises NotKafka."""
    first = bootstrap.split(",")[0]
    brokers = setup.do("describe_cluster")["brokers"]
    return Target(bootstrap, len(brokers), advertised_apis(first))


def advertised_apis(address: str) -> frozenset[int]:
    """ApiVersions, version 0, by hand: the keys that the broker serves."""
    answer = _ask(address, API_VERSIONS, 0, b"")
    _, error_code, count = struct.unpack_from(">ihi", answer)
    if error_code or len(answer) < 10 + 6 * count:
        raise NotKafka(f"{address}: ApiVersions was answered with error {error_code}")
    return frozenset(key for key, _, _ in struct.iter_unpack(">hhh", answer[10 : 10 + 6 * count]))


def _ask(address: str, api_key: int, version: int, body: bytes) -> bytes:
    """One request on a connection of its own; the answer with its header. Raises NotKafka."""
    host, _, port = address.rpartition(":")
    client = b"compat"
    request = struct.pack(">hhih", api_key, version, 1, len(client)) + client + body
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE_SECONDS) as link:
            link.sendall(struct.pack(">i", len(request)) + request)
            with link.makefile("rb") as stream:
                (size,) = struct.unpack(">i", _read(stream, 4))
                return _read(stream, size)
    except (OSError, ValueError) as error:
        raise NotKafka(f"{address}: {error}") from error


def _read(stream: object, size: int) -> bytes:
    data: bytes = stream.read(size)  # type: ignore[attr-defined]
    if len(data) != size:
        raise OSError("the connection ended")
    return data


METADATA = 3
METADATA_VERSION = 1


def partitions_known(address: str, topic: str) -> int:
    """How many partitions of the topic have a leader, as one broker knows: Metadata by hand."""
    name = topic.encode()
    body = struct.pack(">ih", 1, len(name)) + name
    answer = memoryview(_ask(address, METADATA, METADATA_VERSION, body))
    (brokers,) = struct.unpack_from(">i", answer, 4)
    at = 8
    for _ in range(brokers):
        at = _after_string(answer, at + 4) + 4  # node id, host, port
        at = _after_string(answer, at)  # rack
    at += 4 + 4  # controller, number of topics: the one
    (error_code,) = struct.unpack_from(">h", answer, at)
    at = _after_string(answer, at + 2) + 1
    (partitions,) = struct.unpack_from(">i", answer, at)
    at += 4
    led = 0
    for _ in range(partitions):
        error_code, _, leader = struct.unpack_from(">hii", answer, at)
        led += 1 if leader >= 0 and error_code == 0 else 0
        at += 10
        for _ in range(2):  # replicas, those in sync
            at += 4 + 4 * struct.unpack_from(">i", answer, at)[0]
    return led


def _after_string(data: memoryview, at: int) -> int:
    (length,) = struct.unpack_from(">h", data, at)
    return at + 2 + max(0, int(length))
