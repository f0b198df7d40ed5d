"""Runs cases on both sides and lays what was said side by side."""

from __future__ import annotations

import secrets
import traceback
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from compat.differential.codec import Undecodable
from compat.differential.connection import ConnectionEnded, NoAnswer
from compat.differential.talk import CaseEnded, Step, Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from compat.differential.registry import Instance
    from compat.differential.talk import Side

ABSENT = "<absent>"
BROKEN = "the case is broken"
WORKERS = 4


class Difference(NamedTuple):
    case: str
    """With the version: ``produce/acks v3``."""
    step: str
    path: str
    """``produce.responses[0].partition_responses[0].error_code``."""
    ours: Any
    reference: Any


class Outcome(NamedTuple):
    instance: Instance
    ours: list[Step]
    reference: list[Step]
    differences: list[Difference]


def run_case(instance: Instance, side: Side, token: str) -> list[Step]:
    """What one side said. A defect of the case itself ends what it said, with its trace."""
    talk = Talk(side, token)
    try:
        instance.case.run(talk, instance.version)
    except (CaseEnded, ConnectionEnded, NoAnswer, Undecodable) as error:
        talk.record("the end", "case", f"{type(error).__name__}: {error}")
    except Exception:
        talk.record(BROKEN, "case", traceback.format_exc())
    finally:
        talk.finish()
    return talk.steps


def compare(instance: Instance, ours: list[Step], reference: list[Step]) -> Outcome:
    differences: list[Difference] = []
    if BROKEN in (ours[-1].label, reference[-1].label):
        said = (side[-1].answer if side[-1].label == BROKEN else "" for side in (ours, reference))
        return Outcome(instance, ours, reference, [Difference(instance.name, BROKEN, "", *said)])
    for mine, theirs in zip_longest(ours, reference):
        step = (mine or theirs).label
        if mine is None or theirs is None or mine.label != theirs.label:
            said = (one and (one.label, one.answer) for one in (mine, theirs))
            left, right = (ABSENT if one is None else one for one in said)
            differences.append(Difference(instance.name, step, "steps", left, right))
            break
        if isinstance(mine.answer, str) or isinstance(theirs.answer, str):
            if mine.answer != theirs.answer:
                told = in_short(mine.answer), in_short(theirs.answer)
                differences.append(Difference(instance.name, step, mine.api, *told))
            continue
        found = differing(mine.answer, theirs.answer, mine.api)
        differences += (Difference(instance.name, step, *one) for one in found)
    return Outcome(instance, ours, reference, differences)


def differing(ours: Any, reference: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two answers part, as high up as it can be said."""
    if isinstance(ours, dict) and isinstance(reference, dict):
        for key in dict.fromkeys([*reference, *ours]):
            inner = ours.get(key, ABSENT), reference.get(key, ABSENT)
            yield from differing(*inner, f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(reference, list):
        for index, inner in enumerate(zip_longest(ours, reference, fillvalue=ABSENT)):
            yield from differing(*inner, f"{path}[{index}]")
    elif ours != reference or type(ours) is not type(reference):
        yield path, ours, reference


def in_short(answer: Any) -> str:
    """Of an answer that stands beside none: its errors."""
    if isinstance(answer, str):
        return answer
    return f"answered {', '.join(_errors(answer))}".strip()


def _errors(answer: Any, key: str = "") -> Iterator[str]:
    if isinstance(answer, dict):
        for name, inner in answer.items():
            yield from _errors(inner, name)
    elif isinstance(answer, list):
        for inner in answer:
            yield from _errors(inner)
    elif key == "error_code":
        yield str(answer)


def run(
    instances: Iterable[Instance],
    side: Side,
    reference: Side,
    told: Callable[[Outcome], None],
    workers: int = WORKERS,
) -> list[Outcome]:
    """Several cases at a time, those that change what others see one by one at the end."""
    run_token = secrets.token_hex(3)
    everything = list(instances)

    def one(index: int) -> Outcome:
        instance = everything[index]
        token = f"d{run_token}-{index}"
        answers = [run_case(instance, each, token) for each in (side, reference)]
        outcome = compare(instance, *answers)
        told(outcome)
        return outcome

    shared = [i for i, instance in enumerate(everything) if not instance.case.alone]
    alone = [i for i, instance in enumerate(everything) if instance.case.alone]
    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(one, shared))
    return outcomes + [one(index) for index in alone]
