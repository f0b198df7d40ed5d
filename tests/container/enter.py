"""Becomes process 1's place in a container: run in new namespaces, waits for a line (the network
is there), mounts the file system, goes into it, and runs the command as the image's user.

The arguments are one JSON object: root, layer, template, python, hostname, user, hosts,
environment, workdir, command.
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL)


def main() -> None:
    wanted = json.loads(sys.argv[1])
    root, layer, python = wanted["root"], wanted["layer"], wanted["python"]
    socket.sethostname(wanted["hostname"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    sys.stdin.readline()
    for name in ("upper", "work", "usr", "usr-work"):
        Path(layer, name).mkdir()
    mount("--make-rprivate", "/")
    for lower, upper, work, where in (
        (wanted["template"], "upper", "work", root),
        ("/usr", "usr", "usr-work", f"{root}/usr"),
    ):
        options = f"lowerdir={lower},upperdir={layer}/{upper},workdir={layer}/{work}"
        mount("-t", "overlay", "overlay", "-o", options, where)
    if not python.startswith("/usr/"):
        mount("--bind", "-o", "ro", python, root + python)
    for name in ("/proc", "/dev"):
        mount("--rbind", name, root + name)
    Path(root, "etc/hosts").write_text(wanted["hosts"])
    os.chroot(root)
    os.chdir(wanted["workdir"])
    os.setgroups([])
    os.setgid(wanted["user"])
    os.setuid(wanted["user"])
    environment = wanted["environment"]
    os.execvpe(wanted["command"][0], wanted["command"], environment)


main()
