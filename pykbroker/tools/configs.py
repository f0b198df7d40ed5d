"""kafka-configs: --describe and --alter the settings of topics, brokers and groups."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pykbroker.tools.client import Refused, ToolError, check
from pykbroker.tools.options import connect, flag, parse, parser, run, say, settings
from wire.errors import ErrorCode
from wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from wire.messages.list_groups import ListGroupsRequest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pykbroker.tools.client import Client
    from pykbroker.tools.options import Parser
    from wire.messages.describe_configs import DescribeConfigsResourceResult

TYPES = {"topics": 2, "brokers": 4, "groups": 32}
SOURCES = {
    1: "DYNAMIC_TOPIC_CONFIG",
    2: "DYNAMIC_BROKER_CONFIG",
    3: "DYNAMIC_DEFAULT_BROKER_CONFIG",
    4: "STATIC_BROKER_CONFIG",
    5: "DEFAULT_CONFIG",
    6: "DYNAMIC_BROKER_LOGGER_CONFIG",
    7: "DYNAMIC_CLIENT_METRICS_CONFIG",
    8: "DYNAMIC_GROUP_CONFIG",
}
OWN = {"topics": 1, "brokers": 2, "groups": 8}
"""The source of a setting that was made for the entity itself."""
OF_ALL_BROKERS = 3
SET, DELETE = 0, 1


def command_line() -> Parser:
    made = parser("kafka-configs", "Settings of topics, brokers and groups.")
    flag(made, "describe")
    flag(made, "alter")
    flag(made, "all", "describe those as well that nobody has set")
    made.add_argument("--entity-type", choices=TYPES)
    made.add_argument("--entity-name")
    flag(made, "entity-default", "what holds for all brokers")
    made.add_argument("--add-config", metavar="name=value,name=[a,b]")
    made.add_argument("--add-config-file", metavar="FILE")
    made.add_argument("--delete-config", metavar="name,name")
    made.add_argument("--bootstrap-controller", dest="bootstrap_server")
    for kind, short in (("topics", "topic"), ("brokers", "broker"), ("groups", "group")):
        made.add_argument(f"--{short}", dest=kind)
    flag(made, "broker-defaults")
    return made


def main(arguments: Sequence[str]) -> int:
    made = command_line()
    options = parse(made, arguments)
    if options.alter == options.describe:
        made.error("Command must include exactly one action: --describe, --alter")
    for kind in TYPES:
        if getattr(options, kind) is not None:
            options.entity_type, options.entity_name = kind, getattr(options, kind)
    if options.broker_defaults:
        options.entity_type, options.entity_default = "brokers", True
    if options.entity_type is None:
        made.error("At least one entity type must be specified")
    if options.entity_default and options.entity_type != "brokers":
        made.error("--entity-default is supported for brokers alone")
    if options.alter and options.entity_name is None and not options.entity_default:
        made.error("An entity name must be specified with --alter")

    def act() -> None:
        client = connect(options, settings([], options.command_config))
        (alter if options.alter else describe)(client, options)

    line = " ".join(arguments)
    return run(act, f"Error while executing config command with args '{line}'\n" * options.alter)


def pairs(text: str) -> dict[str, str]:
    """``a=1,b=[x,y]``: commas in brackets belong to the value."""
    return {
        name.strip(): value.strip().removeprefix("[").removesuffix("]")
        for name, value in settings(re.split(r",(?![^\[]*\])", text)).items()
    }


def alter(client: Client, options: argparse.Namespace) -> None:
    changes: dict[str, str | None] = {}
    if options.add_config_file is not None:
        changes |= settings([], options.add_config_file)
    if options.add_config is not None:
        changes |= pairs(options.add_config)
    if options.delete_config is not None:
        changes |= dict.fromkeys(name.strip() for name in options.delete_config.split(","))
    if not changes:
        raise ToolError(
            "At least one of --add-config, --add-config-file, --delete-config is needed"
        )
    kind, name = options.entity_type, "" if options.entity_default else options.entity_name
    resource = AlterConfigsResource(
        resource_type=TYPES[kind],
        resource_name=name,
        configs=[
            AlterableConfig(
                name=setting, value=value, config_operation=DELETE if value is None else SET
            )
            for setting, value in changes.items()
        ],
    )
    node = int(name) if kind == "brokers" and name.isdigit() else None
    request = IncrementalAlterConfigsRequest(resources=[resource])
    (result,) = client.call(request, node).responses
    check(result.error_code, result.error_message)
    if options.entity_default:
        print("Completed updating default config for brokers in the cluster.")
    else:
        print(f"Completed updating config for {kind[:-1]} {name}.")


def describe(client: Client, options: argparse.Namespace) -> None:
    kind = options.entity_type
    names = named(client, options)
    for name in names:
        try:
            found = described(client, kind, name)
        except Refused as error:
            if error.code != ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                raise
            say(f"The topic '{name}' doesn't exist and doesn't have dynamic config.")
            continue
        what = "All" if options.all else "Dynamic"
        if kind == "brokers" and name == "":
            print("Default configs for brokers in the cluster are:")
        else:
            print(f"{what} configs for {kind[:-1]} {name} are:")
        own = OF_ALL_BROKERS if kind == "brokers" and name == "" else OWN[kind]
        for config in sorted(found, key=lambda c: c.name):
            if options.all or config.config_source == own:
                print(f"  {line(config)}")


def named(client: Client, options: argparse.Namespace) -> list[str]:
    if options.entity_default:
        return [""]
    if options.entity_name is not None:
        return [options.entity_name]
    response = client.metadata(None)
    if options.entity_type == "brokers":
        return [*sorted(str(broker.node_id) for broker in response.brokers), ""]
    if options.entity_type == "topics":
        return sorted(topic.name or "" for topic in response.topics)
    groups = {
        group.group_id
        for broker in response.brokers
        for group in client.call(ListGroupsRequest(), broker.node_id).groups
    }
    return sorted(groups)


def described(client: Client, kind: str, name: str) -> list[DescribeConfigsResourceResult]:
    resource = DescribeConfigsResource(
        resource_type=TYPES[kind], resource_name=name, configuration_keys=None
    )
    node = int(name) if kind == "brokers" and name.isdigit() else None
    request = DescribeConfigsRequest(resources=[resource], include_synonyms=True)
    (result,) = client.call(request, node).results
    check(result.error_code, result.error_message)
    found: list[DescribeConfigsResourceResult] = result.configs
    return found


def line(config: DescribeConfigsResourceResult) -> str:
    def text(value: str | None) -> str:
        return "null" if value is None else value

    synonyms = ", ".join(f"{SOURCES[s.source]}:{s.name}={text(s.value)}" for s in config.synonyms)
    sensitive = str(config.is_sensitive).lower()
    return f"{config.name}={text(config.value)} sensitive={sensitive} synonyms={{{synonyms}}}"
