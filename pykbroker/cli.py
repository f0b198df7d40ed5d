"""The command ``pykbroker``: options, signals, exit codes, process-wide settings.

Only here is anything done that belongs to the whole process: signal handlers, the event loop's
policy, resource limits, the allocator. Exit codes: 0 stopped as asked, 1 could not serve, 2 the
command line or a property is wrong.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from pykbroker import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykbroker.config.load import Loaded

DEFAULT_PORT = 9092
DEFAULT_DATA_DIR = "pykbroker-data"
LOG_LEVELS = ("debug", "info", "warn", "error", "off")

GREETING = """\
pykbroker {version}: a Kafka broker.

  pykbroker serve              a broker on localhost:9092, data in ./pykbroker-data
  pykbroker serve --memory     the same, nothing on disk
  pykbroker serve --brokers 3  a cluster of three
  pykbroker exec -- COMMAND    a broker for as long as a command runs
  pykbroker import DIR         take over the data of an Apache Kafka broker
  pykbroker --help             everything else
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the rest is in ``--help``.

    Every added argument asks a formatter whether it could be shown. Only help itself needs the one
    that measures the terminal, and with that most of ``shutil``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=partial(argparse.HelpFormatter, width=80))

    def format_help(self) -> str:
        self.formatter_class = argparse.HelpFormatter
        return super().format_help()

    def print_greeting(self) -> None:
        """As help is: whoever reads it may stop doing so."""
        self._print_message(GREETING.format(version=__version__), sys.stdout)

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ").replace("unrecognized", "unknown")
        self.exit(2, f"pykbroker: {message}; see '{self.prog} --help'\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What is left over is told of by who knows the command that it was given to."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            from pykbroker.config.load import perhaps

            near = perhaps(rest[0].partition("=")[0], self._option_string_actions)
            self.error(f"unknown argument {rest[0]}{near}")
        return found, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            what = "command" if action.dest == "command" else "value"
            raise argparse.ArgumentError(
                None if what == "command" else action,
                f"there is no {what} {value!r}, only {', '.join(action.choices)}",
            )


def build_parser() -> Parser:
    parser = Parser(
        prog="pykbroker",
        description="A Kafka broker. Clients of Kafka connect to it as they are.",
    )
    parser.add_argument("--version", action="version", version=f"pykbroker {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", prog="pykbroker")
    _add_serve(
        commands.add_parser(
            "serve",
            help="run a broker in the foreground",
            description="Runs a broker until SIGTERM or Ctrl-C; the second of them does not wait "
            "for a clean stop. Prints a line with bootstrap.servers once it serves; logs go to "
            "standard error. Of a property given more than once, -o wins over the KAFKA_* variable "
            "and that over --config. Exits with 0 if it was told to stop, with 1 if it cannot "
            "serve, with 2 if an argument or a property is wrong.",
        )
    )
    take = commands.add_parser(
        "import",
        help="take over an Apache Kafka data directory",
        description="Copies the data directory of a stopped Apache Kafka broker (KRaft): topics "
        "with their ids and settings, data, committed offsets, quotas. Nothing in it is changed.",
    )
    take.add_argument("directory", metavar="DIR", help="its log directory; not changed")
    take.add_argument(
        "--data-dir",
        metavar="DIR",
        type=_directory,
        default=DEFAULT_DATA_DIR,
        help="the new copy (default: %(default)s)",
    )
    execute = commands.add_parser(
        "exec",
        help="run a command with a broker of its own, in KAFKA_BOOTSTRAP_SERVERS",
        usage="pykbroker exec [-h] [--brokers N] [-o name=value] -- COMMAND [ARG ...]",
        description="Starts a broker in memory on a free port, runs the command with its address "
        "in KAFKA_BOOTSTRAP_SERVERS, and exits with the command's exit code.",
    )
    execute.add_argument(
        "--brokers", metavar="N", type=_count, default=1, help="a cluster of N (default: 1)"
    )
    execute.add_argument(
        "-o",
        dest="options",
        metavar="name=value",
        action="append",
        default=[],
        help="set one property; may be given often",
    )
    execute.add_argument("line", metavar="COMMAND", nargs="+", help="and its arguments, after --")
    return parser


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--host", metavar="H", help="address to listen on (default: localhost)")
    serve.add_argument(
        "--port", metavar="P", type=_port, help=f"0 picks a free one (default: {DEFAULT_PORT})"
    )
    serve.add_argument(
        "--brokers",
        metavar="N",
        type=_count,
        help="run a cluster of N brokers, each a process of its own, on ports from P up",
    )
    serve.add_argument(
        "--node-id", metavar="N", type=_count, help="which broker of its cluster this one is"
    )
    serve.add_argument(
        "--metadata",
        metavar="URL",
        type=_metadata,
        help="where the cluster's metadata is: etcd://HOST:PORT[,HOST:PORT...], or tcp://HOST:PORT "
        "or unix:PATH of a process that serves it",
    )
    where = serve.add_mutually_exclusive_group()
    where.add_argument(
        "--data-dir",
        metavar="DIR",
        type=_directory,
        help=f"where data is kept (default: ./{DEFAULT_DATA_DIR})",
    )
    where.add_argument(
        "--memory", action="store_true", help="keep everything in memory, nothing on disk"
    )
    serve.add_argument("--config", metavar="FILE", help="a server.properties file of Kafka's")
    serve.add_argument(
        "-o",
        dest="options",
        metavar="name=value",
        action="append",
        default=[],
        help="set one property; may be given often, and wins over the file",
    )
    serve.add_argument(
        "--http-port",
        metavar="P",
        type=_port,
        help="serve /metrics, /health/live and /health/ready here; 0 picks one",
    )
    serve.add_argument(
        "--log-level",
        choices=LOG_LEVELS,
        default="info",
        help="how much is logged (default: %(default)s)",
    )
    serve.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="for people or for programs (default: %(default)s)",
    )


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _directory(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name of a directory is empty")
    return text


def _metadata(text: str) -> str:
    if not text.startswith(("etcd://", "tcp://", "unix:/")):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not etcd://HOST:PORT, tcp://HOST:PORT or unix:/PATH"
        )
    from pykbroker.ports import UnusableStore

    try:
        if text.startswith("etcd://"):
            from pykbroker.edges.metadata_store.etcd_options import parse_url

            parse_url(text)
        else:
            from pykbroker.edges.metadata_store.addresses import parse_address

            parse_address(text)
    except UnusableStore as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_greeting()
        sys.exit(2)
    if options.command == "import":
        from pykbroker.importing import import_directory

        sys.exit(import_directory(options.directory, options.data_dir))
    if options.command == "exec":
        from pykbroker.executing import execute

        sys.exit(execute(options.line, brokers=options.brokers, options=options.options))
    sys.exit(serve(options))


