"""Java's string hash, by which Kafka spreads groups and transactional ids over partitions."""

from __future__ import annotations

_INT_MIN = -(1 << 31)


def java_hash(text: str) -> int:
    """``String.hashCode``: over UTF-16 code units, in 32 bits with sign."""
    value = 0
    if text.isascii():
        for unit in text.encode("ascii"):
            value = (value * 31 + unit) & 0xFFFFFFFF
    else:
        data = text.encode("utf-16-le", "surrogatepass")
        for index in range(0, len(data), 2):
            value = (value * 31 + data[index] + (data[index + 1] << 8)) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def partition_for(key: str, partitions: int) -> int:
    """Kafka's ``abs``: of the smallest integer, which has no positive twin, it is zero."""
    value = java_hash(key)
    return 0 if value == _INT_MIN else abs(value) % partitions
