"""Where Kafka's jars are, and how to run what is in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from compat.processes import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

LIBS_VARIABLE = "COMPAT_KAFKA_LIBS"
LOG4J = """\
<Configuration status="WARN"><Appenders>
<Console name="C" target="SYSTEM_OUT"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console>
</Appenders><Loggers><Root level="${sys:level:-WARN}"><AppenderRef ref="C"/></Root></Loggers>
</Configuration>
"""


class NoKafka(Exception):
    """No jars, or no Java: says what is missing."""


def find_libraries(root: Path | None = None) -> Path:
    """The directory that ``COMPAT_KAFKA_LIBS`` names, else the newest under ``root/.kafka``."""
    if shutil.which("java") is None:
        raise NoKafka("java is not on the PATH")
    named = os.environ.get(LIBS_VARIABLE)
    if named:
        if not list(Path(named).glob("kafka-tools-*.jar")):
            raise NoKafka(f"{LIBS_VARIABLE}={named} holds no kafka-tools jar")
        return Path(named).absolute()
    made = [p.parent for p in ((root or Path.cwd()) / ".kafka").glob("*/.ready")]
    if not made:
        raise NoKafka(f"{LIBS_VARIABLE} names no directory, and there is none of `make kafka-libs`")
    return max(made, key=lambda p: [int(n) for n in re.findall(r"\d+", p.name)]).absolute()


def version_of(libs: Path) -> str:
    """Kafka's version, by its jars."""
    [jar] = libs.glob("kafka-tools-?.*.jar")
    return jar.stem.removeprefix("kafka-tools-")


class Java:
    """Runs main classes of Kafka's, each in a JVM of its own; ``work`` gets the log settings."""

    def __init__(self, libs: Path, work: Path) -> None:
        self.libs = libs
        self._log4j = work / "log4j2.xml"
        self._log4j.write_text(LOG4J)

    def command(
        self,
        main: str,
        *arguments: str,
        level: str = "WARN",
        heap: str = "256m",
        properties: Mapping[str, str] | None = None,
    ) -> list[str]:
        """``level`` is that of Kafka's own logging, which goes to standard output."""
        return [
            "java",
            f"-Xmx{heap}",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            f"-Dlog4j2.configurationFile={self._log4j}",
            f"-Dlevel={level}",
            *(f"-D{name}={value}" for name, value in (properties or {}).items()),
            "-cp",
            f"{self.libs}/*",
            main,
            *arguments,
        ]

    def run(self, main: str, *arguments: str, level: str = "WARN") -> str:
        """Its output, standard error included; AssertionError with it when it does not end well."""
        done = subprocess.run(
            self.command(main, *arguments, level=level),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        assert done.returncode == 0, output
        return output
