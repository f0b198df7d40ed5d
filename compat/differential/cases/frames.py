"""Connections: frames, headers, order."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from compat.differential.codec import API_KEYS, error_name, request_header
from compat.differential.connection import ConnectionEnded, NoAnswer
from compat.differential.registry import case
from compat.differential.talk import Broken, Side, exchange

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk


def outcome(t: Talk, label: str, data: bytes, *, shut: bool = False) -> None:
    """What becomes of a connection that carries these bytes."""
    with t.side.connect() as connection:
        connection.send(data)
        if shut:
            connection.shut()
        try:
            answer = connection.receive()
        except ConnectionEnded:
            t.record(label, "connection", "closed")
        except NoAnswer as error:
            raise Broken(label) from error
        else:
            t.record(label, "connection", f"answered {answer[:4].hex()}")


def framed(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload


@case("frames/lengths")
def lengths(t: Talk) -> None:
    for length in (-1, -(2**31), 104857601, 2**31 - 1):
        outcome(t, f"length {length}", struct.pack(">i", length) + bytes(20))
    outcome(t, "length 0", struct.pack(">i", 0) + framed(b""))
    outcome(t, "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    outcome(t, "TLS", bytes.fromhex("16030100a5010000a10303") + bytes(200))
    for size in (1, 4, 7, 8, 9, 10):
        outcome(t, f"{size} bytes", framed(b"\0\x12\0\0\0\0\0\x07\xff\xff"[:size]))


@case("frames/ends")
def ends(t: Talk) -> None:
    whole = framed(t.encode("api_versions", 0, {}).payload)
    outcome(t, "in a length", whole[:2], shut=True)
    outcome(t, "in a frame", whole[:-1], shut=True)
    outcome(t, "at once", b"", shut=True)


@case("frames/unknown-apis")
def unknown_apis(t: Talk) -> None:
    for key in (-1, 4, 5, 6, 7, 58, 59, 62, 63, 70, 73, 82, 95, 999, 32767):
        header = request_header(key, 0, False, 7, "diff")
        outcome(t, f"key {key}", framed(header + bytes(50)))


@case("frames/unknown-versions")
def unknown_versions(t: Talk) -> None:
    for api in ("produce", "fetch", "metadata", "heartbeat", "create_topics", "find_coordinator"):
        for version in (-1, 77, 32767):
            header = request_header(API_KEYS[api], version, version > 0, 7, "diff")
            outcome(t, f"{api} {version}", framed(header + bytes(50)))


@case("frames/client-ids")
def client_ids(t: Talk) -> None:
    for client_id in (None, "", "x" * 300, "ä b", "a\x00b"):
        for api, version in (("metadata", 1), ("metadata", 12), ("api_versions", 3)):
            body: Body = {"topics": []} if api == "metadata" else {}
            encoded = t.encode(api, version, body, client_id)
            t.send_raw(
                api,
                version,
                encoded.payload,
                label=f"{client_id!r:.9} {api} {version}",
                in_short=api == "api_versions",
            )


@case("frames/correlation-ids")
def correlation_ids(t: Talk) -> None:
    for number in (0, -1, 2**31 - 1, -(2**31)):
        payload = request_header(API_KEYS["heartbeat"], 0, False, number, "diff")
        body = t.encode("heartbeat", 0, {"group_id": t.name("g"), "member_id": "m"}).body
        t.send_raw("heartbeat", 0, payload + body, label=f"{number}")


@case("frames/in-order")
def in_order(t: Talk) -> None:
    """Answers come in the order of the requests, a slow one before a quick one."""
    topic = t.topic()
    entry = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}
    fetch = {
        "replica_id": -1,
        "max_wait_ms": 300,
        "min_bytes": 1,
        "max_bytes": 1000,
        "topics": [{"topic": topic, "partitions": [entry]}],
    }
    group = {"group_id": t.name("g"), "generation_id": 1, "member_id": "m"}
    pending = [
        t.send("fetch", 4, fetch),
        t.send("heartbeat", 0, group),
        t.send("metadata", 1, {"topics": []}),
        t.send("fetch", 4, fetch),
        t.send("list_groups", 4, {"states_filter": ["Nonsense"]}),
    ]
    for one in pending:
        t.take(one)


@case("frames/after-a-bad-one")
def after_a_bad_one(t: Talk) -> None:
    """What stood before a request that cannot be read is answered; what stands behind is not."""
    with t.side.connect() as connection:
        good = t.encode("heartbeat", 0, {"group_id": t.name("g"), "member_id": "m"}).payload
        connection.send(framed(good) + framed(good[:-2]) + framed(good))
        codes = []
        try:
            while True:
                codes.append(error_name(int.from_bytes(connection.receive()[4:6], "big")))
        except ConnectionEnded:
            codes.append("closed")
        t.record("answers", "heartbeat", {"codes": codes})


@case("frames/many-at-once")
def many(t: Talk) -> None:
    with t.side.connect() as connection:
        count = 200
        for _ in range(count):
            connection.send_frame(t.encode("metadata", 1, {"topics": []}).payload)
        seen = [int.from_bytes(connection.receive()[:4], "big") for _ in range(count)]
        t.record("answers", "metadata", {"in order": seen == sorted(seen)})


@case("frames/api-versions-is-not-needed-first")
def not_first(t: Talk) -> None:
    side: Side = t.side
    with side.connect() as connection:
        body = {"group_id": t.name("g"), "generation_id": 1, "member_id": "m"}
        t.record("heartbeat", "heartbeat", exchange(connection, "heartbeat", 4, body))
