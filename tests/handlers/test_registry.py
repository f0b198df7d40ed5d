"""The table of served APIs is what the handler modules register."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pykbroker.handlers
from pykbroker.handlers import registry
from pykbroker.handlers.api import HANDLERS
from wire.apis import API_BY_KEY


def test_every_handler_is_in_the_table_and_every_row_has_its_handler() -> None:
    for module in pkgutil.iter_modules(pykbroker.handlers.__path__):
        import_module(f"pykbroker.handlers.{module.name}")
    assert set(HANDLERS) == registry.SERVED
    for key, function in HANDLERS.items():
        assert function.__module__ == f"pykbroker.handlers.{registry.MODULE_OF[key]}"


def test_only_known_apis_are_served() -> None:
    assert set(API_BY_KEY) >= registry.SERVED
