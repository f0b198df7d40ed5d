"""A real Prometheus, started by the tests that need one."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.etcd import free_ports
from tests.support.process import PATIENCE_SECONDS

CACHE = Path(__file__).parents[2] / ".prometheus"
Series = dict[str, Any]


def binary(name: str) -> str:
    """``prometheus`` or ``promtool``; skips the test where there is none."""
    given = os.environ.get("PYKBROKER_PROMETHEUS")
    for directory in filter(None, (given, str(CACHE))):
        if (Path(directory) / name).is_file():
            return str(Path(directory) / name)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}: `make prometheus-debian` fetches Debian's")
    return found


class Prometheus:
    """Its configuration is ``prometheus.yml`` in the directory."""

    def __init__(self, directory: Path) -> None:
        port = free_ports(1)[0]
        self._url = f"http://127.0.0.1:{port}"
        self._log = directory / "prometheus.log"
        command = [
            binary("prometheus"),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        # No proxy of the environment's: it is on this machine.
        self._client = httpx.Client(base_url=self._url, trust_env=False, timeout=PATIENCE_SECONDS)

    def wait_ready(self) -> Prometheus:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text()
            try:
                if self._client.get("/-/ready").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(self._log.read_text())

    def query(self, expression: str) -> list[Series]:
        """An instant vector, as of now; a scalar counts as a series without labels."""
        data = self._ask("query", {"query": expression})
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        found: list[Series] = data["result"]
        return found

    def values(self, expression: str) -> list[float]:
        """Of all series; what is no number (nothing by nothing) is left out."""
        found = [float(series["value"][1]) for series in self.query(expression)]
        return [value for value in found if not math.isnan(value)]

    def value(self, expression: str) -> float | None:
        """Of the one series that there is; None where there is none."""
        found = self.query(expression)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def alerts(self) -> list[Series]:
        """What is pending or firing."""
        found: list[Series] = self._ask("alerts", {})["alerts"]
        return found

    def rule_errors(self) -> list[str]:
        groups = self._ask("rules", {})["groups"]
        return [str(rule) for group in groups for rule in group["rules"] if rule.get("lastError")]

    def _ask(self, what: str, form: dict[str, str]) -> Any:
        answer = self._client.get(f"/api/v1/{what}", params=form)
        body = answer.json()
        assert body["status"] == "success", f"{form}: {body}"
        return body["data"]

    def kill(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()