def fail(message: str, code: int = 1) -> int:
    print(f"pykbroker: {message}", file=sys.stderr, flush=True)
    return code


def refuse(problem: str, options: argparse.Namespace) -> int:
    """A setting is wrong: one line for a person, or for the machine that reads the log."""
    if options.log_format != "json":
        return fail(problem, 2)
    from pykbroker.edges.log_sink import StreamSink
    from pykbroker.log import ERROR

    sink = StreamSink(sys.stderr, json=True)
    sink.emit(ERROR, "pykbroker", "cannot serve", {"reason": problem})
    return 2


def serve(options: argparse.Namespace) -> int:
    """Run until told to stop; the exit code."""
    gc.disable()  # ``running`` enables it once everything is imported
    from pykbroker.config.settings import ConfigError

    try:
        if options.brokers is not None and options.brokers > 1:
            loaded = load_cluster(options)
        else:
            loaded = [load_one(options)]
    except ConfigError as error:
        return refuse(str(error), options)
    raise_descriptor_limit()
    if len(loaded) > 1:
        from pykbroker.supervisor import run_cluster

        return run_cluster(loaded, options)
    from pykbroker.running import run

    return run(loaded[0], options)


def load_one(options: argparse.Namespace) -> Loaded:
    """A broker alone, or one of a cluster whose directory knows its port. Raises ConfigError."""
    from pykbroker.config.load import load_settings

    brokers, port = 1, options.port
    if options.node_id is not None:
        from pykbroker.cluster_dir import known_layout

        layout = known_layout(options.metadata, options.data_dir or DEFAULT_DATA_DIR)
        brokers = layout.brokers
        if port is None and options.host is None:
            port = layout.ports.get(options.node_id)
    return load_settings(
        config_file=options.config,
        options=options.options,
        environment=os.environ,
        host=options.host,
        port=port,
        data_dir=options.data_dir,
        brokers=brokers,
        node_id=options.node_id,
    )


def load_cluster(options: argparse.Namespace) -> list[Loaded]:
    """The brokers of ``--brokers``, in the order of their node ids. Raises ConfigError."""
    from pykbroker.config.load import load_settings
    from pykbroker.config.settings import ConfigError

    if options.node_id is not None:
        raise ConfigError("--brokers and --node-id: a whole cluster, or one broker of it")
    first = DEFAULT_PORT if options.port is None else options.port
    if first + options.brokers - 1 > 65535:
        raise ConfigError(f"--brokers {options.brokers}: there are not as many ports from {first}")
    return [
        load_settings(
            config_file=options.config,
            options=options.options,
            environment=os.environ,
            host=options.host,
            port=first + index if first else 0,
            data_dir=options.data_dir,
            brokers=options.brokers,
            node_id=index + 1,
        )
        for index in range(options.brokers)
    ]


def raise_descriptor_limit() -> None:
    """As many open files as the hard limit allows; connections and segments need them."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            # Some systems cap it below what they call the hard limit; the soft one stands.
            return
