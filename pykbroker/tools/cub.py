"""cub, of Confluent's images: ``cub kafka-ready BROKERS SECONDS`` waits for that many brokers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pykbroker.tools.client import Client, ToolError, Unreachable
from pykbroker.tools.options import Parser, run, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

PAUSE_SECONDS = 0.2


def main(arguments: Sequence[str]) -> int:
    made = Parser(prog="cub")
    commands = made.add_subparsers(dest="command", required=True)
    ready = commands.add_parser("kafka-ready", help="waits until there are so many brokers")
    ready.add_argument("expected_brokers", type=int)
    ready.add_argument("timeout_secs", type=float)
    ready.add_argument("--bootstrap_broker_list", "-b", required=True)
    ready.add_argument("--config", "-c")
    ready.add_argument("--security", "-s")
    for name in ("zk-ready", "sr-ready", "kr-ready"):
        other = commands.add_parser(name)
        other.add_argument("rest", nargs="*")
    options = made.parse_args(arguments)
    if options.command == "zk-ready":  # there is none, and none is needed
        return 0
    if options.command != "kafka-ready":
        made.error(f"{options.command} is not supported")
    return run(lambda: wait(options))


def wait(options: argparse.Namespace) -> int:
    deadline = time.monotonic() + options.timeout_secs
    found = 0
    while (left := deadline - time.monotonic()) > 0:
        try:
            client = Client(options.bootstrap_broker_list, left)
            found = len(client.metadata([]).brokers)
            client.close()
        except Unreachable:
            found = 0
        except ToolError as error:
            say(str(error))
            return 1
        if found >= options.expected_brokers:
            return 0
        time.sleep(PAUSE_SECONDS)
    say(
        f"Expected {options.expected_brokers} brokers but found only {found}. "
        f"Brokers found {options.bootstrap_broker_list}."
    )
    return 1
