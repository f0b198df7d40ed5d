"""kafka-broker-api-versions: what every broker of the cluster serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.tools.options import connect, flag, parse, parser, run, settings
from wire.apis import API_BY_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    made = parser("kafka-broker-api-versions", "What the brokers serve.")
    flag(made, "include-api-range")
    options = parse(made, arguments)

    def act() -> None:
        client = connect(options, settings([], options.command_config))
        for broker in client.metadata([]).brokers:
            rack = "null" if broker.rack is None else broker.rack
            print(
                f"{broker.host}:{broker.port} (id: {broker.node_id} rack: {rack} "
                "isFenced: false) -> ("
            )
            served = client.connection(broker.node_id).versions
            print(",\n".join(described(served)), "\n)", sep="")

    return run(act)


def described(served: dict[int, tuple[int, int]]) -> list[str]:
    lines = {key: f"UNKNOWN({key}): {low} to {high}" for key, (low, high) in served.items()}
    for key, api in API_BY_KEY.items():
        if api.is_client_facing and not api.is_removed:
            lines[key] = f"{api.name}({key}): UNSUPPORTED"
        if key in served:
            low, high = served[key]
            usable = min(high, api.max_version)
            lines[key] = f"{api.name}({key}): {low} to {high} [usable: {usable}]"
    return [f"\t{lines[key]}" for key in sorted(lines)]
