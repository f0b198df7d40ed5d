"""Every change of a partition as the metadata store has it, in the order of its revisions."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from pykbroker.edges.clock import SystemClock
from pykbroker.ports import StoreUnavailable, WatchCompacted
from pykbroker.state.controller import keys
from pykbroker.state.controller.replay import Replay
from tests.faults.history import OK, Recorder, now

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from pykbroker.ports import MetadataStore
    from pykbroker.state.controller.image import MetadataDelta

PATIENCE_S = 60.0
RETRY_S = 0.3


class StoreWatcher:
    """Reads the store at ``address`` itself, not through the proxy, on a thread of its own.

    While the store is away nothing is seen; then everything is read anew.
    """

    def __init__(self, out: Path, address: str, topics: list[str]) -> None:
        self._recorder = Recorder(out / "store.jsonl", "store")
        self._address = address
        self._topics = topics
        self._replay = Replay()
        self._failed: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="store watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(PATIENCE_S)
        self._recorder.close()
        if self._failed is not None:
            raise self._failed

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as error:
            self._failed = error
        finally:
            self._loop.close()

    async def _main(self) -> None:
        self._task = asyncio.ensure_future(self._watch())
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def _watch(self) -> None:
        async with open_store(self._address) as store:
            while True:
                try:
                    await self._follow(store)
                except (StoreUnavailable, WatchCompacted):
                    await asyncio.sleep(RETRY_S)

    async def _follow(self, store: MetadataStore) -> None:
        self._write(self._replay.load(await store.read(keys.ALL)))
        revision = self._replay.image.revision
        async with store.watch(keys.ALL, revision + 1) as watch:
            async for update in watch:
                self._write(self._replay.apply(update))

    def _write(self, delta: MetadataDelta) -> None:
        t0 = now()
        for name in self._topics:
            topic = delta.after.topics.get(name)
            if topic is None:
                continue
            old = delta.before.topics.get(name)
            before = () if old is None else old.partitions
            for index, part in enumerate(topic.partitions):
                if index < len(before) and before[index].partition_epoch == part.partition_epoch:
                    continue
                self._recorder.write(
                    "store",
                    t0,
                    tp=f"{name}-{index}",
                    leader=part.leader,
                    leader_epoch=part.leader_epoch,
                    partition_epoch=part.partition_epoch,
                    isr=list(part.isr),
                    replicas=list(part.replicas),
                    controller_epoch=delta.after.controller_epoch,
                    res=OK,
                )


def open_store(address: str) -> AbstractAsyncContextManager[MetadataStore]:
    clock = SystemClock()
    if address.startswith("etcd://"):
        from pykbroker.config.settings import Settings
        from pykbroker.edges.metadata_store.etcd import etcd_options, open_etcd_store

        return open_etcd_store(etcd_options(address, Settings({})), clock)
    from pykbroker.edges.metadata_store.remote import connect_store

    return connect_store(address, clock)
