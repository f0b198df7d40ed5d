"""How long clients were without service, read from the history of a run."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Outages:
    """Of one partition, ``tp``, and of the clients of these kinds."""

    def __init__(self, files: Sequence[Path], tp: str, kinds: Sequence[str]) -> None:
        self._kills: list[dict[str, Any]] = []
        self._stops: list[dict[str, Any]] = []
        self._leaders: list[tuple[int, int]] = []
        self._sent: dict[str, list[tuple[int, int]]] = {kind: [] for kind in kinds}
        """When each acknowledged record was sent, and when it was acknowledged."""
        self._sent_at: dict[str, int] = {}
        self._read: dict[str, list[tuple[int, str]]] = {kind: [] for kind in kinds}
        """When each poll ended, and the newest record in it."""
        self._tp = tp
        for path in files:
            for line in path.read_text().splitlines():
                self._take(json.loads(line))
        for sent in self._sent.values():
            sent.sort()

    def _take(self, op: dict[str, Any]) -> None:
        kind = next((k for k in self._sent if op["proc"].startswith(f"{k}-")), "")
        if op["f"] == "fault" and op.get("on"):
            (self._kills if op["kind"].startswith("kill") else self._stops).append(op)
        elif op["f"] == "fault" and self._stops and op.get("on") is False:
            self._stops[-1]["end"] = op["t0"]
        elif op["f"] == "store" and op["tp"] == self._tp:
            self._leaders.append((op["t1"], op["leader"]))
        elif op["f"] == "send" and op["res"] == "ok":
            self._sent[kind].append((op["t0"], op["t1"]))
            self._sent_at[op["val"]] = op["t0"]
        elif op["f"] == "poll" and "group" in op:
            self._read[kind].append((op["t1"], op["recs"][self._tp]))

    def without_leader(self) -> list[float]:
        """From the kill until the metadata name the next one."""
        return [
            _seconds(kill, min(at for at, leader in self._leaders if _next(kill, at, leader)))
            for kill in self._kills
        ]

    def of_producer(self, kind: str) -> list[float]:
        return [
            _seconds(kill, min(told for sent, told in self._sent[kind] if sent > kill["t0"]))
            for kill in self._kills
        ]

    def of_consumer(self, kind: str, coordinator_of: str | None = None) -> list[float]:
        """``coordinator_of``: only where the one of that group has died."""
        return [
            _seconds(kill, min(at for at, recs in self._read[kind] if self._is_new(kill, at, recs)))
            for kill in self._kills
            if coordinator_of is None or kill["groups"][coordinator_of] == kill["target"]
        ]

    def _is_new(self, kill: dict[str, Any], at: int, recs: list[list[Any]]) -> bool:
        """Whether something was sent after the kill."""
        if at <= kill["t0"]:
            return False
        return any(self._sent_at.get(val, 0) > kill["t0"] for _, _, val in recs)

    def pauses(self, kind: str) -> list[float]:
        """The longest time between two acknowledgements, from each clean stop until the broker is
        back and in sync."""
        found = []
        for stop in self._stops:
            told = sorted(at for _, at in self._sent[kind] if stop["t0"] <= at <= stop["end"])
            found.append(max(b - a for a, b in itertools.pairwise(told)) / 1e9)
        return found


def _next(kill: dict[str, Any], at: int, leader: int) -> bool:
    return at > kill["t0"] and leader not in (-1, kill["target"])


def _seconds(kill: dict[str, Any], at: int) -> float:
    return float(at - kill["t0"]) / 1e9
