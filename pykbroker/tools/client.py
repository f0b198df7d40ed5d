"""A client that asks one thing at a time: connections to the brokers of a cluster."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, TypeVar

from wire.apis import API_BY_KEY
from wire.client import request_frame, response_body, response_head
from wire.codec import decode
from wire.errors import DecodeError, ErrorCode
from wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from wire.messages.find_coordinator import FindCoordinatorRequest
from wire.messages.metadata import MetadataRequest, MetadataRequestTopic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wire.messages.metadata import MetadataResponse, MetadataResponseTopic
    from wire.schema import Request

T = TypeVar("T")

BACKOFF_SECONDS = 0.1
MAX_RESPONSE_BYTES = 1 << 30
PASSING = frozenset(
    (
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.LEADER_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
    )
)
"""Whoever asks again a moment later, after another look at the metadata, may well be served."""


class ToolError(Exception):
    """What the user is told; the exit code is 1."""


class Refused(ToolError):
    """The broker's answer is an error."""

    def __init__(self, code: int, message: str | None = None) -> None:
        self.code = ErrorCode(code)
        if not message:
            from wire.error_texts import TEXTS

            message = TEXTS.get(code, self.code.name)
        super().__init__(message)

    @property
    def exception(self) -> str:
        """As Kafka's own client names it."""
        words = "".join(word.capitalize() for word in self.code.name.split("_"))
        return f"org.apache.kafka.common.errors.{words}Exception"


class Unreachable(ToolError):
    """No answer: the broker is not there, or went away."""


def check(code: int, message: str | None = None) -> None:
    if code:
        raise Refused(code, message)


class Connection:
    """To one broker, whose versions are asked for first. Raises Unreachable when it is lost."""

    def __init__(self, host: str, port: int, timeout_seconds: float) -> None:
        self.name = f"{host}:{port}"
        self._correlation_id = 0
        try:
            self._socket = socket.create_connection((host, port), timeout_seconds)
        except OSError as error:
            raise Unreachable(f"{self.name}: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        asked = ApiVersionsRequest(client_software_name="pykbroker", client_software_version="1")
        self.versions: dict[int, tuple[int, int]] = {18: (0, 3)}
        try:
            self.api_versions: ApiVersionsResponse = self.call(asked)
            check(self.api_versions.error_code)
        except ToolError:
            self.close()
            raise
        self.versions = {
            api.api_key: (api.min_version, api.max_version) for api in self.api_versions.api_keys
        }

    def call(self, request: Request) -> Any:
        """In the newest version that both sides know."""
        key = request.api_key
        api = API_BY_KEY[key]
        oldest, newest = self.versions.get(key, (1, 0))
        version = min(newest, api.max_version)
        if version < max(oldest, api.min_version):
            raise Refused(ErrorCode.UNSUPPORTED_VERSION, f"{self.name} does not serve {api.name}")
        self._correlation_id += 1
        frame = request_frame(request, version, self._correlation_id, "pykbroker-tools")
        try:
            self._socket.sendall(b"".join(frame))
            answer = self._read()
        except OSError as error:
            raise Unreachable(f"{self.name}: {error}") from error
        if response_head(answer) != self._correlation_id:
            raise Unreachable(f"{self.name} answered another request")
        response, _ = decode(api.response, version, answer, response_body(answer, key, version))
        return response

    def _read(self) -> bytes:
        size = int.from_bytes(self._exactly(4), "big")
        if size > MAX_RESPONSE_BYTES:
            raise Unreachable(f"{self.name} does not speak Kafka's protocol")
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise ConnectionResetError("the connection was closed")
        return data

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


class Client:
    """``servers`` is a list as in bootstrap.servers. Waits for a broker at most so long."""

    def __init__(self, servers: str, timeout_seconds: float = 60.0) -> None:
        self._bootstrap = [address(server.strip()) for server in servers.split(",")]
        self._timeout = timeout_seconds
        self._known: dict[int, tuple[str, int]] = {}
        self._connections: dict[int, Connection] = {}
        self.first = self._any()

    def call(self, request: Request, node: int | None = None) -> Any:
        """Asks the first broker that was found, or this one. What fails on the way is not asked
        again: whether it was done is not known."""
        connection = self.first if node is None else self.connection(node)
        try:
            return connection.call(request)
        except (Unreachable, DecodeError):
            connection.close()
            if connection is self.first:
                self.first = self._any()
            else:
                self._connections.pop(node if node is not None else -1, None)
            raise

    def close(self) -> None:
        for connection in (self.first, *self._connections.values()):
            connection.close()

    def connection(self, node: int) -> Connection:
        if node not in self._connections:
            if node not in self._known:
                self.metadata([])
            if node not in self._known:
                raise Unreachable(f"broker {node} is not available")
            self._connections[node] = Connection(*self._known[node], self._timeout)
        return self._connections[node]

    def metadata(self, topics: Iterable[str] | None, *, create: bool = False) -> MetadataResponse:
        wanted = None
        if topics is not None:
            wanted = [MetadataRequestTopic(name=topic) for topic in topics]
        request = MetadataRequest(topics=wanted, allow_auto_topic_creation=create)
        try:
            response: MetadataResponse = self.call(request)
        except Unreachable:
            response = self.call(request)  # of whoever was found in its place
        self._known = {b.node_id: (b.host, b.port) for b in response.brokers}
        return response

    def topic(self, name: str, *, create: bool = False) -> MetadataResponseTopic:
        """With a leader for every partition, which may take a moment."""
        for _ in self.attempts():
            (topic,) = self.metadata([name], create=create).topics
            if topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION and create:
                continue
            if topic.error_code not in PASSING:
                check(topic.error_code)
                if all(partition.leader_id >= 0 for partition in topic.partitions):
                    return topic
        raise ToolError(
            f"Topic {name} not present in metadata after {self._timeout * 1000:.0f} ms."
        )

    def coordinator(self, group: str) -> int:
        """The node that keeps a group."""
        request = FindCoordinatorRequest(key_type=0, coordinator_keys=[group])
        for _ in self.attempts():
            (found,) = self.call(request).coordinators
            if found.error_code not in PASSING:
                check(found.error_code, found.error_message)
                self._known[found.node_id] = (found.host, found.port)
                return int(found.node_id)
        raise ToolError("Timed out waiting for a node assignment. Call: findCoordinator")

    def attempts(self) -> Iterable[int]:
        """Counts, with pauses, until the timeout is over."""
        deadline = time.monotonic() + self._timeout
        number = 0
        while True:
            yield number
            number += 1
            if time.monotonic() > deadline:
                return
            time.sleep(BACKOFF_SECONDS)

    def _any(self) -> Connection:
        problem: Unreachable | None = None
        for _ in self.attempts():
            for host, port in [*self._bootstrap, *self._known.values()]:
                try:
                    return Connection(host, port, self._timeout)
                except Unreachable as error:
                    problem = error
        raise ToolError(f"Timed out waiting for a node assignment. ({problem})")


def address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ToolError(f"Invalid url in bootstrap.servers: {text}")
    return host.rpartition("://")[2].strip("[]") or "localhost", int(port)
