"""Settings at start: options, KAFKA_* environment, server.properties, the local profile.

The command line wins over the environment, the environment over the file, as in Kafka's own
container. A name that nobody knows is passed over: with a warning where it was written for us
(file, option); of the environment, which is full of names meant for others, only where it is all
but one of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.config.broker_table import BROKER
from pykbroker.config.checks import check_settings, check_values
from pykbroker.config.definitions import ConfigError
from pykbroker.config.listeners import Listeners, format_address, parse_listeners
from pykbroker.config.settings import Settings, base_name
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_DATA_DIR = "pykbroker-data"
SERVED_PROTOCOL = "PLAINTEXT"
DEFAULT_HOST, DEFAULT_PORT = "localhost", 9092
_EVERY_INTERFACE = ("", "*", "0.0.0.0", "::", "[::]")
IGNORED = " (ignored)"
"""How the warning of an unknown property ends."""
_LISTENER_NAMES = (
    "listeners",
    "advertised.listeners",
    "controller.listener.names",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
)


_DIRECTORY_NAMES = ("log.dirs", "log.dir", "metadata.log.dir")
_MISSPELT = 0.92
"""How alike a variable's name is to one of ours: a letter or two are wrong."""


class Loaded(NamedTuple):
    settings: Settings
    listeners: Listeners
    warnings: list[str]
    """One line each, to be said at start."""
    without_effect: list[str]
    """Names that were set, that Kafka knows, and that change nothing here."""


def local_profile(
    explicit: Mapping[str, str], *, brokers: int = 1, node_id: int = 1
) -> dict[str, str]:
    """What a broker on one's own machine needs to differ from Kafka's defaults in."""
    profile = {
        "node.id": str(node_id),
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{DEFAULT_HOST}:{DEFAULT_PORT}",
        "log.dirs": broker_directory(DEFAULT_DATA_DIR, str(node_id)),
        "group.initial.rebalance.delay.ms": "0",
    }
    factor = str(min(3, brokers))
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        name = f"{topic}.replication.factor"
        profile[name] = factor
        chosen = explicit.get(name, factor).strip()
        if topic != "offsets.topic" and chosen.isdecimal():
            profile[f"{topic}.min.isr"] = str(max(1, min(2, int(chosen))))
    return profile


def broker_directory(cluster_directory: str, node_id: str) -> str:
    """A cluster directory holds the metadata store and one log directory for each broker."""
    return f"{cluster_directory}/broker-{node_id}"


def property_name(variable: str) -> str | None:
    """``KAFKA_LOG_RETENTION_MS`` -> ``log.retention.ms``; None for other variables."""
    if not variable.startswith("KAFKA_"):
        return None
    dotted = variable[len("KAFKA_") :].lower().replace("_", ".")
    return dotted.replace("...", "-").replace("..", "_")


