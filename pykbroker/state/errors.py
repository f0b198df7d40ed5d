"""The one exception that state raises for an answer to be refused with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wire.errors import ErrorCode


class KafkaError(Exception):
    """Carries the protocol's error code; one place in dispatch turns it into a response."""

    def __init__(self, code: ErrorCode, message: str | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}" if self.message else self.code.name
