"""References that are made from the code are what the code makes of them now."""

from __future__ import annotations

import re
from pathlib import Path

from pykbroker.cli import build_parser
from pykbroker.command_listing import page, subcommands

ROOT = Path(__file__).parents[2]


def test_the_command_line() -> None:
    assert (ROOT / "docs/command-line.md").read_text(encoding="utf-8") == page()


def test_every_argument_is_in_it_with_a_meaning() -> None:
    text = page()
    for command in subcommands(build_parser()).values():
        for action in command._actions:
            for option in action.option_strings:
                assert option in ("-h", "--help") or option in text
    assert not re.search(r"\| *\|$", text, re.M)


def test_every_page_is_linked_from_the_readme_or_from_one_that_is() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page_ = todo.pop()
        seen.add(page_)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page_.read_text(encoding="utf-8")):
            linked = (page_.parent / target).resolve()
            assert linked.exists(), f"{page_.name} links to {target}"
            if linked.suffix == ".md" and linked not in seen:
                todo.append(linked)
    missing = set((ROOT / "docs").rglob("*.md")) - seen
    assert missing == set(), sorted(path.name for path in missing)
