"""Requests that are wrong on the wire: made from a right one, by where its lengths lie."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from compat.differential.codec import Encoded, Site, length_prefix, uvarint

if TYPE_CHECKING:
    from collections.abc import Iterator

HUGE = 0x7FFFFFFF
TAG = 1000


def mutations(encoded: Encoded, flexible: bool) -> Iterator[tuple[str, bytes]]:
    """What is wrong, and the payload of a frame."""
    yield from _of_the_whole(encoded)
    if flexible:
        yield from _of_tags(encoded)
    for site in encoded.sites:
        for what, data in _of_a_site(encoded, site):
            body = encoded.body[: site.start] + data + encoded.body[site.end :]
            yield f"{what} {site.path}", encoded.header + body


def _of_the_whole(encoded: Encoded) -> Iterator[tuple[str, bytes]]:
    header, body = encoded.header, encoded.body
    yield "as it should be", header + body
    yield "one byte more", header + body + b"\x00"
    yield "four bytes more", header + body + b"\x00\x00\x00\x01"
    if body:
        yield "one byte less", header + body[:-1]
        yield "no body", header
    if len(body) > 3:
        yield "half a body", header + body[: len(body) // 2]


def _of_tags(encoded: Encoded) -> Iterator[tuple[str, bytes]]:
    """Of a body and a header that end with an empty section of tagged fields."""
    if encoded.body[-1:] == b"\x00":
        start = encoded.header + encoded.body[:-1]
        yield "unknown tag", start + _tags((TAG, b"abc"))
        yield "unknown tags", start + _tags((TAG, b""), (TAG + 1, b"x" * 200))
        yield "tag twice", start + _tags((TAG, b"a"), (TAG, b"b"))
        yield "tags out of order", start + _tags((TAG + 1, b"a"), (TAG, b"b"))
        yield "tag longer than the rest", start + uvarint(1) + uvarint(TAG) + uvarint(50) + b"a"
        yield "more tags than there are", start + uvarint(3) + uvarint(TAG) + b"\x00"
        yield "varint of eleven bytes", start + b"\xff" * 10 + b"\x01"
    start = encoded.header[:-1]
    yield "unknown tag in the header", start + _tags((TAG, b"abc")) + encoded.body
    yield "tag twice in the header", start + _tags((TAG, b"a"), (TAG, b"b")) + encoded.body


def _tags(*tags: tuple[int, bytes]) -> bytes:
    return uvarint(len(tags)) + b"".join(uvarint(n) + uvarint(len(d)) + d for n, d in tags)


def _of_a_site(encoded: Encoded, site: Site) -> Iterator[tuple[str, bytes]]:
    code = "i" if site.field.is_array or site.field.kind in ("bytes", "records") else "h"
    content = encoded.body[site.prefix_end : site.end]

    def prefixed(count: int, data: bytes) -> bytes:
        return length_prefix(count, code, site.flexible) + data

    yield "null", prefixed(-1, b"")
    yield "null with contents", prefixed(-1, content or b"x")
    yield "empty", prefixed(0, b"")
    yield "length -2 of", prefixed(-2, content)
    huge = HUGE if code == "i" or site.flexible else struct.unpack(">h", b"\x7f\xff")[0]
    yield "huge length of", prefixed(huge, content)
    if site.field.is_array:
        yield "one element too many claimed of", _claimed_more(encoded, site, code)
    elif site.field.kind == "string":
        for what, data in (
            ("not UTF-8 in", content + b"a\xff\xc0b\xe2\x82"),
            ("a zero byte in", content + b"\x00b"),
            ("spaces in", b" " + content + b" "),
            ("not ASCII in", content + "äöü".encode()),
            ("a long", content.ljust(300, b"a")),
        ):
            yield what, prefixed(len(data), data)


def _claimed_more(encoded: Encoded, site: Site, code: str) -> bytes:
    raw = encoded.body[site.start : site.prefix_end]
    # Compact lengths of ours are short, and one too high.
    count = raw[0] - 1 if site.flexible else struct.unpack(f">{code}", raw)[0]
    return length_prefix(count + 1, code, site.flexible) + encoded.body[site.prefix_end : site.end]
