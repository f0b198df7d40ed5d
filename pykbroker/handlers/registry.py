"""Every handler module, imported for its registrations. What is registered is what is served."""

from __future__ import annotations

from importlib import import_module

MODULES = (
    "api_versions",
    "cluster",
    "configs",
    "coordinators",
    "fetch",
    "groups",
    "list_offsets",
    "log_dirs",
    "metadata",
    "offsets",
    "produce",
    "producer_ids",
    "quotas",
    "records",
    "telemetry",
    "topics",
)


def load() -> None:
    for name in MODULES:
        import_module(f"pykbroker.handlers.{name}")
