"""Fixtures for pytest: ``kafka_broker``, ``kafka_cluster``, ``kafka_topic``.

One broker, and one cluster, serve a whole test session; each fixture gives it in a clean state, in
milliseconds. How long that state lasts is the fixture's scope: a test (the default), or what
``--kafka-scope`` or ``kafka_scope`` in pytest's settings says. Fixtures with a life of their own
are made by ``broker_fixture`` and ``cluster_fixture``:

    orders_broker = broker_fixture(scope="module", settings={"num.partitions": 3})

Loaded by every run of pytest where pykbroker is installed: it imports nothing before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pykbroker.testing import Broker, Cluster

SCOPES = ("function", "class", "module", "package", "session")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pykbroker", "Kafka brokers for tests")
    group.addoption(
        "--kafka-scope",
        choices=SCOPES,
        help="how long the state of kafka_broker, kafka_cluster and kafka_topic lasts",
    )
    parser.addini("kafka_scope", "the same as --kafka-scope", default="function")
    parser.addini(
        "kafka_settings", "broker settings, a line each: name=value", type="linelist", default=[]
    )
    parser.addini("kafka_process", "run brokers in a child process", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    chosen = config.getini("kafka_scope")
    if chosen not in SCOPES:
        raise pytest.UsageError(f"kafka_scope is one of {', '.join(SCOPES)}, not {chosen!r}")


def _scope(fixture_name: str, config: pytest.Config) -> Any:
    return config.getoption("--kafka-scope") or config.getini("kafka_scope")


class _Pool:
    """The session's brokers, started when they are first asked for."""

    def __init__(self, config: pytest.Config) -> None:
        pairs = (line.partition("=") for line in config.getini("kafka_settings"))
        self._settings = {name.strip(): value.strip() for name, _, value in pairs}
        self._process = config.getini("kafka_process")
        self._running: dict[int, Cluster] = {}

    def take(self, brokers: int) -> Cluster:
        """In a clean state."""
        running = self._running.get(brokers)
        if running is None:
            from pykbroker.testing import Cluster

            running = Cluster(brokers, settings=self._settings, process=self._process)
            self._running[brokers] = running.start()
        else:
            running.reset()
        return running

    def close(self) -> None:
        for cluster in self._running.values():
            cluster.stop()


@pytest.fixture(scope="session")
def _kafka_pool(pytestconfig: pytest.Config) -> Iterator[_Pool]:
    pool = _Pool(pytestconfig)
    yield pool
    pool.close()


@pytest.fixture(scope=_scope)
def kafka_broker(_kafka_pool: _Pool) -> Cluster:
    """One broker without topics or groups: ``kafka_broker.bootstrap_servers``."""
    return _kafka_pool.take(1)


@pytest.fixture(scope=_scope)
def kafka_cluster(_kafka_pool: _Pool) -> Cluster:
    """Three brokers without topics or groups, all of them running."""
    return _kafka_pool.take(3)


@pytest.fixture(scope=_scope)
def kafka_topic(kafka_broker: Cluster) -> str:
    """The name of a new topic of ``kafka_broker``, with one partition."""
    import secrets

    name = f"topic-{secrets.token_hex(4)}"
    kafka_broker.create_topic(name)
    return name


def cluster_fixture(
    brokers: int = 3,
    *,
    scope: Any = "session",
    settings: Mapping[str, object] | None = None,
    process: bool = False,
) -> Callable[..., Cluster]:
    """A fixture with a cluster of its own, from its first use to the end of its scope."""

    @pytest.fixture(scope=scope)
    def fixture() -> Iterator[Cluster]:
        from pykbroker.testing import Cluster

        with Cluster(brokers, settings=settings, process=process) as cluster:
            yield cluster

    return fixture


def broker_fixture(
    *,
    scope: Any = "session",
    settings: Mapping[str, object] | None = None,
    process: bool = False,
) -> Callable[..., Broker]:
    """A fixture with a broker of its own, from its first use to the end of its scope."""

    @pytest.fixture(scope=scope)
    def fixture() -> Iterator[Broker]:
        from pykbroker.testing import Broker

        with Broker(settings=settings, process=process) as broker:
            yield broker

    return fixture
