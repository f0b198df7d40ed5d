"""What can be wrong with stored or received records."""

from __future__ import annotations

from wire.errors import DecodeError


class CorruptBatch(DecodeError):
    """The bytes are not what their own header, checksum or lengths say."""


class UnsupportedMagic(CorruptBatch):
    """A message format that is not 0, 1 or 2, or not the one that is read here."""


class UnsupportedCodec(CorruptBatch):
    """The attributes name a compression that Kafka does not know."""


class InvalidHeader(CorruptBatch):
    """Counts that no batch can have, under a checksum that may well hold."""
