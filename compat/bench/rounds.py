"""Every load on every broker, round by round, one broker after the other: A B C, A B C."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from compat.bench.launchers import StartFailed
from compat.bench.raw import BrokerError
from compat.bench.subjects import started

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compat.bench.case import Case
    from compat.bench.subjects import Subject

REFUSALS = (BrokerError, StartFailed, KafkaException, OSError)
"""What a broker does not do is no reason not to measure the others."""


@dataclass
class Results:
    """``values``: by case, target and measure, one value for each round that came through."""

    cases: list[Case]
    targets: list[str]
    rounds: int
    values: dict[tuple[str, str, str], dict[int, float]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, case: Case, target: str, measure: str) -> dict[int, float]:
        return self.values.get((case.title, target, measure), {})

    def measures(self, case: Case) -> list[str]:
        """In the order in which the load gave them."""
        return list(dict.fromkeys(m for title, _, m in self.values if title == case.title))


def run_all(
    cases: Sequence[Case], subjects: Sequence[Subject], rounds: int, *, warm_up: bool
) -> Results:
    """The warm-up is one round more, whose values are dropped. Ctrl-C ends all."""
    results = Results(list(cases), [subject.name for subject in subjects], rounds)
    number = 0
    try:
        for number in range(0 if warm_up else 1, rounds + 1):
            one_round(results, subjects, number)
    except KeyboardInterrupt:
        results.rounds = max(0, number - 1)
        progress(f"interrupted: {results.rounds} rounds are whole")
    return results


def one_round(results: Results, subjects: Sequence[Subject], number: int) -> None:
    for case in results.cases:
        if number == 0 and (case.managed or case.brokers):
            continue  # starts anew each time: nothing to warm
        for subject in in_turn(subjects, number):
            if able(case, subject) and (case.title, subject.name) not in results.failures:
                one(results, case, subject, number)


def in_turn(subjects: Sequence[Subject], number: int) -> list[Subject]:
    """A different one begins each round."""
    first = number % len(subjects)
    return [*subjects[first:], *subjects[:first]]


def able(case: Case, subject: Subject) -> bool:
    if not (case.managed or case.brokers):
        return True
    return subject.launcher is not None and subject.launcher.largest >= case.brokers


def one(results: Results, case: Case, subject: Subject, number: int) -> None:
    begun = time.perf_counter()
    try:
        with placed(case, subject) as place:
            values = case.run(place)
    except REFUSALS as error:
        results.failures[case.title, subject.name] = f"{type(error).__name__}: {error}"
        progress(f"{number} {case.title} {subject.name}: {type(error).__name__}: {error}")
        return
    if number:
        for measure, value in values.items():
            results.values.setdefault((case.title, subject.name, measure), {})[number] = value
    figures = " ".join(f"{measure}={value:.4g}" for measure, value in values.items())
    seconds = time.perf_counter() - begun
    progress(f"{number} {case.title} {subject.name} {figures} ({seconds:.1f} s)")


@contextlib.contextmanager
def placed(case: Case, subject: Subject) -> Iterator[Subject]:
    """The broker that the run has, or a cluster started for this case."""
    if not case.brokers or subject.launcher is None:
        yield subject
        return
    with started(subject.launcher, case.brokers) as cluster:
        yield cluster


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
