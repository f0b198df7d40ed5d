"""The blocks of the documentation: what is indented by four, and what is fenced."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^( *)```[^\n]*\n(.*?)^\1```", re.S | re.M)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?:(?: {4,}[^\n]*)?\n)*(?: {4,}\S[^\n]*\n)+")


class Block(NamedTuple):
    page: str
    text: str

    @property
    def first(self) -> str:
        return self.text.splitlines()[0]

    @property
    def lines(self) -> list[str]:
        """Commands, without what is said about them."""
        return [re.sub(r"\s+# .*", "", line).rstrip() for line in self.text.splitlines() if line]


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: str, text: str) -> list[Block]:
    found = [Block(page, textwrap.dedent(block)) for _, block in FENCED.findall(text)]
    rest = FENCED.sub("", text)
    found += [Block(page, textwrap.dedent(block).strip("\n")) for block in INDENTED.findall(rest)]
    return found


def all_blocks() -> list[Block]:
    return [
        block
        for path in pages()
        for block in blocks_of(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]
