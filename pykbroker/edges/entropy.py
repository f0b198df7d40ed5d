"""The Random port over the system's entropy. ``random.SystemRandom`` would do, and take longer to
import than a start can spare."""

from __future__ import annotations

from os import urandom


class SystemRandom:
    def random(self) -> float:
        """In [0, 1): as many bits as a float holds."""
        return (int.from_bytes(urandom(7), "big") >> 3) * 2.0**-53

    def randrange(self, stop: int, /) -> int:
        """In [0, stop), every number as likely as any other."""
        if stop <= 0:
            raise ValueError(f"no number is below {stop}")
        bits = (stop - 1).bit_length()
        size = (bits + 7) // 8
        while True:
            found = int.from_bytes(urandom(size), "big") >> (size * 8 - bits)
            if found < stop:
                return found

    def randbytes(self, n: int, /) -> bytes:
        return urandom(n)
