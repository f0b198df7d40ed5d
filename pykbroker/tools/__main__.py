"""Which tool: the first argument, with or without ``.sh`` or a directory in front."""

from __future__ import annotations

import sys
from importlib import import_module

MODULES = {
    "cub": "cub",
    "kafka-broker-api-versions": "api_versions",
    "kafka-configs": "configs",
    "kafka-console-consumer": "console_consumer",
    "kafka-console-producer": "console_producer",
    "kafka-consumer-groups": "consumer_groups",
    "kafka-get-offsets": "offsets",
    "kafka-topics": "topics",
}


def main(arguments: list[str]) -> int:
    name = arguments[0].rpartition("/")[2].removesuffix(".sh") if arguments else ""
    if name not in MODULES:
        print(f"no tool {name!r}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 1
    code: int = import_module(f"pykbroker.tools.{MODULES[name]}").main(arguments[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
