"""What a follower asks its leader: the partitions of one fetcher, their pauses, its fetch session.

One fetcher follows those partitions of one leading broker that fall to it. What must hold:

- an answer counts for a partition only if that is still followed as it was when it was asked for:
  in the same leader epoch, at the same position;
- a partition that went wrong is asked for again after a pause that grows; meanwhile the session
  forgets it, or every answer would bring the same error at once;
- in a session (KIP-227) only what has changed is said, so that an idle partition costs nothing.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from pykbroker.state.fetch_session import INITIAL_EPOCH, NO_SESSION, next_epoch
from pykbroker.state.java_hash import java_hash
from wire.errors import ErrorCode
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from pykbroker.state.types import TopicId

Key = tuple["TopicId", int]

FIRST_PAUSE_MS = 20
"""Most errors are a matter of whose metadata come first."""


def fetcher_number(topic: str, partition: int, fetchers: int) -> int:
    """Which of a broker's fetchers from one leader a partition belongs to."""
    return abs(31 * java_hash(topic) + partition) % fetchers


def pause_ms(failures: int, longest_ms: int) -> int:
    """Before the next attempt, after so many failed ones in a row."""
    return int(min(FIRST_PAUSE_MS << min(failures - 1, 16), longest_ms))


class Position(NamedTuple):
    """Where a replica's log stands, as its fetches say it."""

    fetch_offset: int
    last_fetched_epoch: int
    log_start_offset: int


class Followed:
    """One partition in one leader epoch."""

    __slots__ = ("asked", "due_ms", "failures", "key", "lag", "leader_epoch", "position")

    def __init__(self, key: Key, leader_epoch: int) -> None:
        self.key = key
        self.leader_epoch = leader_epoch
        self.position: Position | None = None
        """None until its log was looked at."""
        self.asked: Position | None = None
        """What the leader's session holds, or the request under way; None: nothing."""
        self.due_ms: int | None = None
        """While it pauses."""
        self.failures = 0
        self.lag: int | None = None
        """To the leader's high watermark, when records came last; None before the first answer."""

    def took(self, size: int, lag: int) -> None:
        """So many bytes of records, with which its log is that far behind."""
        if size or self.lag is None:
            self.lag = lag

    @property
    def is_in_sync(self) -> bool:
        """As far as a follower can tell. Throttles (KIP-73) spare such a replica, so that it stays
        what it is."""
        return self.lag == 0


class Ask(NamedTuple):
    """One fetch: what stands in it beside the settings."""

    session_id: int
    session_epoch: int
    followed: list[Followed]
    forgotten: list[Key]


