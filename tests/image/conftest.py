"""The image, built once, in a Docker Engine that ends with the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.image.docker import Docker, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    reason = why_not()
    if reason is not None:
        pytest.skip(f"no Docker here: {reason}")
    engine = Docker()
    try:
        engine.build()
        yield engine
    finally:
        engine.close()
