"""The differences that are meant: each has a reason, and must be met."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compat.differential.compare import Difference

FILE = Path(__file__).with_name("known.toml")


def _pattern(text: str) -> re.Pattern[str]:
    """``*`` is anything, ``[]`` any place in an array, ``|`` between alternatives."""
    alternatives = []
    for part in text.split("|"):
        escaped = re.escape(part).replace(r"\*", ".*").replace(r"\[\]", r"\[\d+\]")
        alternatives.append(escaped)
    return re.compile("|".join(alternatives))


@dataclass
class Known:
    """One entry of known.toml. ``ours`` and ``reference`` narrow it to these values."""

    case: str
    path: str
    reason: str
    """As docs/differences.md has it, or a part of a line there."""
    step: str = "*"
    ours: str = "*"
    reference: str = "*"
    count: int = field(default=0, compare=False)
    """How often it was met."""

    def __post_init__(self) -> None:
        self._patterns = [_pattern(p) for p in (self.case, self.step, self.path)]
        self._values = [_pattern(p) for p in (self.ours, self.reference)]

    def covers(self, difference: Difference) -> bool:
        names = (difference.case, difference.step, difference.path)
        values = (str(difference.ours), str(difference.reference))
        return all(
            pattern.fullmatch(text)
            for pattern, text in zip(
                [*self._patterns, *self._values], (*names, *values), strict=True
            )
        )

    def is_stale(self, cases: Iterable[str]) -> bool:
        """Whether it was not met, though cases that it is about have run."""
        return self.count == 0 and any(self._patterns[0].fullmatch(case) for case in cases)


def read_known(path: Path = FILE) -> list[Known]:
    """Raises TypeError for an entry with a field too many or too few."""
    found = tomllib.loads(path.read_text()).get("difference", [])
    return [Known(**entry) for entry in found]