class FetchPlan:
    def __init__(self) -> None:
        self._followed: dict[Key, Followed] = {}
        self._ready: dict[Key, Followed] = {}
        """To be fetched: with a position, not pausing, not given up."""
        self._changed: dict[Key, None] = {}
        self._forgotten: dict[Key, None] = {}
        self._pauses: list[tuple[int, int, Followed]] = []
        self._pause_count = 0
        self.unplaced: dict[Key, Followed] = {}
        """Whose log has yet to be looked at; ``stands`` takes them out."""
        self._session_id = NO_SESSION
        self._session_epoch = INITIAL_EPOCH

    def __len__(self) -> int:
        return len(self._followed)

    @property
    def session_id(self) -> int:
        return self._session_id

    def get(self, key: Key) -> Followed | None:
        return self._followed.get(key)

    def followed(self) -> list[Followed]:
        return list(self._followed.values())

    @property
    def failed_count(self) -> int:
        """Of those that were given up."""
        return sum(
            one.position is None and one.due_ms is None and one.key not in self.unplaced
            for one in self._followed.values()
        )

    def is_current(self, followed: Followed) -> bool:
        return self._followed.get(followed.key) is followed

    # What is followed

    def follow(self, key: Key, leader_epoch: int) -> Followed:
        """From now on, in this epoch; what was followed under the key before is over."""
        self.unfollow(key)
        followed = Followed(key, leader_epoch)
        self._followed[key] = self.unplaced[key] = followed
        return followed

    def unfollow(self, key: Key) -> None:
        followed = self._followed.pop(key, None)
        if followed is not None:
            self._take_out(followed)

    def stands(self, followed: Followed, position: Position) -> None:
        """Its log stands there now: all below is held and may be said to be."""
        self.unplaced.pop(followed.key, None)
        if followed.position == position and followed.key in self._ready:
            return
        followed.position = position
        if followed.due_ms is None:
            self._ready[followed.key] = followed
            self._changed[followed.key] = None

    def succeeded(self, followed: Followed) -> None:
        followed.failures = 0

    def pause(self, followed: Followed, until_ms: int) -> None:
        """Do not ask for it until then."""
        self._take_out(followed)
        followed.due_ms = until_ms
        self._pause_count += 1
        heappush(self._pauses, (until_ms, self._pause_count, followed))

    def retry_later(self, followed: Followed, now_ms: int, longest_ms: int) -> None:
        followed.failures += 1
        self.pause(followed, now_ms + pause_ms(followed.failures, longest_ms))

    def give_up(self, followed: Followed) -> None:
        """Until it is followed in another epoch."""
        self._take_out(followed)
        followed.due_ms = None
        followed.position = None

    def _take_out(self, followed: Followed) -> None:
        key = followed.key
        self.unplaced.pop(key, None)
        self._ready.pop(key, None)
        self._changed.pop(key, None)
        if followed.asked is not None:
            followed.asked = None
            self._forgotten[key] = None

    def next_due_ms(self) -> int | None:
        """When a pause ends."""
        while self._pauses and not self._is_pausing(self._pauses[0]):
            heappop(self._pauses)
        return self._pauses[0][0] if self._pauses else None

    def _is_pausing(self, pause: tuple[int, int, Followed]) -> bool:
        due_ms, _, followed = pause
        return followed.due_ms == due_ms and self.is_current(followed)

    def _end_pauses(self, now_ms: int) -> None:
        while True:
            due_ms = self.next_due_ms()
            if due_ms is None or due_ms > now_ms:
                return
            followed = heappop(self._pauses)[2]
            followed.due_ms = None
            # The log may have changed meanwhile.
            self.unplaced[followed.key] = followed

    # Asking

    def ready(self) -> list[Followed]:
        """What the next fetch may be about."""
        return list(self._ready.values())

    def wake(self, now_ms: int) -> None:
        """To be called before ``unplaced`` is looked at: pauses may be over."""
        if self._pauses:
            self._end_pauses(now_ms)

    def ask(self) -> Ask | None:
        """The next fetch, which must be sent now; None when there is nothing to fetch."""
        if not self._ready:
            return None
        if self._session_epoch == INITIAL_EPOCH:
            followed = list(self._ready.values())
            forgotten: list[Key] = []
        else:
            changed = (self._ready[key] for key in self._changed)
            followed = [f for f in changed if f.asked != f.position]
            wanted = {f.key for f in followed}
            forgotten = [key for key in self._forgotten if key not in wanted]
        self._changed.clear()
        self._forgotten.clear()
        for one in followed:
            one.asked = one.position
        return Ask(self._session_id, self._session_epoch, followed, forgotten)

    def answered(self, session_id: int, code: ErrorCode) -> bool:
        """What the answer says of the session. False: nothing of it counts."""
        if code is not ErrorCode.NONE:
            if code is ErrorCode.FETCH_SESSION_ID_NOT_FOUND:
                self._session_id = NO_SESSION
            self.lost()
            return False
        if session_id == NO_SESSION:
            # The leader keeps none for us; the next fetch says everything again.
            self._session_id = NO_SESSION
            self._session_epoch = INITIAL_EPOCH
        elif self._session_epoch == INITIAL_EPOCH or session_id == self._session_id:
            self._session_id = session_id
            self._session_epoch = next_epoch(self._session_epoch)
        else:
            self.lost()
            return False
        return True

    def lost(self) -> None:
        """No answer came. The next fetch says everything, and closes the session by its id."""
        self._session_epoch = INITIAL_EPOCH
        self._forgotten.clear()
        for followed in self._followed.values():
            followed.asked = None

    def answer_for(self, key: Key) -> Followed | None:
        """Whom an answer is for; None when nobody waits for it any more."""
        followed = self._followed.get(key)
        if followed is None or followed.asked is None or followed.asked != followed.position:
            return None
        return followed
