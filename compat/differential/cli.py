"""``python -m compat differential``: two clusters that are there, or without any, two of our own:
Apache Kafka and pykbroker, of one broker, and then of three for what only several can be asked."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from compat.control import ControlError
from compat.differential import command
from compat.kafka.cluster import KafkaCluster
from compat.kafka.libraries import NoKafka, find_libraries
from compat.serving import PykbrokerCluster

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"offsets.topic.num.partitions": "4"}
"""As the reference has it: a coordinator's partition shows in answers."""


def main(arguments: Sequence[str]) -> int:
    """The worse of the exit codes."""
    given = [word.partition("=")[0] for word in arguments]
    if {"--bootstrap", "--reference", "-h", "--help"} & set(given):
        return command.main(arguments)
    try:
        libraries = find_libraries(ROOT)
    except NoKafka as reason:
        print(f"compat: {reason}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="compat-") as work:
        codes = [_against(libraries, Path(work), brokers, arguments) for brokers in (1, 3)]
    ran = [code for code in codes if code is not None]
    if not ran:
        print("compat: no case is called so", file=sys.stderr)
    return max(ran, default=2)


def _against(libraries: Path, work: Path, brokers: int, arguments: Sequence[str]) -> int | None:
    """None when no case that was asked for is for clusters of this size."""
    ours, theirs = work / f"pykbroker-{brokers}", work / f"kafka-{brokers}"
    for directory in (ours, theirs):
        directory.mkdir()
    try:
        with (
            PykbrokerCluster(ours, brokers=brokers, settings=SETTINGS) as judged,
            KafkaCluster(theirs, brokers=brokers, libs=libraries) as reference,
        ):
            where = ["--bootstrap", judged.bootstrap, "--reference", reference.bootstrap]
            options = command.parser().parse_args([*where, *arguments])
            if options.report:
                options.report = f"{options.report}/brokers-{brokers}"
            return command.judged(options)
    except ControlError as error:
        print(f"compat: {error}", file=sys.stderr)
        return 2
