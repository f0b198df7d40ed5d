"""The admin that sets behaviours up, and outlives the strikes of a whole run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from compat.client import Admin
from compat.driver import DriverError

if TYPE_CHECKING:
    from compat.driver import Driver, Json

LOST = ("CLIENT", "DISCONNECTED")
"""What a client says that has lost its way: kafka-python keeps to the controller that it found
first, and has no connection to that any more once the broker was away."""


class SetupAdmin(Admin):
    """Begins anew in its driver when its client has lost its way. May be shared by threads.

    What the client refused by itself is asked once more; what may have reached a broker is the
    caller's to repeat.
    """

    def __init__(self, driver: Driver, **fields: Any) -> None:
        self._opening = fields
        self._renewing = threading.Lock()
        super().__init__(driver, **fields)

    def _do(self, verb: str, **fields: Any) -> Json:
        handle = self.handle
        try:
            return super()._do(verb, **fields)
        except DriverError as error:
            if verb in ("open", "close") or error.code not in LOST:
                raise
            self._renew(handle)
            if error.code == "DISCONNECTED":
                raise
        return super()._do(verb, **fields)

    def _renew(self, lost: str) -> None:
        with self._renewing:
            if self.handle == lost:
                self.handle = Admin(self.driver, **self._opening).handle
