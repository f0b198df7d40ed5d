"""A Docker Engine of its own for tests: a network and mounts that end with it.

``dockerd`` runs in namespaces, so that mapped ports are those of the examples and still nobody
else's; clients run in the same network. The base image is made of Debian's packages, and bears the
name that the Dockerfile asks for: no registry is asked for anything.
"""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".image"
BASE = "python:3.13-slim"
PYTHON_VERSION = "3.13"
PACKAGES = ROOT / "requirements" / "image.txt"
PATIENCE_SECONDS = 60.0


def why_not() -> str | None:
    """The reason why no image can be built here, if there is one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a Docker Engine of its own needs root on Linux"
    for tool in ("dockerd", "docker", "mmdebstrap", "unshare", "nsenter", "ip", "iptables"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    return None


def once(directory: Path, *commands: list[str], cwd: Path | None = None) -> None:
    """Fills a directory with what is downloaded, unless an earlier run has."""
    ready = directory / ".ready"
    if ready.exists():
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for command in commands:
        subprocess.run(command, check=True, cwd=cwd or directory)
    ready.touch()


def wheels(machine: str) -> Path:
    """What ``pip`` finds for this architecture: the pinned packages, checked by their hashes."""
    digest = hashlib.sha256(PACKAGES.read_bytes()).hexdigest()[:12]
    target = CACHE / f"wheels-{machine}-{digest}"
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in (28, 17)]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"]
    abis = [f"--python-version={PYTHON_VERSION}", f"--platform=manylinux2014_{machine}"]
    once(target, [*pip, *options, *abis, *platforms, "-r", str(PACKAGES), "-d", str(target)])
    return target


def debian() -> Path:
    """A Debian with Python and pip and hardly anything else, as a file."""
    target = CACHE / "debian-trixie"
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    include = "--include=python3,python3-pip,python-is-python3,ca-certificates"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", include, *left_out, "trixie"]
    once(target, [*command, str(target / "base.tar")])
    return target / "base.tar"


class Docker:
    """The engine; ``close`` leaves nothing of it."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="pykbroker-image-")
        self.scratch = Path(self._directory.name)
        self.socket = self.scratch / "docker.sock"
        beside = Path("/usr/bin/docker")  # the client that came with the daemon, if there are two
        self.command = str(beside if beside.exists() else shutil.which("docker"))
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
        daemon = [
            *("dockerd", "--host", f"unix://{self.socket}"),
            *("--data-root", str(self.scratch / "data"), "--exec-root", str(self.scratch / "run")),
            *("--pidfile", str(self.scratch / "pid")),
            *("--default-ulimit", f"nofile={files}:{files}"),
        ]
        enter = ["unshare", "--net", "--mount", "--propagation", "private"]
        script = 'ip link set lo up && exec "$@"'
        with (self.scratch / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*enter, "sh", "-c", script, "sh", *daemon],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await_answer()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.docker("version", check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self.scratch / "log").read_text()
                self.close()
                raise AssertionError(f"dockerd does not answer\n{text}")
            time.sleep(0.1)

    def run(
        self,
        *command: str,
        check: bool = True,
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
        seconds: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """A program in the engine's network, with everything it needs to find the engine."""
        found = {
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_BUILDKIT": "1",
            "TESTCONTAINERS_RYUK_DISABLED": "true",
            "TESTCONTAINERS_HOST_OVERRIDE": "localhost",  # even where this is a container itself
        }
        done = subprocess.run(
            ["nsenter", "-t", str(self._process.pid), "--net", *command],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            cwd=cwd,
            env=os.environ | found | (environment or {}),
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(self.command, *arguments, check=check)

    def build(self) -> None:
        """The base under the name that the Dockerfile asks for, and from it the image."""
        self.docker("import", str(debian()), "debian-base")
        context = self.scratch / "base"
        shutil.copytree(wheels(platform.machine()), context / "wheels")
        (context / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        (context / "Dockerfile").write_text(
            "FROM debian-base\nCOPY wheels /wheels\nCOPY pip.conf /etc/pip.conf\n"
        )
        self.docker("build", "-t", BASE, str(context))
        self.docker("build", "-t", "pykbroker", str(ROOT))
        for tag in ("7.6.0", "8.0.0"):
            self.docker("tag", "pykbroker", f"pykbroker:{tag}")

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_SECONDS)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(PATIENCE_SECONDS)
        self._directory.cleanup()
