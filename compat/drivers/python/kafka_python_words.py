"""What kafka-python calls settings and errors."""

from __future__ import annotations

import re

from kafka import errors

from compat.drivers.python.kafka_errors import error_name
from compat.drivers.python.words import CommandError, Json

_DISCONNECTED = (errors.KafkaConnectionError, errors.NodeNotReadyError, errors.Cancelled)
_TEXT = re.compile(r"\[Error (-?\d+)\] (.*)", re.DOTALL)


def explain(error: Exception) -> CommandError:
    retriable = bool(getattr(error, "retriable", False))
    if isinstance(error, errors.BrokerResponseError) and error.errno is not None:
        return broker_error(error.errno, str(error), retriable=retriable)
    # Its own errors say their names themselves.
    text = (
        str(error) if isinstance(error, errors.KafkaError) else f"{type(error).__name__}: {error}"
    )
    code = "CLIENT"
    if isinstance(error, errors.KafkaTimeoutError):
        code = "TIMEOUT"
    elif isinstance(error, _DISCONNECTED):
        code = "DISCONNECTED"
    return CommandError(code, text, retriable=retriable)


def broker_error(
    number: int, message: str | None = None, *, retriable: bool | None = None
) -> CommandError:
    if retriable is None:
        retriable = errors.for_code(number).retriable
    return CommandError(
        error_name(number),
        message or "",
        number=number,
        retriable=retriable,
        # Every later poll raises it too.
        fatal=number == errors.FencedInstanceIdError.errno,
    )


def outcome(number: int, message: str | None = None) -> Json:
    """``{}`` or ``{"error"}``, from an error code in a response."""
    return {} if number == 0 else {"error": broker_error(number, message).line}


def outcome_of_type(error: type[errors.BrokerResponseError]) -> Json:
    return outcome(error.errno or 0)


def error_of_text(text: str) -> CommandError:
    """From ``[Error 40] InvalidConfigurationError: ...``, which some admin calls return."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return CommandError("CLIENT", text)
    return broker_error(int(found[1]), found[2])
