"""Which partition a key belongs to, by the hash that Kafka's clients use (MurmurHash2)."""

from __future__ import annotations

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32 bits, unsigned."""
    h = SEED ^ len(data)
    whole = len(data) & ~3
    for pos in range(0, whole, 4):
        k = int.from_bytes(data[pos : pos + 4], "little") * MULTIPLIER & MASK
        k ^= k >> 24
        h = h * MULTIPLIER & MASK ^ k * MULTIPLIER & MASK
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * MULTIPLIER & MASK
    h ^= h >> 13
    h = h * MULTIPLIER & MASK
    return h ^ h >> 15


def partition_for(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions
