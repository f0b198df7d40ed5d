"""Listeners: where the broker accepts connections and what it tells clients to connect to.

Rules (Kafka's, for the KRaft roles broker and controller): names are free text, upper-cased and
mapped to a security protocol; no two listeners share a name or, on one address family, a port;
a broker advertises at least one listener, each of them listened on, the inter-broker one among
them, and never 0.0.0.0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pykbroker.config.definitions import ConfigError
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.config.settings import Settings

SECURITY_PROTOCOLS = {"PLAINTEXT": 0, "SSL": 1, "SASL_PLAINTEXT": 2, "SASL_SSL": 3}
BROKER_ROLE, CONTROLLER_ROLE = "broker", "controller"
_LISTENER = r"(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)"


class Listener(NamedTuple):
    """``host`` empty is every interface; ``port`` 0 is any free one. IPv6 stands bare."""

    name: str
    host: str
    port: int
    security_protocol: str

    @property
    def address(self) -> str:
        return format_address(self.host, self.port)


class Listeners(NamedTuple):
    bound: tuple[Listener, ...]
    """Every listener to open, controller listeners included."""
    advertised: tuple[Listener, ...]
    """What clients are told, by name; controller listeners are not among them. Where nothing
    else was set this is the listener itself: host empty is then this machine's own name, and
    port 0 the port that was bound."""
    controller_names: tuple[str, ...]
    inter_broker: str

    def is_controller(self, name: str) -> bool:
        return name in self.controller_names

    def with_ports(self, ports: Mapping[str, int], hostname: str) -> Listeners:
        """With what is known once listening: the ports by listener name, the host's name."""
        return self._replace(
            bound=tuple(_filled(listener, ports, listener.host) for listener in self.bound),
            advertised=tuple(
                _filled(listener, ports, listener.host or hostname) for listener in self.advertised
            ),
        )


def _filled(listener: Listener, ports: Mapping[str, int], host: str) -> Listener:
    return listener._replace(host=host, port=listener.port or ports.get(listener.name, 0))


def format_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_listeners(settings: Settings) -> Listeners:
    """All listeners of these settings, or ConfigError."""
    roles = settings.list("process.roles")
    protocols = _protocols(settings)
    controllers = tuple(name.upper() for name in settings.list("controller.listener.names"))
    bound = _parse("listeners", settings.list("listeners"), protocols)
    _check_ports(bound)
    explicit = settings.list("advertised.listeners")
    advertised = _parse("advertised.listeners", explicit, protocols) if explicit else bound
    offered = tuple(a for a in advertised if a.name not in controllers)
    inter_broker = _inter_broker(settings, protocols)
    listeners = Listeners(bound, offered, controllers, inter_broker)
    if CONTROLLER_ROLE in roles:
        _check_controller(settings, listeners)
    if BROKER_ROLE in roles:
        _check_broker(settings, listeners, roles)
    if any(a.host == "0.0.0.0" for a in advertised if explicit or a in offered):
        raise ConfigError(
            "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0: set it to an "
            "address that clients can reach, for example "
            f"advertised.listeners={_example(offered)}"
        )
    return listeners


def _example(offered: tuple[Listener, ...]) -> str:
    return (
        ",".join(f"{a.name}://localhost:{a.port}" for a in offered) or "PLAINTEXT://localhost:9092"
    )


def _protocols(settings: Settings) -> dict[str, str]:
    """Security protocol by listener name.

    Left alone, the map also holds the controller listeners, as PLAINTEXT, unless any listener is
    named after a secure protocol.
    """
    name = "listener.security.protocol.map"
    protocols: dict[str, str] = {}
    for entry in (settings.str(name) or "").split(","):
        listener, colon, protocol = (part.strip() for part in entry.rpartition(":"))
        if not entry.strip():
            continue
        if not colon or not listener:
            raise ConfigError(
                f"Invalid value {entry} for configuration {name}: must be name:protocol"
            )
        protocols[listener.upper()] = _protocol(protocol, name)
    if settings.is_explicit(name):
        return protocols
    controllers = [c.upper() for c in settings.list("controller.listener.names")]
    named = [entry.partition(":")[0].upper() for entry in settings.list("listeners")]
    if not any(n in SECURITY_PROTOCOLS and n != "PLAINTEXT" for n in (*controllers, *named)):
        protocols.update({c: "PLAINTEXT" for c in controllers})
    return protocols


