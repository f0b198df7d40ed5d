"""Apache Kafka's jars, for tests that need Kafka itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from compat.kafka.libraries import LIBS_VARIABLE, Java, NoKafka, find_libraries

if TYPE_CHECKING:
    from pathlib import Path


def java(work: Path) -> Java:
    """Skips the test where Kafka's jars are not named, or there is no Java."""
    if not os.environ.get(LIBS_VARIABLE):
        pytest.skip(f"{LIBS_VARIABLE} does not name a directory with Kafka's jars")
    try:
        return Java(find_libraries(), work)
    except NoKafka as missing:
        pytest.skip(str(missing))


def dump_log(kafka: Java, *files: Path, options: tuple[str, ...] = ()) -> str:
    names = ",".join(map(str, files))
    return kafka.run("org.apache.kafka.tools.DumpLogSegments", *options, "--files", names)
