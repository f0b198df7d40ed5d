"""What a member of etcd says on a watch, as updates: bytes in, whole revisions out."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from pykbroker.edges.metadata_store.etcd_gateway import read_error
from pykbroker.ports import StoreEvent, StoreUnavailable, StoreUpdate, WatchCompacted

if TYPE_CHECKING:
    from collections.abc import Iterator


class WatchCancelled(StoreUnavailable):
    """etcd ended the watch."""


class WatchReader:
    """Feed what arrives. ``is_created`` once etcd has taken the watch on."""

    def __init__(self, key_prefix: bytes) -> None:
        """``key_prefix`` is left out of the keys."""
        self.is_created = False
        self._skip = len(key_prefix)
        self._pieces: list[bytes] = []
        self._fragments: list[Any] = []

    def feed(self, data: bytes) -> list[StoreUpdate]:
        """Raises WatchCompacted, or StoreUnavailable (WatchCancelled) with etcd's reason."""
        *lines, rest = data.split(b"\n")
        updates: list[StoreUpdate] = []
        for line in lines:
            whole = b"".join((*self._pieces, line))
            self._pieces = []
            if whole.strip():
                updates += self._line(whole)
        if rest:
            self._pieces.append(rest)
        return updates

    def _line(self, line: bytes) -> list[StoreUpdate]:
        try:
            said = json.loads(line)
        except ValueError as error:
            raise StoreUnavailable("etcd said what is not JSON on a watch") from error
        result = said.get("result")
        if result is None:
            raise StoreUnavailable(f"the watch has failed: {read_error(said)[1]}")
        if int(result.get("compact_revision", 0)):
            raise WatchCompacted(f"etcd has compacted up to {result['compact_revision']}")
        if result.get("canceled"):
            raise WatchCancelled(f"the watch was cancelled: {result.get('cancel_reason', '')}")
        if result.get("created"):
            self.is_created = True
        self._fragments += result.get("events", ())
        if result.get("fragment"):
            return []
        events, self._fragments = self._fragments, []
        return list(self._updates(events))

    def _updates(self, events: list[Any]) -> Iterator[StoreUpdate]:
        """One per revision. etcd never divides a revision between two messages."""
        begun: list[StoreEvent] = []
        for event in events:
            store_event = self._event(event)
            if begun and begun[0].mod_revision != store_event.mod_revision:
                yield StoreUpdate(begun[0].mod_revision, tuple(begun))
                begun = []
            begun.append(store_event)
        if begun:
            yield StoreUpdate(begun[0].mod_revision, tuple(begun))

    def _event(self, event: Any) -> StoreEvent:
        item = event["kv"]
        key = b64decode(item["key"])[self._skip :].decode()
        modified = int(item["mod_revision"])
        if event.get("type") == "DELETE":
            return StoreEvent(key, None, 0, modified)
        value = b64decode(item.get("value", ""))
        return StoreEvent(key, value, int(item["create_revision"]), modified)