def _protocol(text: str, name: str) -> str:
    if text.upper() not in SECURITY_PROTOCOLS:
        raise ConfigError(
            f"Invalid value {text} for configuration {name}: the security protocols are "
            f"{', '.join(SECURITY_PROTOCOLS)}"
        )
    return text.upper()


def _parse(
    setting: str, entries: tuple[str, ...], protocols: Mapping[str, str]
) -> tuple[Listener, ...]:
    listeners = []
    for entry in entries:
        match = re.fullmatch(_LISTENER, entry)
        if match is None:
            raise ConfigError(
                f"Invalid value {entry} for configuration {setting}: must be NAME://host:port"
            )
        name, host, port = match[1].upper(), match[2], int(match[3])
        if name not in protocols:
            raise ConfigError(
                f"Invalid value {entry} for configuration {setting}: no security protocol is "
                f"defined for listener {name} in listener.security.protocol.map"
            )
        if not 0 <= port <= 65535:
            raise ConfigError(
                f"Invalid value {entry} for configuration {setting}: the port must be 0 to 65535"
            )
        listeners.append(Listener(name, host, port, protocols[name]))
    if len({listener.name for listener in listeners}) != len(listeners):
        raise ConfigError(
            f"Invalid value {','.join(entries)} for configuration {setting}: "
            "each listener must have a different name"
        )
    return tuple(listeners)


def _check_ports(bound: tuple[Listener, ...]) -> None:
    """One port may serve twice only for one IPv4 and one IPv6 address."""
    for index, one in enumerate(bound):
        for other in bound[index + 1 :]:
            if one.port and one.port == other.port and not _is_ip_pair(one.host, other.host):
                raise ConfigError(
                    f"Invalid value {one.name} and {other.name} on port {one.port} for "
                    "configuration listeners: each listener must have a different port"
                )


def _is_ip_pair(one: str, other: str) -> bool:
    """An IPv4 and an IPv6 address, in either order."""
    is_ip4 = [re.fullmatch(r"[0-9.]+", host) is not None for host in (one, other)]
    is_ip6 = [":" in host for host in (one, other)]
    return (is_ip4[0] and is_ip6[1]) or (is_ip6[0] and is_ip4[1])


def _inter_broker(settings: Settings, protocols: Mapping[str, str]) -> str:
    name = settings.str("inter.broker.listener.name")
    if name is None:
        return settings.str("security.inter.broker.protocol") or "PLAINTEXT"
    if settings.is_explicit("security.inter.broker.protocol"):
        raise ConfigError(
            "Only one of inter.broker.listener.name and security.inter.broker.protocol may be set"
        )
    if name.upper() not in protocols:
        raise ConfigError(
            f"Invalid value {name} for configuration inter.broker.listener.name: "
            "not found in listener.security.protocol.map"
        )
    return name.upper()


def _check_controller(settings: Settings, listeners: Listeners) -> None:
    """What Kafka asks of explicit controller listeners; none are needed without them."""
    names = {listener.name for listener in listeners.bound}
    missing = [name for name in listeners.controller_names if name not in names]
    if missing and settings.is_explicit("controller.listener.names"):
        raise ConfigError(
            f"Invalid value {','.join(missing)} for configuration controller.listener.names: must "
            "only contain values appearing in listeners when running the controller role"
        )


def _check_broker(settings: Settings, listeners: Listeners, roles: tuple[str, ...]) -> None:
    offered = [listener.name for listener in listeners.advertised]
    names = [listener.name for listener in listeners.bound]
    if not offered:
        raise ConfigError(
            "There must be at least one broker advertised listener. "
            "Perhaps all listeners appear in controller.listener.names?"
        )
    unbound = [name for name in offered if name not in names]
    if unbound:
        raise ConfigError(
            f"Invalid value {','.join(unbound)} for configuration advertised.listeners: listener "
            f"names must be among those in listeners ({','.join(names)})"
        )
    if listeners.inter_broker not in offered:
        raise ConfigError(
            f"Invalid value {listeners.inter_broker} for configuration inter.broker.listener.name: "
            f"must be a listener name in advertised.listeners ({','.join(offered)})"
        )
    shared = [name for name in listeners.controller_names if name in names]
    if CONTROLLER_ROLE not in roles and shared:
        raise ConfigError(
            f"Invalid value {','.join(shared)} for configuration controller.listener.names: must "
            "not contain a value appearing in listeners when running just the broker role"
        )
