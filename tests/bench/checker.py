"""How long the history checker takes: python tests/bench/checker.py [SENDS]"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.checker.verdict import check, render

PARTITIONS = 12
READERS = 3
CHUNK = 500


def write(path: Path, sends: int) -> None:
    """An uneventful history: every value acknowledged, read by three readers and at the end."""
    logs: list[list[str]] = [[] for _ in range(PARTITIONS)]
    with path.open("w") as file:

        def put(**op: object) -> None:
            file.write(json.dumps(op, separators=(",", ":")) + "\n")

        put(f="config", proc="run", t0=0, t1=0, seed=0)
        for i in range(sends):
            log = logs[i % PARTITIONS]
            val, tp = f"p{i % 7}.{i}", f"t-{i % PARTITIONS}"
            fields = {"acks": -1, "idem": True, "res": "ok", "off": len(log)}
            put(f="send", proc=f"p{i % 7}", t0=i * 10, t1=i * 10 + 95, tp=tp, val=val, **fields)
            log.append(val)
        for reader in range(READERS + 1):
            for number, log in enumerate(logs):
                for first in range(0, len(log), CHUNK):
                    recs = [[first + i, 0, v] for i, v in enumerate(log[first : first + CHUNK])]
                    t = sends * 20 + first
                    fields = {
                        "recs": {f"t-{number}": recs},
                        "res": "ok",
                        "final": reader == READERS,
                    }
                    put(f="poll", proc=f"r{reader}", t0=t, t1=t + 1, **fields)
        for number, log in enumerate(logs):
            t = sends * 40
            put(f="end_of_log", proc="r", t0=t, t1=t, tp=f"t-{number}", start=0, end=len(log))


def main() -> None:
    sends = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "history.jsonl"
        write(path, sends)
        begun = time.monotonic()
        verdict = check([path])
        took = time.monotonic() - begun
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        size = path.stat().st_size >> 20
    print(render(verdict))
    print(f"{sends} sends, {READERS} readers, {size} MB: {took:.1f} s, {memory} MB at most")


if __name__ == "__main__":
    main()
