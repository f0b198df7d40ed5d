"""Writes docs/command-line.md, the reference of the command, from its parser.

python -m pykbroker.command_listing docs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pykbroker.cli import build_parser

if TYPE_CHECKING:
    from collections.abc import Iterable

INTRODUCTION = """\
# The command line

Made by `python -m pykbroker.command_listing docs`.

Exit codes: 0 stopped as it was told to, 1 it could not serve or take over, 2 an argument or a
property is wrong; what is wrong stands in one line on standard error. `pykbroker` alone says what
there is to do."""


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def page() -> str:
    parser = build_parser()
    parts = [INTRODUCTION, _table(_rows(parser))]
    for name, command in subcommands(parser).items():
        parts += [f"## pykbroker {name}", command.description or "", _table(_rows(command))]
    return "\n\n".join(parts) + "\n"


def _rows(parser: argparse.ArgumentParser) -> Iterable[tuple[str, str]]:
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            yield _form(action), _meaning(action)


def _form(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else str(action.metavar or "|".join(action.choices or ()))
    return " ".join(filter(None, (", ".join(action.option_strings), value)))


def _meaning(action: argparse.Action) -> str:
    said = (action.help or "").replace("%(default)s", str(action.default))
    return said.replace("show program's version number and exit", "the version")


def _table(rows: Iterable[tuple[str, str]]) -> str:
    pipe = "\\|"
    lines = ["| argument | meaning |", "| --- | --- |"]
    lines += [f"| `{form.replace('|', pipe)}` | {meaning} |" for form, meaning in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    (Path(sys.argv[1]) / "command-line.md").write_text(page(), encoding="utf-8")
