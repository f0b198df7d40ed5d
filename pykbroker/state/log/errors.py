"""Refusals that say which records they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wire.errors import ErrorCode


class RecordsRefused(KafkaError):
    """A batch refused because of some of its records: (index in the batch, message) each.

    ``kind`` is that of ``wire.records.validate.InvalidRecords``.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        record_errors: Sequence[tuple[int, str]] = (),
        kind: str = "",
    ) -> None:
        super().__init__(code, message)
        self.record_errors = tuple(record_errors)
        self.kind = kind
