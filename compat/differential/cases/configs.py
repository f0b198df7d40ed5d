"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk

UNKNOWN, TOPIC, BROKER, LOGGER, METRICS, GROUP = 0, 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)


def describing(kind: int, name: str, keys: list[str] | None = None, **more: Any) -> Body:
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
    return {"resources": [resource]} | more


@case("describe-configs/topic", api="describe_configs")
def topic(t: Talk, v: int) -> None:
    name = t.topic(configs={"retention.ms": "5000", "cleanup.policy": "compact"})
    t.ask("describe_configs", v, describing(TOPIC, name), label="all")
    more: Body = {"include_synonyms": True, "include_documentation": True}
    t.ask("describe_configs", v, describing(TOPIC, name, **more), label="all and more of it")
    for keys in (["retention.ms"], ["no.such"], ["retention.ms", "no.such"], [], [""]):
        t.ask("describe_configs", v, describing(TOPIC, name, keys, **more), label=f"keys {keys}")
    twice = describing(TOPIC, name, ["retention.ms"])
    twice["resources"] *= 2
    t.ask("describe_configs", v, twice, label="twice")
    for wanted in (t.name(), "", "a b", "x" * 300):
        t.ask("describe_configs", v, describing(TOPIC, wanted), label=f"name {wanted[:9]!r}")
    t.ask("describe_configs", v, {"resources": []}, label="nothing")


OF_THE_PLACE = {
    "advertised.listeners",
    "broker.id",
    "controller.listener.names",
    "controller.quorum.voters",
    "group.initial.rebalance.delay.ms",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "log.dir",
    "node.id",
    "offsets.topic.num.partitions",
    "offsets.topic.replication.factor",
    "process.roles",
}
"""What whoever starts a broker on one machine sets for it."""

SOME_OF_A_BROKER = [
    "auto.create.topics.enable",
    "background.threads",
    "broker.session.timeout.ms",
    "compression.type",
    "connections.max.idle.ms",
    "default.replication.factor",
    "delete.topic.enable",
    "fetch.max.bytes",
    "group.max.session.timeout.ms",
    "group.min.session.timeout.ms",
    "log.cleaner.threads",
    "log.retention.hours",
    "log.retention.ms",
    "log.segment.bytes",
    "max.connections",
    "message.max.bytes",
    "min.insync.replicas",
    "num.io.threads",
    "num.network.threads",
    "num.partitions",
    "num.replica.fetchers",
    "offset.metadata.max.bytes",
    "offsets.retention.minutes",
    "queued.max.requests",
    "replica.lag.time.max.ms",
    "sasl.mechanism.inter.broker.protocol",
    "socket.request.max.bytes",
    "ssl.keystore.password",
    "ssl.protocol",
    "unclean.leader.election.enable",
]


@case("describe-configs/broker", api="describe_configs")
def broker(t: Talk, v: int) -> None:
    keys = SOME_OF_A_BROKER
    for name in ("1", "", "2", "x", "-1"):
        t.try_ask("describe_configs", v, describing(BROKER, name, keys), label=f"broker {name!r}")
    more: Body = {"include_synonyms": True, "include_documentation": True}
    t.ask("describe_configs", v, describing(BROKER, "1", keys, **more), label="and more of it")
    t.ask("describe_configs", v, describing(BROKER, "1", ["no.such"]), label="unknown key")


@case("describe-configs/names-of-a-broker", api="describe_configs", versions=lambda v: v == 4)
def broker_names(t: Talk, v: int) -> None:
    """Which settings are shown at all, with their types."""
    answer = t.quiet("describe_configs", v, describing(BROKER, "1"))
    found = {
        c["name"]: {"type": c["config_type"], "read_only": c["read_only"]}
        for c in answer["results"][0]["configs"]
    }
    t.record("all", "describe_configs", {"configs": found})


