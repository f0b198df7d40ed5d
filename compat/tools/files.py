"""kafka-dump-log: Kafka's own reader of the files that brokers keep."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compat.tools.records import read, topic, write
from compat.tools.registry import check

if TYPE_CHECKING:
    from pathlib import Path

    from compat.tools.runner import Tools


def files(tools: Tools, folder: str, suffix: str) -> list[Path]:
    found = [f for d in tools.data_directories for f in d.glob(f"{folder}/*{suffix}")]
    assert found, f"no {folder}/*{suffix} in {tools.data_directories}"
    return sorted(found)


def complaints(told: str) -> list[str]:
    words = ("mismatch", "invalid", "exception", "error", "out of order", "corrupt")
    return [
        line
        for line in told.splitlines()
        if any(word in line.lower() for word in words)
        and not line.startswith(("| offset", "baseOffset"))
    ]


@check(
    "kafka-dump-log",
    "Segments are parsed, their batches are valid, and indexes fit them.",
    needs_data=True,
)
def dump_log(bootstrap: str, work: Path, tools: Tools) -> None:
    name = topic(bootstrap, tools)
    for codec in ("none", "zstd"):
        write(bootstrap, tools, name, "x\n" * 20, "--compression-codec", codec)
    for segment in files(tools, f"{name}-0", ".log"):
        told = tools.run("kafka-dump-log", "--print-data-log", "--files", str(segment))
        validity = re.findall(r"^baseOffset: .* isvalid: (\w+)", told, re.MULTILINE)
        assert validity, told
        assert set(validity) == {"true"}, told
        offsets = re.findall(r"^\| offset: (\d+) ", told, re.MULTILINE)
        assert offsets == [str(n) for n in range(40)], told
        assert complaints(told) == [], told


@check(
    "kafka-dump-log: offsets",
    "The offsets that groups committed are decoded.",
    needs_data=True,
)
def dump_offsets(bootstrap: str, work: Path, tools: Tools) -> None:
    name, group = topic(bootstrap, tools), tools.name("group")
    write(bootstrap, tools, name, "x\n" * 5)
    read(bootstrap, tools, name, 5, "--from-beginning", "--group", group)
    told = ""
    for segment in files(tools, "__consumer_offsets-*", ".log"):
        told += tools.run("kafka-dump-log", "--offsets-decoder", "--files", str(segment))
    assert complaints(told) == [], complaints(told)
    pattern = rf'"group":"{group}","topic":"{name}","partition":0.*"offset":5,'
    assert re.search(pattern, told), told[-3000:]
    assert re.search(rf'"group":"{group}".*"protocolType":"consumer"', told), told[-3000:]