def perhaps(name: str, known: Iterable[str], likeness: float = 0.8) -> str:
    """For an error message: what may have been meant."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1, likeness)
    return f", did you mean {near[0]}?" if near else ""


def is_known(name: str) -> bool:
    definition = BROKER.get(base_name(name))
    return definition is not None and not definition.dynamic_only


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for variable, value in environment.items():
        name = property_name(variable)
        if name is not None and is_known(name):
            found[name] = value
    if "node.id" in found:
        found.pop("broker.id", None)
    return found


def from_options(options: Iterable[str]) -> dict[str, str]:
    """``name=value`` each; the last one of a name counts."""
    found = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"-o {option}: must be name=value")
        found[name.strip()] = value.strip()
    return found


def from_file(path: str) -> dict[str, str]:
    import javaproperties

    try:
        with open(path, encoding="utf-8") as file:
            return dict(javaproperties.load(file))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not a properties file: {error}") from error


def load_settings(
    *,
    config_file: str | None = None,
    options: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    host: str | None = None,
    port: int | None = None,
    data_dir: str | None = None,
    brokers: int = 1,
    node_id: int | None = None,
) -> Loaded:
    """Everything resolved and checked, or ConfigError with one line that says what is wrong.

    ``node_id`` is what the command line says; None leaves it to the properties.
    """
    warnings: list[str] = []
    given = from_options(options)
    file = from_file(config_file) if config_file is not None else {}
    variables = from_environment(environment or {})
    warnings.extend(_misspelt(environment or {}, file))
    for place, layer in ((config_file, file), ("-o", given)):
        for name in [name for name in layer if not is_known(name)]:
            hint = perhaps(name, _names())
            warnings.append(f"unknown property {name} ({place}){hint}{IGNORED}")
            del layer[name]
    if host is not None or port is not None:
        _apply_address(host, port, given, variables, file, warnings)
    static = {**file, **variables, **given}
    if node_id is not None:
        static["node.id"] = str(node_id)
        static.pop("broker.id", None)
    if "broker.id" in static:
        static.setdefault("node.id", static["broker.id"])
    own_id = static.get("node.id", "1")
    if brokers > 1:
        _check_alone(static)
    if data_dir is not None:
        replaced = [name for name in _DIRECTORY_NAMES if static.pop(name, None) is not None]
        if replaced:
            warnings.append(f"--data-dir replaces {', '.join(replaced)}")
        static["log.dirs"] = broker_directory(data_dir, own_id)
    voters = len([v for v in static.get("controller.quorum.voters", "").split(",") if v.strip()])
    profile = local_profile(
        static, brokers=max(brokers, voters), node_id=1 if node_id is None else node_id
    )
    profile["log.dirs"] = broker_directory(DEFAULT_DATA_DIR, own_id)
    profile["broker.id"] = static.get("node.id", profile["node.id"])
    check_values(static)
    settings = Settings(static, profile)
    check_settings(settings)
    listeners = parse_listeners(settings)
    _check_protocols(listeners)
    return Loaded(settings, listeners, warnings, _without_effect(static))


def _names() -> list[str]:
    return [name for name in BROKER.names() if is_known(name)]


def _misspelt(environment: Mapping[str, str], file: Mapping[str, str]) -> Iterable[str]:
    """The container's file holds what is in its environment, and is told of by itself."""
    for variable in environment:
        name = property_name(variable)
        if name is not None and not is_known(name) and name not in file:
            hint = perhaps(name, _names(), _MISSPELT)
            if hint:
                yield f"unknown property {name} ({variable}){hint}{IGNORED}"


def _check_protocols(listeners: Listeners) -> None:
    """Nothing but PLAINTEXT is served: what is asked to be secret must not go out in the open."""
    for listener in listeners.bound:
        if listener.security_protocol != SERVED_PROTOCOL:
            raise ConfigError(
                f"listener {listener.name}: {listener.security_protocol} is not supported yet, "
                f"only {SERVED_PROTOCOL}"
            )


def _check_alone(static: Mapping[str, str]) -> None:
    """What one description of several brokers on one machine cannot hold."""
    if "log.dirs" in static:
        raise ConfigError("--brokers cannot be combined with log.dirs: use --data-dir")
    for name in ("controller.quorum.voters", "controller.quorum.bootstrap.servers"):
        if static.get(name):
            raise ConfigError(f"--brokers cannot be combined with {name}")


def _apply_address(
    host: str | None,
    port: int | None,
    given: dict[str, str],
    variables: dict[str, str],
    file: Mapping[str, str],
    warnings: list[str],
) -> None:
    """--host and --port are one PLAINTEXT listener, in place of what the environment says."""
    if "listeners" in given or "listeners" in file:
        raise ConfigError("--host and --port cannot be combined with a listeners property")
    overridden = [name for name in _LISTENER_NAMES if variables.pop(name, None) is not None]
    if overridden:
        names = ", ".join(overridden)
        warnings.append(f"--host and --port replace {names} of the environment")
    wanted = DEFAULT_HOST if host is None else host
    chosen = DEFAULT_PORT if port is None else port
    anywhere = wanted in _EVERY_INTERFACE
    bound = "" if wanted == "*" else wanted.strip("[]")
    given["listeners"] = f"PLAINTEXT://{format_address(bound, chosen)}"
    if anywhere and "advertised.listeners" not in given and "advertised.listeners" not in file:
        given["advertised.listeners"] = f"PLAINTEXT://localhost:{chosen}"
        warnings.append(
            f"listening on every interface and advertising localhost:{chosen or '<port>'}; "
            "set advertised.listeners for clients on other machines"
        )


def _without_effect(static: Mapping[str, str]) -> list[str]:
    from pykbroker.config.effective import EFFECTIVE

    return sorted(name for name in static if base_name(name) not in EFFECTIVE)
