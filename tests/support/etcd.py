"""Real etcd members, started by the tests that need them.

Binaries come from ``PYKBROKER_ETCD`` (a path), from ``.etcd/<version>/etcd`` (``make etcd`` and
``make etcd-debian`` put them there) and from the PATH.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from signal import Signals

CACHE = Path(__file__).parents[2] / ".etcd"


def etcd_binaries() -> dict[str, str]:
    """By a name to show."""
    found = {path.parent.name: str(path) for path in sorted(CACHE.glob("*/etcd"))}
    others = {"given": os.environ.get("PYKBROKER_ETCD"), "path": shutil.which("etcd")}
    return found | {name: path for name, path in others.items() if path}


def an_etcd() -> str:
    """The one that was given, or one built, or what there is; else the test is skipped."""
    binaries = etcd_binaries()
    if not binaries:
        pytest.skip("no etcd: `make etcd` builds one, `make etcd-debian` fetches Debian's")
    return binaries[min(binaries, key=lambda name: (name != "given", not name[0].isdigit(), name))]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


class EtcdMember:
    """One member; ``options`` are etcd's own."""

    def __init__(
        self,
        binary: str,
        directory: Path,
        *options: str,
        name: str = "m0",
        ports: tuple[int, int] | None = None,
        cluster: str = "",
        scheme: str = "http",
        ca_location: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self.port, peer_port = ports or tuple(free_ports(2))
        self.endpoint = f"127.0.0.1:{self.port}"
        self._log = directory / f"{name}.log"
        peer = f"http://127.0.0.1:{peer_port}"
        url = f"{scheme}://{self.endpoint}"
        self._url = url
        self._tls: ssl.SSLContext | bool = False
        if ca_location is not None:
            self._tls = ssl.create_default_context(cafile=ca_location)
            if certificate is not None:
                self._tls.load_cert_chain(*certificate)
        self._token = ""
        self._command = [
            *(binary, "--name", name, "--data-dir", str(directory / name)),
            *("--listen-client-urls", url, "--advertise-client-urls", url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", cluster or f"{name}={peer}", "--log-level", "warn"),
            *("--initial-cluster-token", str(directory), *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def wait(self) -> EtcdMember:
        """Until it takes writes."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, self._log.read_text()
            try:
                self.ask("kv/range", {"key": "AA=="})
                return self
            except (httpx.HTTPError, AssertionError):
                time.sleep(0.02)
        raise AssertionError(self._log.read_text())

    def ask(self, path: str, body: dict[str, object]) -> dict[str, object]:
        headers = {"Authorization": self._token} if self._token else {}
        response = httpx.post(
            f"{self._url}/v3/{path}",
            json=body,
            headers=headers,
            verify=self._tls,
            trust_env=False,
            timeout=60,
        )
        assert response.status_code == 200, response.text
        answer: dict[str, object] = response.json()
        return answer

    def log_in(self, name: str, password: str) -> None:
        self._token = str(
            self.ask("auth/authenticate", {"name": name, "password": password})["token"]
        )

    def signal(self, number: Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def start_members(binary: str, directory: Path, count: int) -> list[EtcdMember]:
    """A cluster of so many."""
    ports = free_ports(2 * count)
    pairs = list(zip(ports[::2], ports[1::2], strict=True))
    cluster = ",".join(f"m{n}=http://127.0.0.1:{peer}" for n, (_, peer) in enumerate(pairs))
    members = [
        EtcdMember(binary, directory, name=f"m{n}", ports=pair, cluster=cluster)
        for n, pair in enumerate(pairs)
    ]
    for member in members:
        member.start()
    for member in members:
        member.wait()
    return members


def endpoints(members: Sequence[EtcdMember]) -> tuple[str, ...]:
    return tuple(member.endpoint for member in members)
