"""The drivers of the Python clients do what PROTOCOL.md says, against a broker of ours."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from compat.drivers import FAMILIES, Missing, build
from tests.compat.driver_contract import CONTRACT, Bench
from tests.support.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.process import BrokerProcess


@pytest.fixture(scope="module", params=FAMILIES["python"])
def bench(request: pytest.FixtureRequest, memory_broker: BrokerProcess) -> Iterator[Bench]:
    command = build("python", ROOT)[request.param]
    if isinstance(command, Missing):
        pytest.skip(str(command))
    with closing(Bench(request.param, command, memory_broker.bootstrap)) as one:
        yield one


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_the_driver(check: Callable[[Bench], None], bench: Bench) -> None:
    check(bench)
