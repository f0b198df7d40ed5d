"""The cluster directory: the metadata store, a folder for each broker, what they have in common.

    metadata.sqlite      the store; opened by one process
    store.sock           where that process serves it to the others
    cluster.json         how many brokers there are, and the port of each
    broker-<id>/         a broker's log directory

A cluster in memory has one too, for the socket, in a temporary place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pykbroker.runtime.storage.directory import DirectoryRefused
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

STORE_NAME = "metadata.sqlite"
STORE_FILES = (STORE_NAME, f"{STORE_NAME}-wal", f"{STORE_NAME}-shm")
SOCKET_NAME = "store.sock"
CLUSTER_FILE = "cluster.json"
OURS = (*STORE_FILES, SOCKET_NAME, CLUSTER_FILE, f"{CLUSTER_FILE}.tmp")
FORMAT = 1


class Layout(NamedTuple):
    """What a broker that is started alone needs to know of the cluster it belongs to."""

    brokers: int = 1
    ports: Mapping[int, int] = {}
    """By node id."""


def check_directory(directory: str) -> None:
    """Refuse a directory with anything in it that no broker of ours put there."""
    try:
        names = set(os.listdir(directory))
    except FileNotFoundError:
        return
    except OSError as error:
        raise DirectoryRefused(f"cannot use {directory}: {error.strerror}") from error
    if "meta.properties" in names:
        raise DirectoryRefused(
            f"{directory} is a log directory of a Kafka broker: "
            f"take it over with 'pykbroker import {directory} --data-dir NEW'"
        )
    foreign = sorted(n for n in names if n not in OURS and not n.startswith("broker-"))
    if foreign and foreign != ["lost+found"]:
        raise DirectoryRefused(
            f"{directory} holds what is not ours ({foreign[0]}): it is left alone, "
            "name an empty directory or a new one"
        )


def known_layout(metadata: str | None, data_dir: str) -> Layout:
    """Of the cluster that a broker is started for; of one broker where nothing is known.

    ``metadata`` is the address of its store: a socket lies in the cluster directory.
    """
    if metadata is not None and not metadata.startswith("unix:"):
        return Layout()
    path = None if metadata is None else metadata[len("unix:") :]
    directory = data_dir if path is None else os.path.dirname(path)
    return read_layout(directory) or Layout()


def read_layout(directory: str) -> Layout | None:
    """None where there is none, or a part of it is not to be understood."""
    try:
        with open(f"{directory}/{CLUSTER_FILE}", encoding="utf-8") as file:
            import json

            found = json.load(file)
        if found["format"] != FORMAT:
            return None
        ports = {int(node): int(port) for node, port in found["ports"].items()}
        return Layout(int(found["brokers"]), ports)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_layout(directory: str, layout: Layout) -> None:
    """Raises OSError."""
    import json

    path = f"{directory}/{CLUSTER_FILE}"
    ports = {str(node): port for node, port in layout.ports.items()}
    with open(f"{path}.tmp", "w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "brokers": layout.brokers, "ports": ports}, file)
    os.replace(f"{path}.tmp", path)
