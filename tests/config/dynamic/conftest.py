"""A test that says which setting it changes must have changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def alters_its_setting(request: pytest.FixtureRequest) -> Iterator[None]:
    callspec = getattr(request.node, "callspec", None)
    setting = callspec.params.get("setting") if callspec is not None else None
    yield
    if setting is not None:
        assert setting.was_altered, setting
