"""The drivers of the Go clients do what PROTOCOL.md says, against a broker of ours."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from compat.drivers import FAMILIES, Missing, build
from tests.compat.driver_contract import CONTRACT, Bench
from tests.compat.members_contract import MEMBERS
from tests.support.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.process import BrokerProcess

pytestmark = [pytest.mark.compat, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def commands() -> dict[str, list[str] | Missing]:
    return build("go", ROOT)


@pytest.mark.parametrize("name", FAMILIES["go"])
@pytest.mark.parametrize("check", [*CONTRACT, *MEMBERS], ids=lambda check: check.__name__)
def test_the_driver(
    name: str,
    check: Callable[[Bench], None],
    commands: dict[str, list[str] | Missing],
    memory_broker: BrokerProcess,
) -> None:
    command = commands[name]
    if isinstance(command, Missing):
        pytest.skip(str(command))
    with closing(Bench(name, command, memory_broker.bootstrap)) as bench:
        check(bench)
