"""Ids of sixteen bytes in Kafka's text form: URL-safe base64 without padding."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode


def uuid_text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def parse_uuid(text: str) -> bytes:
    """ValueError when the text is not 22 characters of the alphabet."""
    if len(text) != 22:
        raise ValueError(f"{text!r} is not an id of 22 characters")
    value = urlsafe_b64decode(text + "==")
    if uuid_text(value) != text:
        raise ValueError(f"{text!r} is not an id")
    return value
