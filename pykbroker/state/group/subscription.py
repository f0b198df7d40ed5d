"""What a consumer's subscription says of topics; the rest of it is between the consumers."""

from __future__ import annotations


def subscribed_topics_of(metadata: bytes) -> list[str] | None:
    """None when it cannot be read. The topics come first in every version of it."""
    size = len(metadata)
    if size < 6:
        return None
    count = int.from_bytes(metadata[2:6], "big", signed=True)
    at = 6
    if count < 0 or count * 2 > size - at:
        return None
    topics = []
    for _ in range(count):
        end = at + 2 + int.from_bytes(metadata[at : at + 2], "big")
        if at + 2 > size or end > size:
            return None
        try:
            topics.append(metadata[at + 2 : end].decode())
        except UnicodeDecodeError:
            return None
        at = end
    return topics
