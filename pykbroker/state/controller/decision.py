"""What a controller's decision is made from, and what it consists of.

A decision changes nothing. Its changes are written in their order, in one transaction where the
store's limit allows, else in several: so every prefix of them must leave a cluster that is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.config.settings import Settings
    from pykbroker.state.controller.facts import Change
    from pykbroker.state.controller.image import MetadataImage
    from pykbroker.state.seams import Random

R = TypeVar("R")

MAX_PARTITIONS_PER_REQUEST = 10_000
"""Kafka's controller refuses more as a matter of policy."""


def _free(partitions: int) -> None:
    pass


class View(NamedTuple):
    """The cluster as the controller knows it, its own settings, and its randomness."""

    image: MetadataImage
    settings: Settings
    rng: Random
    charge: Callable[[int], None] = _free
    """Takes partitions to create or delete from the client's quota: a KafkaError means that this
    topic must not be touched now."""


class Note(NamedTuple):
    """Something the operator should read once the decision is written."""

    event: str
    fields: dict[str, Any]
    is_warning: bool = False


class Decision(Generic[R]):
    __slots__ = ("changes", "notes", "response")

    def __init__(
        self, response: R, changes: list[Change] | None = None, notes: list[Note] | None = None
    ) -> None:
        self.response = response
        self.changes = [] if changes is None else changes
        self.notes = [] if notes is None else notes


def excessive() -> KafkaError:
    return KafkaError(
        ErrorCode.POLICY_VIOLATION, "Excessively large number of partitions per request."
    )
