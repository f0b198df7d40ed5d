"""The tools come with Kafka's jars: ``make kafka-libs`` fetches them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from compat.drivers import Missing
from compat.kafka.libraries import NoKafka, find_libraries

if TYPE_CHECKING:
    from pathlib import Path


def build(root: Path) -> dict[str, list[str] | Missing]:
    try:
        libraries = find_libraries(root)
    except NoKafka as reason:
        raise Missing(str(reason)) from reason
    return {"kafka-tools": [sys.executable, "-m", "compat.drivers.tools.driver", str(libraries)]}
