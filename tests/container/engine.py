"""A container engine for tests: the image's root file system, networks, mapped ports.

There is no Docker here. What it would do is done with the kernel's own means: the file system that
the Dockerfile describes, in an overlay over this machine's /usr; namespaces of mounts, network and
host name; a bridge; a forwarder for each mapped port. Clients run where the "host" of that network
is, and see nothing but mapped ports, as with Docker.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USER = 1000
PATIENCE_SECONDS = 60.0
FORWARD = """
import socket, sys, threading
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        a.close(), b.close()
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    near, _ = server.accept()
    try:
        far = socket.create_connection((sys.argv[2], int(sys.argv[3])))
    except OSError:
        near.close()
        continue
    for pair in ((near, far), (far, near)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


def why_not() -> str | None:
    """The reason why containers cannot be run here, if there is one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "mounting and network namespaces need root on Linux"
    for tool in ("unshare", "nsenter", "mount", "ip", "bash"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if not Path("/bin").is_symlink():
        return "/bin is not in /usr"
    probe = "mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/m && mount -t overlay o -o \
lowerdir=/usr,upperdir=/mnt/u,workdir=/mnt/w /mnt/m && ip link add br0 type bridge"
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", probe], capture_output=True, check=False
    )
    return done.stderr.decode().strip() or "not permitted" if done.returncode else None


def dockerfile() -> dict[str, list[str]]:
    """The instructions of the last stage, by name."""
    stage: dict[str, list[str]] = {}
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stage = {}
        if word.isupper():
            stage.setdefault(word, []).append(rest.strip())
    return stage


def pinned() -> dict[str, str]:
    """The packages of the image with their versions, but those for other machines."""
    text = (ROOT / "requirements" / "image.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", text, re.MULTILINE))


def build(template: Path) -> None:
    """What the Dockerfile builds, under ``template``; /usr and Python are this machine's."""
    subprocess.run([ROOT / "docker" / "install.sh", template], check=True)
    library = template / "opt/pykbroker/lib"
    for name, version in pinned().items():
        found = importlib.metadata.distribution(name)
        assert found.version == version, f"{name} is {found.version} here, {version} in the image"
        for file in found.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = library / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), target)
    for name in ("bin", "sbin", "lib", "lib64"):
        link = Path("/", name)
        if link.is_symlink():
            (template / name).symlink_to(os.readlink(link))
    python = Path(sys.base_prefix)
    for folder in ("usr", "proc", "dev", "root", "run", str(python).lstrip("/")):
        (template / folder).mkdir(parents=True, exist_ok=True)
    (template / "etc/passwd").write_text(
        f"root:x:0:0::/root:/bin/bash\nappuser:x:{USER}:{USER}::/home/appuser:/bin/bash\n"
    )
    (template / "etc/group").write_text(f"root:x:0:\nappuser:x:{USER}:\n")
    (template / "etc/nsswitch.conf").write_text("hosts: files\n")
    shutil.copy("/etc/ld.so.cache", template / "etc/ld.so.cache")
    executable = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    (template / "opt/pykbroker/bin/python3").symlink_to(executable)


