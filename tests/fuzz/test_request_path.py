"""Whatever comes in: an error answer or a closed connection; no crash, no hang, no growth."""

from __future__ import annotations

import os
import random
import traceback
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pykbroker.handlers.registry import SERVED
from pykbroker.log import CURRENT, ERROR, Log
from tests.support.grammar import Grammar, mutate
from tests.support.in_process import Wire, broker_in_process
from wire.apis import API_BY_KEY, ApiKey
from wire.codec import encode_bytes
from wire.messages.api_versions import ApiVersionsRequest

if TYPE_CHECKING:
    from pykbroker.broker import Broker

FRAMES = int(os.environ.get("FUZZ_FRAMES", "200000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
PER_CONNECTION = 50
GROWTH_LIMIT_BYTES = 192 * 1024 * 1024


def seeds(grammar: Grammar, per_version: int) -> list[bytes]:
    """Valid frames of every API and version that is served."""
    found = []
    for key in sorted(SERVED):
        api = API_BY_KEY[key]
        for version in range(api.min_version, api.max_version + 1):
            found.extend(grammar.frame(api, version) for _ in range(per_version))
    return found


class Errors:
    """A log sink that keeps what must not be said."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}

    def emit(self, level: int, name: str, event: str, fields: dict[str, Any]) -> None:
        if level >= ERROR:
            error = fields.get("error")
            trace = "".join(traceback.format_exception(error)) if error else ""
            self.seen.setdefault(f"{event} {fields} {trace[-600:]}"[:1500], fields)


def assert_alive(broker: Broker) -> None:
    """A well-behaved client is answered at once."""
    wire = Wire(broker)
    head = bytes((0, ApiKey.API_VERSIONS, 0, 0, 0, 0, 0, 9, 0xFF, 0xFF))
    body = head + encode_bytes(ApiVersionsRequest(), 0)
    wire.send(len(body).to_bytes(4, "big") + body)
    (answer,) = wire.take_responses()
    assert answer[:4] == b"\x00\x00\x00\x09"
    wire.hang_up()


@pytest.mark.anyio
@pytest.mark.timeout(900)
async def test_no_bytes_harm_the_broker() -> None:
    from anyio.lowlevel import checkpoint

    rng = random.Random(SEED)
    grammar = Grammar(rng)
    process = psutil.Process()
    errors = Errors()
    CURRENT.set(Log(errors))
    async with broker_in_process("num.partitions=2") as broker:
        pool = seeds(grammar, 4)
        sent = answered = closed = 0
        before = 0
        while sent < FRAMES:
            wire = Wire(broker)
            for _ in range(PER_CONNECTION):
                frame = rng.choice(pool)
                wire.send(frame if rng.random() < 0.1 else mutate(frame, rng))
                sent += 1
                if wire.is_closed:
                    closed += 1
                    break
            await checkpoint()
            answered += len(wire.take_responses())
            wire.hang_up()
            if sent % 1000 < PER_CONNECTION:
                assert_alive(broker)
            if before == 0 and sent > FRAMES // 4:
                before = process.memory_info().rss  # caches, codecs and pools are warm
        assert_alive(broker)
        grown = process.memory_info().rss - before
    assert not errors.seen, "\n".join(errors.seen)
    assert answered > FRAMES // 20, "most frames were not understood: the grammar is off"
    assert closed > FRAMES // 100, "hardly a frame was refused: the mutations are off"
    assert grown < GROWTH_LIMIT_BYTES, f"{grown} bytes more than after the first quarter"
