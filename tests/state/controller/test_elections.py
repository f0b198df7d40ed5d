"""Who leads a partition after every kind of change: a table of cases, and what always holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.controller.elections import (
    Election,
    Electorate,
    Target,
    elect,
    is_unclean,
)
from pykbroker.state.controller.image import replace
from pykbroker.state.types import NO_LEADER
from tests.support.cluster_images import nodes, partition

if TYPE_CHECKING:
    from pykbroker.state.controller.image import PartitionImage

ONLINE, PREFERRED, UNCLEAN = Election.ONLINE, Election.PREFERRED, Election.UNCLEAN


def electorate(alive: tuple[int, ...], election: Election = ONLINE, min_isr: int = 2) -> Electorate:
    return Electorate(lambda node: node in alive, min_isr, election)


class Case(NamedTuple):
    name: str
    before: PartitionImage
    electorate: Electorate
    target: Target | None
    expected: dict | None
    """What differs afterwards, epochs apart; None when nothing changes."""
    leader_epoch: int = 6


FULL = partition([1, 2, 3])
CASES = [
    Case("a leader that is in order stays", FULL, electorate((1, 2, 3)), None, None),
    Case(
        "a leader that leaves is followed by the next in the ISR",
        FULL,
        electorate((2, 3)),
        Target(isr=nodes(2, 3)),
        {"leader": 2, "isr": (2, 3)},
    ),
    Case(
        "replicas outside the ISR are passed over",
        partition([1, 2, 3], isr=[1, 3]),
        electorate((2, 3)),
        Target(isr=nodes(3)),
        {"leader": 3, "isr": (3,), "elr": (1,)},
    ),
    Case(
        "a follower that leaves does not move the leader",
        FULL,
        electorate((1, 2)),
        Target(isr=nodes(1, 2)),
        {"isr": (1, 2)},
        leader_epoch=5,
    ),
    Case(
        "who leaves below the minimum stays eligible",
        partition([1, 2, 3], isr=[1, 2]),
        electorate((1,)),
        Target(isr=nodes(1)),
        {"isr": (1,), "elr": (2,)},
        leader_epoch=5,
    ),
    Case(
        "who leaves at the minimum is not",
        FULL,
        electorate((1, 2)),
        Target(isr=nodes(1, 2)),
        {"isr": (1, 2)},
        leader_epoch=5,
    ),
    Case(
        "the last one in the ISR stays eligible too",
        partition([1, 2, 3], isr=[1], elr=[2]),
        electorate(()),
        Target(isr=()),
        {"leader": -1, "isr": (), "elr": (1, 2), "last_known_elr": (1,)},
    ),
    Case(
        "from the ELR the new ISR is elected alone",
        partition([1, 2, 3], leader=-1, isr=[], elr=[1, 2], last_known=[1]),
        electorate((2, 3)),
        None,
        {"leader": 2, "isr": (2,), "elr": (1,), "last_known_elr": ()},
    ),
    Case(
        "the ELR does not count while the ISR has members",
        partition([1, 2, 3], leader=-1, isr=[3], elr=[1, 2], last_known=[3]),
        electorate((1, 2)),
        None,
        None,
    ),
    Case(
        "nobody left: no leader, and it is remembered who was",
        partition([1, 2, 3], isr=[1]),
        electorate((2, 3)),
        Target(isr=(), lost_tail=nodes(1)),
        {"leader": -1, "isr": (), "last_known_elr": (1,)},
    ),
    Case(
        "the last known leader comes back, alone and recovering",
        partition([1, 2, 3], leader=-1, isr=[], last_known=[1]),
        electorate((1, 2, 3)),
        None,
        {"leader": 1, "isr": (1,), "recovering": True, "last_known_elr": ()},
    ),
    Case(
        "others wait for the last known leader",
        partition([1, 2, 3], leader=-1, isr=[], last_known=[1]),
        electorate((2, 3)),
        None,
        None,
    ),
    Case(
        "with unclean election they do not",
        partition([1, 2, 3], leader=-1, isr=[], last_known=[1]),
        electorate((2, 3), UNCLEAN),
        None,
        {"leader": 2, "isr": (2,), "recovering": True, "last_known_elr": ()},
    ),
    Case(
        "unclean election prefers who is eligible",
        partition([1, 2, 3], leader=-1, isr=[], elr=[3], last_known=[3]),
        electorate((2, 3), UNCLEAN),
        None,
        {"leader": 3, "isr": (3,), "elr": (), "last_known_elr": ()},
    ),
    Case(
        "unclean election over a dead ISR forgets it",
        partition([1, 2, 3], leader=-1, isr=[1], elr=[2], last_known=[1]),
        electorate((3,), UNCLEAN),
        None,
        {"leader": 3, "isr": (3,), "elr": (), "recovering": True, "last_known_elr": ()},
    ),
    Case(
        "a sole replica has nothing to recover from",
        partition([1], leader=-1, isr=[], last_known=[1]),
        electorate((1,), min_isr=1),
        None,
        {"leader": 1, "isr": (1,), "last_known_elr": ()},
    ),
    Case(
        "one that lost its tail leaves the ELR as well",
        partition([1, 2, 3], leader=-1, isr=[], elr=[1, 2], last_known=[1]),
        electorate(()),
        Target(isr=(), lost_tail=nodes(2)),
        {"elr": (1,)},
        leader_epoch=5,
    ),
    Case(
        "the preferred leader is taken when it may lead",
        partition([1, 2, 3], leader=2),
        electorate((1, 2, 3), PREFERRED),
        None,
        {"leader": 1},
    ),
    Case(
        "and not when it is out of sync",
        partition([1, 2, 3], leader=2, isr=[2, 3]),
        electorate((1, 2, 3), PREFERRED),
        None,
        None,
    ),
    Case(
        "or away",
        partition([1, 2, 3], leader=2),
        electorate((2, 3), PREFERRED),
        None,
        None,
    ),
    Case(
        "the minimum is never more than there are replicas",
        partition([1, 2]),
        electorate((1,), min_isr=3),
        Target(isr=nodes(1)),
        {"isr": (1,), "elr": (2,)},
        leader_epoch=5,
    ),
    Case(
        "an ISR back at the minimum clears the ELR",
        partition([1, 2, 3], isr=[1], elr=[2]),
        electorate((1, 3)),
        Target(isr=nodes(1, 3)),
        {"isr": (1, 3), "elr": ()},
        leader_epoch=5,
    ),
    Case(
        "a lowered minimum clears it too",
        partition([1, 2, 3], isr=[1], elr=[2]),
        electorate((1,), min_isr=1),
        None,
        {"elr": ()},
        leader_epoch=5,
    ),
    Case(
        "recovery ends without moving the leader",
        partition([1, 2, 3], isr=[1], recovering=True),
        electorate((1, 2, 3), min_isr=1),
        Target(recovering=False),
        {"recovering": False},
        leader_epoch=5,
    ),
    Case(
        "a reassignment ends when all that come are in sync",
        partition([1, 2, 3, 4], isr=[1, 2, 3], adding=[4], removing=[1]),
        electorate((1, 2, 3, 4)),
        Target(isr=nodes(1, 2, 3, 4)),
        {"replicas": (2, 3, 4), "isr": (2, 3, 4), "leader": 2, "adding": (), "removing": ()},
    ),
    Case(
        "and raises the leader epoch even if the leader stays",
        partition([1, 2, 3, 4], isr=[1, 2, 3], adding=[4], removing=[2]),
        electorate((1, 2, 3, 4)),
        Target(isr=nodes(1, 2, 3, 4)),
        {"replicas": (1, 3, 4), "isr": (1, 3, 4), "adding": (), "removing": ()},
    ),
    Case(
        "but not before",
        partition([1, 2, 3, 4], isr=[1, 2], adding=[4], removing=[1]),
        electorate((1, 2, 3, 4)),
        Target(isr=nodes(1, 2, 3)),
        {"isr": (1, 2, 3)},
        leader_epoch=5,
    ),
    Case(
        "nor while one that stays is out of sync",
        partition([1, 2, 3, 4], isr=[1, 2], adding=[4], removing=[1]),
        electorate((1, 2, 4)),
        Target(isr=nodes(1, 2, 4)),
        {"isr": (1, 2, 4)},
        leader_epoch=5,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_elections(case: Case) -> None:
    after = elect(case.before, case.electorate, case.target)
    if case.expected is None:
        assert after is None
        return
    assert after == replace(
        case.before,
        **case.expected,
        leader_epoch=case.leader_epoch,
        partition_epoch=case.before.partition_epoch + 1,
    )


def test_an_election_is_unclean_when_the_leader_was_neither_in_sync_nor_eligible() -> None:
    before = partition([1, 2, 3], leader=-1, isr=[], elr=[2], last_known=[1])
    for leader, unclean in ((2, False), (3, True), (1, True)):
        after = replace(before, leader=leader, isr=nodes(leader))
        assert is_unclean(before, after) == unclean
    assert not is_unclean(before, replace(before, elr=()))
    led = partition([1, 2], isr=[2], leader=2)
    assert not is_unclean(led, replace(led, leader=1, isr=nodes(2, 1))), "it was let in first"


REPLICAS = st.integers(1, 5).flatmap(lambda n: st.permutations(range(1, n + 1)))


@st.composite
def partitions(draw: st.DrawFn) -> PartitionImage:
    """Any state that the rules allow."""
    replicas = draw(REPLICAS)
    isr = draw(st.lists(st.sampled_from(replicas), unique=True))
    rest = [n for n in replicas if n not in isr]
    elr = (
        sorted(draw(st.lists(st.sampled_from(rest), unique=True)), key=replicas.index)
        if rest
        else []
    )
    leader = draw(st.sampled_from([-1, *isr]))
    last_known = [draw(st.sampled_from(replicas))] if leader == -1 and draw(st.booleans()) else []
    return partition(
        replicas,
        leader=leader,
        isr=isr,
        elr=elr,
        last_known=last_known,
        recovering=draw(st.booleans()) and len(isr) == 1,
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[PartitionImage, Electorate, Target | None, set[int]]:
    before = draw(partitions())
    alive = draw(st.sets(st.sampled_from(before.replicas)))
    chosen = Electorate(
        alive.__contains__, draw(st.integers(1, 4)), draw(st.sampled_from(Election))
    )
    target = None
    if draw(st.booleans()):
        # The ISR shrinks as brokers go, and grows at the word of a living leader alone.
        isr = [node for node in before.isr if draw(st.booleans())]
        if before.leader in isr and before.leader in alive:
            isr += [n for n in before.replicas if n not in before.isr and draw(st.booleans())]
        # Whose tail is lost has just come back, fenced.
        lost = draw(st.sets(st.sampled_from(before.replicas))) - set(isr)
        alive -= lost
        target = Target(isr=nodes(*isr), lost_tail=tuple(lost))
    return before, chosen, target, alive


@given(situations())
def test_what_always_holds_after_an_election(
    situation: tuple[PartitionImage, Electorate, Target | None, set[int]],
) -> None:
    before, chosen, target, alive = situation
    after = elect(before, chosen, target)
    if after is None:
        after = before
    else:
        assert after.partition_epoch == before.partition_epoch + 1
        moved = after.leader != before.leader
        assert after.leader_epoch in (before.leader_epoch + 1, before.leader_epoch + moved)
    lost = set(target.lost_tail) if target else set()
    min_isr = min(chosen.min_isr, len(after.replicas))
    assert set(after.isr) | set(after.elr) <= set(after.replicas)
    assert not set(after.isr) & set(after.elr)
    assert after.leader == NO_LEADER or after.leader in after.isr
    assert after.leader == NO_LEADER or after.leader in alive
    assert not (set(after.elr) & lost)
    assert len(after.isr) < min_isr or not after.elr
    if is_unclean(before, after):
        assert after.recovering or len(after.replicas) == 1
        assert chosen.election is Election.UNCLEAN or before.last_known_elr == (after.leader,)


@given(situations())
def test_an_election_settles_at_once(
    situation: tuple[PartitionImage, Electorate, Target | None, set[int]],
) -> None:
    """Asking again without a new target changes nothing."""
    before, chosen, target, _ = situation
    after = elect(before, chosen, target) or before
    assert elect(after, chosen) is None


@given(situations())
def test_without_unclean_election_nobody_untrusted_leads(
    situation: tuple[PartitionImage, Electorate, Target | None, set[int]],
) -> None:
    before, chosen, _, _ = situation
    chosen = replace(chosen, election=Election.ONLINE)
    after = elect(before, chosen) or before
    trusted = before.isr or before.elr or before.last_known_elr
    assert after.leader == NO_LEADER or after.leader in trusted or after.leader == before.leader


@given(situations())
def test_a_leader_is_found_whenever_one_may_lead(
    situation: tuple[PartitionImage, Electorate, Target | None, set[int]],
) -> None:
    before, chosen, _, alive = situation
    after = elect(before, chosen) or before
    if alive & set(before.isr or before.elr):
        assert after.leader in alive
