"""Command lines and settings as Kafka's tools take them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from pykbroker.tools.client import Client, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Parser(argparse.ArgumentParser):
    """Exit code 1 for a wrong command line, as Kafka's tools have it."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{message}\n")


def parser(tool: str, about: str) -> Parser:
    made = Parser(prog=tool, description=about)
    made.add_argument("--bootstrap-server", metavar="HOST:PORT[,...]")
    made.add_argument("--command-config", metavar="FILE", help="a file of settings")
    return made


def parse(made: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    options, rest = made.parse_known_args(arguments)
    if rest:
        made.error(f"{rest[0].lstrip('-').partition('=')[0]} is not a recognized option")
    if options.bootstrap_server is None:
        made.error('Missing required argument "[bootstrap-server]"')
    return options


def settings(pairs: Sequence[str], *files: str | None) -> dict[str, str]:
    """``name=value`` pairs over those of files."""
    found: dict[str, str] = {}
    for file in files:
        if file is not None:
            found |= _properties(file)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ToolError(f"Invalid key/value pair: {pair}")
        found[name] = value
    return found


def _properties(file: str) -> dict[str, str]:
    import javaproperties

    try:
        with open(file, encoding="utf-8") as stream:
            read: dict[str, str] = javaproperties.load(stream)
    except OSError as error:
        raise ToolError(str(error)) from error
    return read


def connect(options: argparse.Namespace, given: dict[str, str]) -> Client:
    """A client for ``--bootstrap-server``, with what settings say of time and security."""
    protocol = given.get("security.protocol", "PLAINTEXT").upper()
    if protocol != "PLAINTEXT":
        raise ToolError(f"security.protocol={protocol} is not supported, only PLAINTEXT")
    timeout = given.get("default.api.timeout.ms", "60000")
    if not timeout.isdigit():
        raise ToolError(f"Invalid value {timeout} for configuration default.api.timeout.ms")
    return Client(options.bootstrap_server, int(timeout) / 1000)


def run(tool: Callable[[], int | None], prefix: str = "") -> int:
    """The exit code. An error is one line on standard error."""
    try:
        return tool() or 0
    except ToolError as error:
        say(f"{prefix}{error}")
        return 1
    except BrokenPipeError:  # whoever read the output has enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def flag(made: Parser, name: str, text: str = "") -> None:
    made.add_argument(f"--{name}", action="store_true", help=text)


def ignored(made: Parser, *names: str, value: bool = True) -> None:
    """Options that have no meaning here."""
    options: dict[str, Any] = {} if value else {"action": "store_true"}
    for name in names:
        made.add_argument(f"--{name}", help=argparse.SUPPRESS, **options)
