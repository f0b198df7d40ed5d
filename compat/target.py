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
    host, _, port = address.rpartition(":")
    client = b"compat"
    body = struct.pack(">hhih", API_VERSIONS, 0, 1, len(client)) + client
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE_SECONDS) as link:
            link.sendall(struct.pack(">i", len(body)) + body)
            with link.makefile("rb") as stream:
                (size,) = struct.unpack(">i", _read(stream, 4))
                answer = _read(stream, size)
    except (OSError, ValueError) as error:
        raise NotKafka(f"{address}: {error}") from error
    _, error_code, count = struct.unpack_from(">ihi", answer)
    if error_code or len(answer) < 10 + 6 * count:
        raise NotKafka(f"{address}: ApiVersions was answered with error {error_code}")
    return frozenset(key for key, _, _ in struct.iter_unpack(">hhh", answer[10 : 10 + 6 * count]))


def _read(stream: object, size: int) -> bytes:
    data: bytes = stream.read(size)  # type: ignore[attr-defined]
    if len(data) != size:
        raise OSError("the connection ended")
    return data