@case("describe-configs/defaults-of-a-broker", api="describe_configs", versions=lambda v: v == 4)
def broker_defaults(t: Talk, v: int) -> None:
    """Values of what neither side sets."""
    answer = t.quiet("describe_configs", v, describing(BROKER, "1"))
    found = {
        c["name"]: c["value"]
        for c in answer["results"][0]["configs"]
        if c["config_source"] == 5 and c["name"] not in OF_THE_PLACE
    }
    t.record("all", "describe_configs", {"defaults": found})


@case("describe-configs/other-resources", api="describe_configs")
def other_resources(t: Talk, v: int) -> None:
    group = t.name("g")
    for kind, name in (
        (GROUP, group),
        (GROUP, ""),
        (METRICS, t.name("m")),
        (METRICS, ""),
        (LOGGER, ""),
        (LOGGER, "2"),
        (LOGGER, "x"),
        (UNKNOWN, "x"),
        (3, "x"),
        (127, "x"),
        (-1, "x"),
    ):
        wanted = name.replace(group, "a group")
        t.try_ask("describe_configs", v, describing(kind, name), label=f"{kind} {wanted[-9:]!r}")


@case("describe-configs/loggers", api="describe_configs")
def loggers(t: Talk, v: int) -> None:
    """Whose names are each broker's own."""
    answer = t.quiet("describe_configs", v, describing(LOGGER, "1"))
    root = [c for c in answer["results"][0]["configs"] if c["name"] == "root"]
    t.record("root", "describe_configs", {"configs": [one["name"] for one in root]})


def altering(kind: int, name: str, *configs: tuple[Any, ...], **more: Any) -> Body:
    """Each a name, a value, and an operation (1 where it is left out)."""
    entries = [
        {"name": c[0], "value": c[1], "config_operation": c[2] if len(c) > 2 else SET}
        for c in configs
    ]
    resource = {"resource_type": kind, "resource_name": name, "configs": entries}
    return {"resources": [resource], "validate_only": False} | more


def shown(t: Talk, name: str, *keys: str, kind: int = TOPIC) -> None:
    t.settle()
    t.ask("describe_configs", 4, describing(kind, name, list(keys)), label="shown")


@case("incremental-alter-configs/topic", api="incremental_alter_configs")
def incremental(t: Talk, v: int) -> None:
    name = t.topic(configs={"retention.ms": "5000"})
    api = "incremental_alter_configs"
    for label, change in {
        "set": ("retention.ms", "7000", SET),
        "deleted": ("retention.ms", None, DELETE),
        "deleted again": ("retention.ms", None, DELETE),
        "deleted with a value": ("retention.ms", "5", DELETE),
        "set to null": ("retention.ms", None, SET),
        "set to nothing": ("retention.ms", "", SET),
        "set to nonsense": ("retention.ms", "x", SET),
        "set out of range": ("retention.ms", "-2", SET),
        "appended to a list": ("cleanup.policy", "compact", APPEND),
        "appended again": ("cleanup.policy", "compact", APPEND),
        "appended nonsense": ("cleanup.policy", "neither", APPEND),
        "appended null": ("cleanup.policy", None, APPEND),
        "subtracted": ("cleanup.policy", "delete", SUBTRACT),
        "subtracted what is not there": ("cleanup.policy", "delete", SUBTRACT),
        "subtracted the last": ("cleanup.policy", "compact", SUBTRACT),
        "appended to no list": ("retention.ms", "5", APPEND),
        "subtracted from no list": ("retention.ms", "5", SUBTRACT),
        "unknown setting": ("no.such", "1", SET),
        "unknown setting deleted": ("no.such", None, DELETE),
        "no name": ("", "1", SET),
        "operation 9": ("retention.ms", "5", 9),
        "operation -1": ("retention.ms", "5", -1),
    }.items():
        t.try_ask(api, v, altering(TOPIC, name, change), label=label)
        shown(t, name, "retention.ms", "cleanup.policy")
    body = altering(TOPIC, name, ("retention.ms", "9"), ("retention.ms", "8"))
    t.ask(api, v, body, label="twice in one")
    body = altering(TOPIC, name, ("retention.ms", "9"), ("segment.bytes", "1"))
    t.ask(api, v, body, label="one good, one bad")
    body = altering(TOPIC, name, ("retention.ms", "9"), validate_only=True)
    t.ask(api, v, body, label="checked only")
    t.ask(api, v, altering(TOPIC, name), label="no changes")
    shown(t, name, "retention.ms", "segment.bytes")