def image_environment() -> dict[str, str]:
    found = {"HOME": "/home/appuser"}
    for line in dockerfile()["ENV"]:
        name, _, value = line.partition("=")
        found[name] = value.replace("$PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return found


@dataclass
class Container:
    """A running one. Lines of its standard output are gathered as they come."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    root: Path
    log: Path
    lines: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    gathering: threading.Thread | None = None

    def gather(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                with self.changed:
                    self.lines.append(line.decode(errors="replace").rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_for_log(self, pattern: str) -> str:
        """As wait strategies do: the first line of the log that the pattern is found in."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self.changed:
            while True:
                for line in self.lines:
                    if re.search(pattern, line):
                        return line
                left = deadline - time.monotonic()
                ended = self.process.poll() is not None and not self._gathers()
                if left <= 0 or ended:
                    raise AssertionError(f"no {pattern!r} in the log of {self.name}\n{self.text}")
                self.changed.wait(min(left, 1.0))

    def _gathers(self) -> bool:
        return self.gathering is not None and self.gathering.is_alive()

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n" + self.log.read_text(errors="replace")

    def inside(self, *command: str, user: int = USER) -> list[str]:
        """The command line that runs ``command`` in here, as ``docker exec``."""
        pid = str(self.process.pid)
        environment = [f"{k}={v}" for k, v in image_environment().items()]
        ids = ["--setuid", str(user), "--setgid", str(user)]
        namespaces = ["--mount", "--net", "--uts", "--root", "--wd"]
        return ["nsenter", "-t", pid, *namespaces, *ids, "env", "-i", *environment, *command]

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.inside(*command),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def copy_in(self, path: str, content: str, mode: int = 0o755) -> None:
        """As ``docker cp``: by root, whole at once."""
        script = 'cat >"$1.part" && chmod "$2" "$1.part" && mv "$1.part" "$1"'
        subprocess.run(
            self.inside("sh", "-c", script, "sh", path, oct(mode)[2:], user=0),
            input=content.encode(),
            check=True,
        )

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


def await_link(path: str) -> None:
    """Until what another process's link in /proc names is not what it is for this one."""
    own = os.readlink(re.sub(r"^/proc/\d+/", "/proc/self/", path))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while os.readlink(path) == own:
        assert time.monotonic() < deadline, f"{path} is still {own}"
        time.sleep(0.01)


class Engine:
    """One network and its containers; ``close`` ends whatever runs in it."""

    def __init__(self, template: Path, scratch: Path) -> None:
        self._template, self._scratch = template, scratch
        self._children: list[subprocess.Popen[bytes]] = []
        self.containers: list[Container] = []
        self._host = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self._children.append(self._host)
        await_link(f"/proc/{self._host.pid}/ns/net")
        self.on_host("ip", "link", "set", "lo", "up")
        self.on_host("ip", "link", "add", "br0", "type", "bridge")
        self.on_host("ip", "addr", "add", "172.30.0.1/24", "dev", "br0")
        self.on_host("ip", "link", "set", "br0", "up")

    def on_host(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["nsenter", "-t", str(self._host.pid), "--net", *command],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def client(self, source: str, *arguments: str) -> str:
        """A Python program with this machine's packages, on the host; its standard output."""
        return self.on_host(sys.executable, "-c", source, *arguments).stdout

    def run(
        self,
        environment: dict[str, str],
        command: list[str] | None = None,
        *,
        entrypoint: list[str] | None = None,
        name: str = "",
        peers: tuple[str, ...] = (),
        user: int = USER,
    ) -> Container:
        """``docker run``: of ``peers`` and itself, in their order, it knows the addresses."""
        number = len(self.containers) + 1
        name = name or f"container-{number}"
        network = {peer: f"172.30.0.{i + 10}" for i, peer in enumerate(peers or (name,))}
        address = network[name]
        scratch = self._scratch / f"{number}-{name}"
        (scratch / "root").mkdir(parents=True)
        cmd = json.loads(dockerfile()["CMD"][0])
        hosts = ["127.0.0.1 localhost", *(f"{where} {who}" for who, where in network.items())]
        wanted = {
            "root": str(scratch / "root"),
            "layer": str(scratch),
            "template": str(self._template),
            "python": sys.base_prefix,
            "hostname": name,
            "hosts": "\n".join(hosts) + "\n",
            "user": user,
            "environment": image_environment() | environment,
            "workdir": dockerfile()["WORKDIR"][0],
            "command": (entrypoint or []) + (command if command is not None else cmd),
        }
        log = scratch / "stderr"
        with log.open("wb") as err:
            process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--net", "--uts"),
                    *(sys.executable, str(Path(__file__).with_name("enter.py"))),
                    json.dumps(wanted),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                start_new_session=True,
            )
        self._children.append(process)
        container = Container(name, address, process, scratch / "root", log)
        self.containers.append(container)
        self._connect(process, number, address)
        container.gathering = threading.Thread(target=container.gather, daemon=True)
        container.gathering.start()
        return container

    def _connect(self, process: subprocess.Popen[bytes], number: int, address: str) -> None:
        await_link(f"/proc/{process.pid}/ns/net")
        pid, link = str(process.pid), f"veth{number}"
        peer = ("type", "veth", "peer", "name", "eth0", "netns", pid)
        self.on_host("ip", "link", "add", link, *peer)
        self.on_host("ip", "link", "set", link, "master", "br0", "up")
        there = ["nsenter", "-t", pid, "--net", "ip"]
        subprocess.run([*there, "addr", "add", f"{address}/24", "dev", "eth0"], check=True)
        subprocess.run([*there, "link", "set", "eth0", "up"], check=True)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        # Nothing is run or copied in there before it is a container; one that refuses what it is
        # told may have ended by now.
        with contextlib.suppress(FileNotFoundError):
            await_link(f"/proc/{process.pid}/root")

    def map_port(self, container: Container, port: int, mapped: int) -> None:
        """``localhost:mapped`` of the host is the container's port."""
        child = subprocess.Popen(
            [
                *("nsenter", "-t", str(self._host.pid), "--net", sys.executable, "-c", FORWARD),
                *(str(mapped), container.address, str(port)),
            ],
            stdout=subprocess.PIPE,
        )
        self._children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.stdout.close()

    def close(self) -> None:
        for container in self.containers:
            with contextlib.suppress(ProcessLookupError):  # nothing of it is left
                os.killpg(container.process.pid, signal.SIGKILL)
            if container.gathering is not None:
                container.gathering.join(PATIENCE_SECONDS)
        for child in reversed(self._children):
            child.kill()
            child.wait(PATIENCE_SECONDS)
