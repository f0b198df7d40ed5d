"""Three brokers in one interpreter: what is acknowledged by all is on all of them."""

from __future__ import annotations

import pytest

from tests.support.brokers_in_process import brokers_in_process
from wire.errors import ErrorCode


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


async def test_what_all_in_sync_acknowledge_is_the_same_on_every_replica():
    async with brokers_in_process(1, 2, 3) as cluster:
        await cluster.create(partitions=3)
        for index in range(3):
            for number in range(5):
                code, offset = await cluster.produce(b"%d" % number, b"x" * 100, index=index)
                assert (code, offset) == (ErrorCode.NONE, 2 * number)
        for index in range(3):
            assert len(cluster.log_bytes(1, index=index)) > 500
            assert cluster.are_identical((1, 2, 3), index=index)
            await cluster.until(
                lambda index=index: all(
                    cluster.partition(n, index=index).high_watermark == 10 for n in (1, 2, 3)
                )
            )
