"""One case's talk with one broker, written down so that it can be laid beside another's."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from compat.differential.codec import (
    API_KEYS,
    Body,
    Encoded,
    Undecodable,
    decode_response,
    encode_request,
    fields_of,
    request_schema,
    versions_of,
)
from compat.differential.connection import (
    PATIENCE_SECONDS,
    Connection,
    ConnectionEnded,
    NoAnswer,
)
from compat.differential.normalise import Names, Normaliser

if TYPE_CHECKING:
    from collections.abc import Callable


_POLL_SECONDS = 0.02
UNKNOWN_TOPIC_OR_PARTITION = 3


class CaseEnded(Exception):
    """The case cannot go on with this broker; that it ended here, and why, is part of its talk."""


class Broken(Exception):
    """The case could not be prepared: neither broker is judged by it."""


class Step(NamedTuple):
    label: str
    api: str
    answer: Any


class Side:
    """One of the two clusters: where its brokers are, and what they speak."""

    def __init__(self, name: str, bootstrap: str) -> None:
        self.name = name
        self.bootstrap = bootstrap
        host, _, port = bootstrap.split(",")[0].rpartition(":")
        if not (host and port.isdigit()):
            raise ValueError("it is not HOST:PORT")
        self._first = (host.strip("[]"), int(port))
        self.nodes: dict[int, tuple[str, int]] = {}
        self.versions: dict[str, tuple[int, int]] = {}
        self._learn()

    def _learn(self) -> None:
        with Connection(*self._first) as connection:
            answer = exchange(connection, "api_versions", 0, {})
            names = {key: name for name, key in API_KEYS.items()}
            for one in answer["api_keys"]:
                if one["api_key"] in names:
                    self.versions[names[one["api_key"]]] = (one["min_version"], one["max_version"])
            for broker in exchange(connection, "metadata", 1, {"topics": []})["brokers"]:
                self.nodes[broker["node_id"]] = (broker["host"], broker["port"])

    def connect(self, node: int | None = None) -> Connection:
        return Connection(*(self._first if node is None else self.nodes[node]))

    def warm_up(self) -> None:
        """Until groups have a coordinator."""
        with self.connect() as connection:
            body = {"key": "warm-up", "key_type": 0}
            self._until(
                lambda: exchange(connection, "find_coordinator", 1, body)["error_code"] == 0
            )

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise Broken("waited in vain")
            time.sleep(_POLL_SECONDS)


def exchange(connection: Connection, api: str, version: int, body: Body) -> Body:
    """One request and its answer, outside any record."""
    connection.send_frame(encode_request(api, version, body).payload)
    return decode_response(api, version, connection.receive())[1]


def fit(schema: type, body: Body) -> Body:
    """What the version has of a body that is written for all of them."""
    fitted: Body = {}
    for field in fields_of(schema):
        if field.name not in body:
            continue
        value = body[field.name]
        if field.struct is not None and isinstance(value, dict):
            value = fit(field.struct, value)
        elif field.struct is not None and isinstance(value, list):
            value = [fit(field.struct, v) if isinstance(v, dict) else v for v in value]
        fitted[field.name] = value
    if "_tags" in body:
        fitted["_tags"] = body["_tags"]
    return fitted


class Pending(NamedTuple):
    """A request that waits for its answer."""

    connection: Connection
    api: str
    version: int
    correlation_id: int
    label: str


class Talk:
    """Names are the same on both sides; what a broker answers is recorded step by step."""

    def __init__(self, side: Side, token: str) -> None:
        self.side = side
        self.steps: list[Step] = []
        self.names = Names()
        self._normaliser = Normaliser(self.names, token)
        self._token = token
        self._counts: dict[str, int] = {}
        self._topics: list[str] = []
        self.topic_ids: dict[str, uuid.UUID] = {}
        self._connections: list[Connection] = []
        self._main: Connection | None = None
        self._correlation_id = 0

    # What a case is made of

    def name(self, kind: str = "n") -> str:
        """A name that nobody else uses: of a topic, a group, a client."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{self._token}.{kind}{self._counts[kind]}"

    def topic(
        self,
        partitions: int = 1,
        configs: dict[str, str] | None = None,
        *,
        name: str | None = None,
        assignments: list[list[int]] | None = None,
        replication: int = 1,
    ) -> str:
        """A new topic whose partitions have leaders; not a step of the record."""
        name = name or self.name("t")
        entry: Body = {
            "name": name,
            "num_partitions": partitions if assignments is None else -1,
            "replication_factor": replication if assignments is None else -1,
            "assignments": [
                {"partition_index": index, "broker_ids": replicas}
                for index, replicas in enumerate(assignments or [])
            ],
            "configs": [{"name": k, "value": v} for k, v in (configs or {}).items()],
        }
        body = {"topics": [entry], "timeout_ms": 30000}
        [made] = self.quiet("create_topics", 5, body)["topics"]
        if made["error_code"]:
            raise Broken(f"the topic was not made: {made}")
        self._topics.append(name)
        self.await_leaders(name, partitions if assignments is None else len(assignments))
        return name

    def await_leaders(self, name: str, count: int) -> None:
        """Until the brokers know a topic with so many partitions, and lead them."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            body = {"topics": [{"name": name}], "allow_auto_topic_creation": False}
            [found] = self.quiet("metadata", 12, body)["topics"]
            leaders = [p["leader_id"] for p in found["partitions"]]
            if len(leaders) == count and min(leaders) >= 0 and self._lead(name, leaders):
                self.topic_ids[name] = found["topic_id"]
                self.names.give("id", found["topic_id"], f"id of {name.replace(self._token, '@')}")
                return
            if time.monotonic() > deadline:
                raise Broken(f"no leaders of {name}: {found}")
            time.sleep(_POLL_SECONDS)

    def _lead(self, name: str, leaders: list[int]) -> bool:
        """Whether all brokers know of it, and the leaders that they lead: it takes a moment longer
        than the metadata of one."""
        several = len(self.side.nodes) > 1
        for node in self.side.nodes if several else leaders[:1]:
            partitions = [{"partition_index": i, "timestamp": -1} for i in range(len(leaders))]
            body = {"replica_id": -1, "topics": [{"name": name, "partitions": partitions}]}
            with self.side.connect(node if several else None) as connection:
                [found] = exchange(connection, "list_offsets", 1, body)["topics"]
            codes = {p["partition_index"]: p["error_code"] for p in found["partitions"]}
            wanted = [i for i, leader in enumerate(leaders) if leader == node]
            if UNKNOWN_TOPIC_OR_PARTITION in codes.values() or any(codes[i] for i in wanted):
                return False
        return True

    def id_of(self, topic: str) -> uuid.UUID:
        return self.topic_ids.get(topic) or uuid.UUID(int=0)

    def forget_later(self, topic: str) -> None:
        """A topic that the case itself makes is deleted at its end."""
        self._topics.append(topic)

    def settle(self) -> None:
        """Until this broker acts on what its controller has decided so far: when a topic is there,
        all that was decided before the one ahead of it is."""
        for _ in range(2):
            self.topic()

    def produce(self, topic: str, *data: bytes | None, partition: int = 0) -> Body:
        """Write batches, one request each; not a step of the record."""
        answer: Body = {}
        for one in data:
            body = produce_body(topic, one, partition=partition)
            answer = self.quiet("produce", 9, body)["responses"][0]["partition_responses"][0]
            if answer["error_code"]:
                raise Broken(f"not written: {answer}")
        return answer

    def connect(self, node: int | None = None) -> Connection:
        connection = self.side.connect(node)
        self._connections.append(connection)
        return connection

    @property
    def main(self) -> Connection:
        """What is used where no connection is named; a new one after the broker has closed it."""
        if self._main is None:
            self._main = self.connect()
        return self._main

    # Asking

    def quiet(self, api: str, version: int, body: Body) -> Body:
        """An exchange of preparation: not recorded, on a connection of its own."""
        if not hasattr(self, "_aside"):
            self._aside = self.connect()
        return exchange(self._aside, api, version, fit(request_schema(api, version), body))

    def quiet_on(self, node: int, api: str, version: int, body: Body) -> Body:
        """The same with one broker."""
        with self.side.connect(node) as connection:
            return exchange(connection, api, version, fit(request_schema(api, version), body))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise Broken(f"waited in vain for {what}")
            time.sleep(_POLL_SECONDS)

    def encode(self, api: str, version: int, body: Body, client_id: str | None = "diff") -> Encoded:
        self._correlation_id += 1
        fitted = fit(request_schema(api, version), body)
        return encode_request(
            api, version, fitted, correlation_id=self._correlation_id, client_id=client_id
        )

    def send(
        self,
        api: str,
        version: int,
        body: Body,
        *,
        on: Connection | None = None,
        label: str = "",
        client_id: str | None = "diff",
    ) -> Pending:
        """Fields that the version does not have are left out."""
        connection = on or self.main
        connection.send_frame(self.encode(api, version, body, client_id).payload)
        return Pending(connection, api, version, self._correlation_id, label)

    def take(self, pending: Pending) -> Body:
        """The answer, recorded. CaseEnded when there is none."""
        api, version = pending.api, pending.version
        try:
            payload = pending.connection.receive()
        except ConnectionEnded:
            self.record(pending.label, api, "closed")
            self._dropped(pending.connection)
            raise CaseEnded("closed") from None
        except NoAnswer:
            self.record(pending.label, api, "silent")
            raise CaseEnded("silent") from None
        try:
            correlation_id, body = decode_response(api, version, payload)
        except Undecodable as error:
            self.record(pending.label, api, f"undecodable: {error}: {payload.hex()}")
            raise CaseEnded("undecodable") from None
        if correlation_id != pending.correlation_id:
            self.record(pending.label, api, "of another request")
        self.record(pending.label, api, self._normaliser.answer(api, body))
        return body

    def ask(
        self,
        api: str,
        version: int,
        body: Body,
        *,
        on: Connection | None = None,
        label: str = "",
        client_id: str | None = "diff",
    ) -> Body:
        """A step: the answer, recorded."""
        return self.take(self.send(api, version, body, on=on, label=label, client_id=client_id))

    def try_ask(self, api: str, version: int, body: Body, **how: Any) -> Body | None:
        """As ``ask``; the case goes on when the broker closes, on a new connection."""
        try:
            return self.ask(api, version, body, **how)
        except CaseEnded:
            return None

    def send_raw(
        self, api: str, version: int, payload: bytes, *, label: str = "", in_short: bool = False
    ) -> None:
        """A frame as it is on a connection of its own; the answer, or that there is none.

        ``in_short`` records no more of an answer than its error code.
        """
        connection = self.connect()
        connection.send_frame(payload)
        correlation_id = int.from_bytes(payload[4:8], "big", signed=True)
        normaliser = self._normaliser
        self._normaliser = Normaliser(self.names.fork(), self._token)
        try:
            self.take(Pending(connection, api, version, correlation_id, label))
            if in_short:
                last = self.steps.pop()
                self.steps.append(last._replace(answer={"error_code": last.answer["error_code"]}))
        except CaseEnded:
            return
        finally:
            self._normaliser = normaliser
            connection.close()

    def record(self, label: str, api: str, answer: Any) -> None:
        """``answer`` is a text when there was none."""
        self.steps.append(Step(label or f"{len(self.steps) + 1} {api}", api, answer))

    def _dropped(self, connection: Connection) -> None:
        connection.close()
        if connection is self._main:
            self._main = None

    def finish(self) -> None:
        """Connections closed, topics deleted."""
        if self._topics:
            try:
                self.quiet("delete_topics", 5, {"topic_names": self._topics, "timeout_ms": 30000})
            except (ConnectionEnded, NoAnswer, Undecodable):
                self.record("the end", "delete_topics", "closed")
        for connection in self._connections:
            connection.close()


def produce_body(
    topic: str,
    records: bytes | None,
    *,
    partition: int = 0,
    acks: int = -1,
    topic_id: uuid.UUID | None = None,
    transactional_id: str | None = None,
) -> Body:
    partition_data = [{"index": partition, "records": records}]
    topic_data: Body = {"name": topic, "partition_data": partition_data}
    if topic_id is not None:
        topic_data["topic_id"] = topic_id
    return {
        "transactional_id": transactional_id,
        "acks": acks,
        "timeout_ms": 30000,
        "topic_data": [topic_data],
    }


def common_versions(api: str, sides: list[Side]) -> list[int]:
    """What all of them say they speak, and kio can write."""
    found = set(versions_of(api))
    for side in sides:
        low, high = side.versions.get(api, (0, -1))
        found &= set(range(low, high + 1))
    return sorted(found)
