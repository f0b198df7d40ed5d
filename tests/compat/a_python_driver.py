"""A driver without a client, on the Python drivers' half of the lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from compat.drivers.python.service import Handle, Service
from compat.drivers.python.words import CommandError

if TYPE_CHECKING:
    from compat.drivers.python.words import Json


class Producer(Handle):
    @staticmethod
    def explain(error: Exception) -> CommandError:
        return CommandError("CLIENT", str(error))

    def __init__(self, config: Json) -> None:
        if config.get("fails"):
            raise RuntimeError("no such place")
        self._slow = config.get("slow", 0)
        self._sent = 0

    def send(self, records: list[Json], each: bool = False) -> Json:
        print("a client prints what it likes")
        time.sleep(self._slow)
        self._sent += 1
        return {"sent": [self._sent] * len(records)}

    def close(self) -> Json:
        time.sleep(self._slow)
        return {"closed": self._sent}


Service(
    client="plain",
    version="1",
    partitioner=None,
    capabilities=["produce"],
    kinds={"producer": Producer},
).run()
