"""The table of served APIs is what the handler modules register."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pykbroker.handlers
from pykbroker.handlers import registry
from pykbroker.handlers.api import HANDLERS, forward
from wire.apis import API_BY_KEY


def test_every_handler_is_in_the_table_and_every_row_has_its_handler() -> None:
    for module in pkgutil.iter_modules(pykbroker.handlers.__path__):
        import_module(f"pykbroker.handlers.{module.name}")
    assert set(HANDLERS) == registry.SERVED
    for key, function in HANDLERS.items():
        module = import_module(f"pykbroker.handlers.{registry.MODULE_OF[key]}")
        if function is forward:  # Of no module; the request is named by the one that registers it.
            assert API_BY_KEY[key].request in vars(module).values()
        else:
            assert function.__module__ == module.__name__


def test_only_known_apis_are_served() -> None:
    assert set(API_BY_KEY) >= registry.SERVED
