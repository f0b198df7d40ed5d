"""Fixtures that every suite shares, and hypothesis' profiles."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.process import BrokerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

settings.register_profile(
    "quick",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "long", deadline=None, max_examples=2000, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked ``compat`` or ``image`` runs when it is asked for: ``-m compat``."""
    asked = config.option.markexpr
    slow = [name for name in ("compat", "image") if name not in asked]
    left_out = [item for item in items if any(map(item.get_closest_marker, slow))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[..., BrokerProcess]]:
    """Start brokers with given arguments; whatever still runs at the end is killed."""
    started: list[BrokerProcess] = []

    def start(*arguments: str, env: dict[str, str] | None = None, port: int = 0) -> BrokerProcess:
        broker = BrokerProcess(*arguments, log_dir=tmp_path, env=env, port=port)
        started.append(broker)
        return broker.wait_ready()

    yield start
    for broker in started:
        broker.kill()


@pytest.fixture(scope="session")
def memory_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker for tests that use topics and groups of their own."""
    broker = BrokerProcess("--memory", log_dir=tmp_path_factory.mktemp("broker"))
    yield broker.wait_ready()
    assert broker.terminate() == 0, broker.stderr


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