@case("incremental-alter-configs/names", api="incremental_alter_configs")
def incremental_names(t: Talk, v: int) -> None:
    name = t.topic()
    api = "incremental_alter_configs"
    change = ("retention.ms", "7000", SET)
    for wanted in (t.name(), "", "a b", "x" * 300):
        t.ask(api, v, altering(TOPIC, wanted, change), label=f"name {wanted[:9]!r}")
    for kind in (UNKNOWN, 3, 127, -1):
        t.try_ask(api, v, altering(kind, name, change), label=f"resource {kind}")
    twice = altering(TOPIC, name, change)
    twice["resources"] *= 2
    t.ask(api, v, twice, label="resource twice")
    t.ask(api, v, {"resources": [], "validate_only": False}, label="nothing")
    two = altering(TOPIC, name, change)
    two["resources"] += altering(TOPIC, t.name(), change)["resources"]
    t.ask(api, v, two, label="one known, one not")
    shown(t, name, "retention.ms")


@case("incremental-alter-configs/broker", api="incremental_alter_configs", alone=True)
def incremental_broker(t: Talk, v: int) -> None:
    api = "incremental_alter_configs"
    for label, name, change in (
        ("of one", "1", ("log.cleaner.threads", "2", SET)),
        ("of one, back", "1", ("log.cleaner.threads", None, DELETE)),
        ("of all", "", ("message.max.bytes", "1000000", SET)),
        ("of all, back", "", ("message.max.bytes", None, DELETE)),
        ("of all, nonsense", "", ("message.max.bytes", "x", SET)),
        ("read-only", "1", ("node.id", "7", SET)),
        ("read-only, of all", "", ("background.threads.no", "7", SET)),
        ("unknown", "1", ("no.such", "7", SET)),
        ("unknown, back", "1", ("no.such", None, DELETE)),
        ("of one alone, of all", "", ("ssl.keystore.location", "/x", SET)),
        ("threads too many", "1", ("num.io.threads", "9999", SET)),
        ("threads none", "1", ("num.io.threads", "0", SET)),
        ("of another", "77", ("log.cleaner.threads", "2", SET)),
        ("of nobody", "x", ("log.cleaner.threads", "2", SET)),
        ("null", "1", ("log.cleaner.threads", None, SET)),
    ):
        t.try_ask(api, v, altering(BROKER, name, change), label=label)
        shown(t, "1", "log.cleaner.threads", "message.max.bytes", "num.io.threads", kind=BROKER)
    t.ask(
        api,
        v,
        altering(BROKER, "1", ("log.retention.ms", "5"), validate_only=True),
        label="checked only",
    )


@case("incremental-alter-configs/loggers", api="incremental_alter_configs", alone=True)
def incremental_loggers(t: Talk, v: int) -> None:
    api = "incremental_alter_configs"
    for label, name, change in (
        ("root", "1", ("root", "ERROR", SET)),
        ("nonsense", "1", ("root", "LOUD", SET)),
        ("lower case", "1", ("root", "warn", SET)),
        ("unknown logger", "1", ("no.such.logger", "INFO", SET)),
        ("appended", "1", ("root", "INFO", APPEND)),
        ("root deleted", "1", ("root", None, DELETE)),
        ("of all", "", ("root", "INFO", SET)),
        ("of another", "77", ("root", "INFO", SET)),
        ("of nobody", "x", ("root", "INFO", SET)),
    ):
        body = altering(LOGGER, name, change, validate_only=True)
        t.try_ask(api, v, body, label=label)


