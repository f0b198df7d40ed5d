"""``python -m compat run|bench|readme|differential``; each has its own ``--help``."""

from __future__ import annotations

import importlib
import signal
import sys

from compat.piped import end_with

COMMANDS = {
    "run": ("compat.cli", "behaviours with every client against a cluster"),
    "bench": ("compat.bench.cli", "the same loads on several brokers, as ratios"),
    "readme": ("compat.report.readme", "the tables of the documentation, from their reports"),
    "differential": ("compat.differential.cli", "the same raw requests to two brokers"),
}


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        if name and not name.startswith("-"):
            print(f"compat: there is no command {name!r}", file=sys.stderr)
        print("usage: python -m compat COMMAND ...\n")
        for command, (_, what) in COMMANDS.items():
            print(f"  {command:14}{what}")
        return 0 if name in ("-h", "--help") else 2
    # So that whatever was started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    code: int = importlib.import_module(COMMANDS[name][0]).main(sys.argv[2:])
    return code


if __name__ == "__main__":
    end_with(main)
