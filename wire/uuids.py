"""Ids of sixteen bytes as Kafka prints them: URL-safe base64 without its padding, 22 characters."""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


def uuid_text(value: bytes) -> str:
    assert len(value) == 16, value
    return b2a_base64(value, newline=False)[:22].translate(_TO_URL).decode("ascii")


def parse_uuid(text: str) -> bytes:
    """ValueError for anything that ``uuid_text`` does not give."""
    try:
        value = a2b_base64(text.encode("ascii").translate(_FROM_URL) + b"==")
    except (Error, UnicodeEncodeError):
        value = b""
    if len(value) != 16 or uuid_text(value) != text:
        raise ValueError(f"{text!r} is not an id of 22 characters")
    return value