@case("incremental-alter-configs/groups", api="incremental_alter_configs")
def incremental_groups(t: Talk, v: int) -> None:
    group = t.name("g")
    api = "incremental_alter_configs"
    for label, change in {
        "set": ("consumer.session.timeout.ms", "46000", SET),
        "too small": ("consumer.session.timeout.ms", "5", SET),
        "nonsense": ("consumer.session.timeout.ms", "x", SET),
        "deleted": ("consumer.session.timeout.ms", None, DELETE),
        "unknown": ("no.such", "1", SET),
    }.items():
        t.ask(api, v, altering(GROUP, group, change), label=label)
        shown(t, group, "consumer.session.timeout.ms", kind=GROUP)
    t.ask(api, v, altering(GROUP, "", change), label="no name")


@case("incremental-alter-configs/metrics", api="incremental_alter_configs", alone=True)
def incremental_metrics(t: Talk, v: int) -> None:
    name = t.name("m")
    api = "incremental_alter_configs"
    for label, change in {
        "set": ("interval.ms", "5000", SET),
        "too small": ("interval.ms", "5", SET),
        "match": ("match", "client_id=x", SET),
        "bad match": ("match", "x", SET),
        "unknown": ("no.such", "1", SET),
        "metrics": ("metrics", "a,b", SET),
        "metrics appended": ("metrics", "c", APPEND),
    }.items():
        t.ask(api, v, altering(METRICS, name, change), label=label)
        shown(t, name, "interval.ms", "match", "metrics", kind=METRICS)
    t.ask("list_config_resources", 1, {"resource_types": [METRICS]}, label="listed")
    for setting in ("interval.ms", "match", "metrics"):
        t.ask(api, v, altering(METRICS, name, (setting, None, DELETE)), label=f"no {setting}")
    t.settle()
    t.ask("list_config_resources", 1, {"resource_types": [METRICS]}, label="not listed")
    t.ask(api, v, altering(METRICS, "", change), label="no name")


@case("alter-configs/topic", api="alter_configs")
def alter(t: Talk, v: int) -> None:
    name = t.topic(configs={"retention.ms": "5000", "cleanup.policy": "compact"})
    t.ask("alter_configs", v, altering(TOPIC, name, ("retention.ms", "6000")), label="replaced")
    shown(t, name, "retention.ms", "cleanup.policy")
    for label, change in {
        "null": ("retention.ms", None),
        "nonsense": ("retention.ms", "x"),
        "unknown": ("no.such", "1"),
        "no name": ("", "1"),
    }.items():
        t.ask("alter_configs", v, altering(TOPIC, name, change), label=label)
        shown(t, name, "retention.ms", "cleanup.policy")
    body = altering(TOPIC, name, ("retention.ms", "9"), ("retention.ms", "8"))
    t.ask("alter_configs", v, body, label="twice in one")
    body = altering(TOPIC, name, ("retention.ms", "9"), validate_only=True)
    t.ask("alter_configs", v, body, label="checked only")
    shown(t, name, "retention.ms", "cleanup.policy")
    t.ask("alter_configs", v, altering(TOPIC, name), label="all gone")
    shown(t, name, "retention.ms", "cleanup.policy")
    for wanted in (t.name(), "", "a b"):
        body = altering(TOPIC, wanted, ("retention.ms", "1"))
        t.ask("alter_configs", v, body, label=f"name {wanted[:9]!r}")
    for kind in (UNKNOWN, LOGGER, 127):
        body = altering(kind, name, ("retention.ms", "1"))
        t.try_ask("alter_configs", v, body, label=f"resource {kind}")
    t.ask("alter_configs", v, {"resources": [], "validate_only": False}, label="nothing")
    group = altering(GROUP, t.name("g"), ("consumer.session.timeout.ms", "46000"))
    t.ask("alter_configs", v, group, label="group")


@case("list-config-resources/types", api="list_config_resources", alone=True)
def list_resources(t: Talk, v: int) -> None:
    for types in ([], [16], [2], [4], [8], [32], [2, 16], [0], [99], [-1], [16, 16]):
        body = {"resource_types": types}
        t.ask("list_config_resources", v, body, label=f"types {types}")
