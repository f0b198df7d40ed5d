"""This broker's view of the cluster: the image that handlers read, and the loop that follows.

One follower per process replays the store's events. The image is replaced first, then those who
subscribed act on the change, in order of subscription, then those who wait for the revision go on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.log import Trouble, get_logger
from pykbroker.ports import StoreUnavailable, WatchCompacted
from pykbroker.state.controller import keys
from pykbroker.state.controller.image import MetadataImage
from pykbroker.state.controller.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.ports import Clock, MetadataStore
    from pykbroker.state.controller.image import MetadataDelta

logger = get_logger("pykbroker.runtime.metadata")

RETRY_MS = 250


class Images:
    """``current`` is replaced, never changed: take it once per request."""

    def __init__(self) -> None:
        self.current = MetadataImage()
        self.derived: dict[str, Any] = {}
        """What readers made of an image and keep while it holds; each knows how to tell."""
        self._subscribers: list[Callable[[MetadataDelta], None]] = []
        self._waiting: list[tuple[int, anyio.Event]] = []

    def subscribe(self, callback: Callable[[MetadataDelta], None]) -> None:
        """Called on the loop after ``current`` was replaced, in order of subscription."""
        self._subscribers.append(callback)

    def publish(self, delta: MetadataDelta) -> None:
        self.current = delta.after
        for callback in self._subscribers:
            callback(delta)
        revision = delta.after.revision
        due = [event for wanted, event in self._waiting if wanted <= revision]
        if due:
            self._waiting = [(w, event) for w, event in self._waiting if w > revision]
            for event in due:
                event.set()

    async def wait_for(self, revision: int) -> MetadataImage:
        """The image once it has reached ``revision`` and its subscribers have acted."""
        if self.current.revision < revision:
            waiting = (revision, anyio.Event())
            self._waiting.append(waiting)
            try:
                await waiting[1].wait()
            finally:
                with suppress(ValueError):
                    self._waiting.remove(waiting)
        return self.current


class MetadataFollower:
    """Keeps ``images`` up to date from the store: ``load`` once, then ``run`` in a task."""

    def __init__(self, store: MetadataStore, images: Images, clock: Clock) -> None:
        self.images = images
        self.replay = Replay()
        self.loaded_ms = 0
        """When everything was last read, on the monotonic clock: before that, nothing was seen."""
        self._store = store
        self._clock = clock
        self._trouble = Trouble(logger, "metadata store unavailable", "metadata store available")

    async def load(self) -> None:
        """Read everything. Raises StoreUnavailable."""
        snapshot = await self._store.read(keys.ALL)
        self.loaded_ms = self._clock.monotonic_ms()
        self.images.publish(self.replay.load(snapshot))

    async def catch_up(self) -> None:
        """Until the image shows all that was written before this was called. Raises
        StoreUnavailable."""
        snapshot = await self._store.read(keys.CONTROLLER_EPOCH)
        await self.images.wait_for(snapshot.revision)

    async def wait_for_news(self, revision: int) -> None:
        """After a write that was refused at ``revision``: until what refused it is known here.

        If it is known already, a moment: whoever refused us will not think otherwise at once.
        """
        if self.images.current.revision >= revision:
            await self._clock.sleep(RETRY_MS)
        else:
            await self.images.wait_for(revision)

    async def run(self) -> None:
        """Follow for ever. A gap in the events means that everything is read again."""
        while True:
            try:
                await self._follow()
            except WatchCompacted:
                logger.info("metadata is read anew", revision=self.images.current.revision)
                await self.load_when_available()
            except StoreUnavailable as error:
                self._trouble.failed(reason=str(error))
                await self._clock.sleep(RETRY_MS)

    async def _follow(self) -> None:
        revision = self.images.current.revision
        async with self._store.watch(keys.ALL, revision + 1) as watch:
            self._trouble.passed()
            async for update in watch:
                self.images.publish(self.replay.apply(update))

    async def load_when_available(self) -> None:
        """``load``, however long the store does not answer."""
        while True:
            try:
                await self.load()
                self._trouble.passed()
                return
            except StoreUnavailable as error:
                self._trouble.failed(reason=str(error))
                await self._clock.sleep(RETRY_MS)
