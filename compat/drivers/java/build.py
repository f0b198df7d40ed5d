"""The Java client, newest and 2.8: one Maven project, pinned by its pom, built twice."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import partial
from pathlib import Path

from compat.drivers import Missing
from compat.drivers.made import make_if_changed, run, sources

HERE = Path(__file__).parent
PROFILES = {"java": ("newest", "Newest"), "java-2.8": ("v2_8", "V2_8")}
"""By the driver's name: Maven's profile and the main class."""
GOALS = ("compile", "jar:jar", "dependency:copy-dependencies")
LIGHT = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms16m", "-Xmx512m")
"""Drivers are many and live for seconds."""
NOWHERE = "127.0.0.1:1"


def build(root: Path) -> dict[str, list[str] | Missing]:
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise Missing(f"{tool} is not installed")
    version = run(["java", "-Xinternalversion"], HERE)
    files = sources(HERE, "pom.xml", "*.java", "build.py")
    commands: dict[str, list[str] | Missing] = {}
    for name, (profile, main) in PROFILES.items():
        target = root / ".compat" / "java" / name
        make_if_changed(target, files, version, partial(_make, target, profile, main))
        commands[name] = _command(target, main, "SharedArchiveFile")
    return commands


def _command(target: Path, main: str, archive_option: str) -> list[str]:
    """The JVM's own log would stand among the results, and is turned off."""
    return [
        "java",
        *LIGHT,
        "-Xshare:auto",
        f"-XX:{archive_option}={target / 'classes.jsa'}",
        "-Xlog:disable",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        f"{target / 'driver.jar'}:{target / 'lib' / '*'}",
        f"driver.{main}",
    ]


def _make(target: Path, profile: str, main: str) -> None:
    for left in ("classes", "lib", "maven-status", "maven-archiver"):
        shutil.rmtree(target / left, ignore_errors=True)
    for left in ("driver.jar", "classes.jsa"):
        (target / left).unlink(missing_ok=True)
    maven = ["mvn", "--quiet", "--batch-mode", f"-P{profile}", f"-Dbuilt={target}"]
    run([*maven, *GOALS], HERE)
    _archive_classes(_command(target, main, "ArchiveClassesAtExit"))


def _archive_classes(command: list[str]) -> None:
    """Has a driver load its client's classes and keep them: later ones start in half the time.

    Raises RuntimeError when the driver cannot open every kind of client.
    """
    config = {"bootstrap": NOWHERE}
    commands = (
        {"op": "admin.open", "handle": "a", "config": config},
        {"op": "producer.open", "handle": "p", "config": config},
        {"op": "consumer.open", "handle": "c", "topics": ["t"], "config": config | {"group": "g"}},
    )
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        for one in commands:
            driver.stdin.write(json.dumps({"id": 1} | one).encode() + b"\n")
        driver.stdin.flush()
        answers = [driver.stdout.readline() for _ in range(1 + len(commands))]
        driver.stdin.close()
        driver.wait()
    for answer in answers[1:]:
        if not answer or not json.loads(answer).get("ok"):
            raise RuntimeError(f"{' '.join(command)}: {answer!r}")
