"""Deadlines against a dictionary that is searched from end to end."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pykbroker.state.deadlines import Deadlines

KEYS = st.sampled_from("abcdef")


class DeadlinesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.deadlines: Deadlines[str] = Deadlines()
        self.model: dict[str, int] = {}
        self.now = 0

    @rule(key=KEYS, when=st.integers(0, 50))
    def set(self, key: str, when: int) -> None:
        self.deadlines.set(key, self.now + when)
        self.model[key] = self.now + when

    @rule(key=KEYS)
    def cancel(self, key: str) -> None:
        self.deadlines.cancel(key)
        self.model.pop(key, None)

    @rule(ms=st.integers(0, 30))
    def pass_time(self, ms: int) -> None:
        self.now += ms
        due = sorted(when for when in self.model.values() if when <= self.now)
        popped = []
        while (key := self.deadlines.pop_due(self.now)) is not None:
            popped.append(self.model.pop(key))
        assert popped == due

    @invariant()
    def the_earliest_is_at_hand(self) -> None:
        assert self.deadlines.next() == min(self.model.values(), default=None)
        assert len(self.deadlines) == len(self.model)
        for key in "abcdef":
            assert self.deadlines.at(key) == self.model.get(key)
            assert (key in self.deadlines) == (key in self.model)


TestDeadlines = DeadlinesMachine.TestCase


def test_a_deadline_that_is_moved_for_ever_does_not_fill_memory() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for now in range(10_000):
        deadlines.set(now % 10, now + 1_000_000 - 2 * now)
        deadlines.set(now % 10, now + 1_000)
        deadlines.set(10 + now, now + 5)
        deadlines.cancel(10 + now)
    assert len(deadlines) == 10
    assert len(deadlines._heap) < 200
