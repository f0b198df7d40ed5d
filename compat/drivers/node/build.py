"""The Node drivers: the clients from npm in their locked versions, and the addons that some need.

Everything goes to ``.compat/node/``: the installed packages, anew when the lock or Node changed,
and a copy of the drivers beside them, where Node finds their imports. No install script runs, for
those fetch prebuilt binaries; the addons are built here, from the sources that their packages
carry, against the headers of the machine's own Node. librdkafka takes what the machine has the
headers of (zlib, OpenSSL), and zstd's, which few machines have, from Debian's package where there
is apt.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from compat.drivers import Missing

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
OLDEST_NODE = (20, 19, 4)
CONFLUENT = "@confluentinc/kafka-javascript"
CODECS = {"lz4": "build/Release/lz4.node", "cppzst": "build/Release/compressor.node"}
"""The addons that kafkajs' codecs need, and what of each shows that it is built."""


def build(root: Path) -> dict[str, list[str] | Missing]:
    node = _tool("node")
    version = _node_version(node)
    home = root / ".compat" / "node"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _install(home, version)
        shutil.rmtree(home / "src", ignore_errors=True)
        shutil.copytree(HERE / "src", home / "src")
        for package, product in CODECS.items():
            try:
                _addon(home, node, package, product, {})
            except Missing as missing:
                print(f"kafkajs has a codec less: {missing}", file=sys.stderr)
        commands: dict[str, list[str] | Missing] = {
            name: [node, str(home / "src" / name / "main.js")]
            for name in ("kafkajs", "platformatic")
        }
        try:
            commands["confluent-javascript"] = _confluent(home, node)
        except Missing as missing:
            commands["confluent-javascript"] = missing
    return commands


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed")
    return path


def _node_version(node: str) -> str:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    version = answer.stdout.strip().removeprefix("v")
    if tuple(map(int, version.split("."))) < OLDEST_NODE:
        raise Missing(f"Node {version} is older than {'.'.join(map(str, OLDEST_NODE))}")
    return version


def _install(home: Path, version: str) -> None:
    lock = (HERE / "package-lock.json").read_bytes()
    wanted = f"{version} {hashlib.sha256(lock).hexdigest()}"
    stamp = home / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, home / name)
    npm = [_tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _run(npm, home, home / "npm.log", {})
    stamp.write_text(wanted)


def _confluent(home: Path, node: str) -> list[str]:
    product = "build/Release/confluent-kafka-javascript.node"
    environment = {
        # Links the libraries of the machine, where its other way fetches their sources.
        "CKJS_LINKING": "dynamic",
        # It makes librdkafka with as many jobs as there are files.
        "MAKEFLAGS": f"-l{(os.cpu_count() or 1) + 1}",
    }
    if not (home / "node_modules" / CONFLUENT / product).exists():
        environment |= _zstd(home)
    _addon(home, node, CONFLUENT, product, environment)
    # Each consumer's poll blocks a thread of Node's pool, which has four by default.
    main = str(home / "src" / "confluent" / "main.js")
    return [_tool("env"), "UV_THREADPOOL_SIZE=32", node, main]


def _addon(
    home: Path, node: str, package: str, product: str, environment: Mapping[str, str]
) -> None:
    folder = home / "node_modules" / package
    if (folder / product).exists():
        return
    prefix = Path(node).resolve().parents[1]
    if not (prefix / "include" / "node" / "node.h").exists():
        raise Missing(f"{package} needs the headers of Node, which are not in {prefix}")
    for tool in ("make", "c++"):
        _tool(tool)
    gyp = [node, str(home / "node_modules" / "node-gyp" / "bin" / "node-gyp.js"), "rebuild"]
    log = home / f"{package.rpartition('/')[2]}.log"
    headers = {"npm_config_nodedir": str(prefix), "npm_config_python": sys.executable}
    _run(gyp, folder, log, headers | dict(environment))


def _zstd(home: Path) -> dict[str, str]:
    """Where the compiler finds zstd: nothing to say where it is installed, or cannot be had."""
    if Path("/usr/include/zstd.h").exists() or shutil.which("apt-get") is None:
        return {}
    folder = home / "debian"
    folder.mkdir(exist_ok=True)
    log = home / "debian.log"
    download = ["apt-get", "download", "-qq", "libzstd-dev", "libzstd1"]
    try:
        try:
            _run(download, folder, log, {})
        except Missing:
            _run(["apt-get", "update", "-qq"], folder, log, {})
            _run(download, folder, log, {})
        for archive in folder.glob("*.deb"):
            _run(["dpkg", "-x", archive.name, "."], folder, log, {})
    except Missing as missing:
        print(f"librdkafka is built without zstd: {missing}", file=sys.stderr)
        return {}
    libraries = [str(path.parent) for path in (folder / "usr" / "lib").rglob("libzstd.so")]
    return {
        "CPATH": str(folder / "usr" / "include"),
        "LIBRARY_PATH": os.pathsep.join(libraries),
    }


def _run(command: list[str], folder: Path, log: Path, environment: Mapping[str, str]) -> None:
    """Raises Missing with what the command said last."""
    with log.open("w") as output:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(environment),
        )
    if done.returncode != 0:
        last = " / ".join(log.read_text(errors="replace").split("\n")[-8:]).strip(" /")
        raise Missing(f"{Path(command[0]).name} failed in {folder}: {last} (all of it: {log})")
