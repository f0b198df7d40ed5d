"""The Python clients, which the test environment has, and kcat, where it is installed."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING

from compat.drivers import Missing

if TYPE_CHECKING:
    from pathlib import Path

_MODULES = {
    "kafka-python": ("kafka", "kafka_python_driver"),
    "confluent-kafka": ("confluent_kafka", "confluent_driver"),
    "aiokafka": ("aiokafka", "aiokafka_driver"),
}


def build(root: Path) -> dict[str, list[str] | Missing]:
    commands: dict[str, list[str] | Missing] = {}
    for name, (package, module) in _MODULES.items():
        if importlib.util.find_spec(package) is None:
            commands[name] = Missing(f"the Python package {name} is not installed")
        else:
            commands[name] = [sys.executable, "-m", f"compat.drivers.python.{module}"]
    if shutil.which("kcat") is None:
        commands["kcat"] = Missing("kcat is not installed")
    else:
        commands["kcat"] = [sys.executable, "-m", "compat.drivers.python.kcat_driver"]
    return commands
