"""DescribeClientQuotas, AlterClientQuotas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk

Entity = dict[str, str | None]


def entity(parts: Entity) -> list[Body]:
    return [{"entity_type": kind, "entity_name": name} for kind, name in parts.items()]


def altering(parts: Entity, *ops: tuple[str, float | None], **more: Any) -> Body:
    """A value of None takes the quota away."""
    changes = [{"key": key, "value": value or 0.0, "remove": value is None} for key, value in ops]
    return {"entries": [{"entity": entity(parts), "ops": changes}], "validate_only": False} | more


def describing(*components: tuple[str, int, str | None], strict: bool = False) -> Body:
    """Match type 0 is exact, 1 the default, 2 any."""
    return {
        "components": [
            {"entity_type": kind, "match_type": how, "match": match}
            for kind, how, match in components
        ],
        "strict": strict,
    }


@case("client-quotas/life", api="alter_client_quotas")
def life(t: Talk, v: int) -> None:
    name = t.name("c")
    mine = describing(("client-id", 0, name))
    changes: dict[str, list[tuple[str, float | None]]] = {
        "set": [("producer_byte_rate", 1000.0)],
        "another": [("consumer_byte_rate", 2000.5)],
        "two": [("producer_byte_rate", 5.0), ("request_percentage", 50.0)],
        "one taken away": [("producer_byte_rate", None)],
        "again": [("producer_byte_rate", None)],
        "the rest": [("consumer_byte_rate", None), ("request_percentage", None)],
    }
    for label, ops in changes.items():
        t.ask("alter_client_quotas", v, altering({"client-id": name}, *ops), label=label)
        t.settle()
        t.ask("describe_client_quotas", v, mine, label=f"{label}, described")
    body = altering({"client-id": name}, ("producer_byte_rate", 7.0), validate_only=True)
    t.ask("alter_client_quotas", v, body, label="checked only")
    t.ask("describe_client_quotas", v, mine, label="checked only, described")


@case("client-quotas/refused", api="alter_client_quotas")
def refused(t: Talk, v: int) -> None:
    name = t.name("c")
    rate = ("producer_byte_rate", 1000.0)
    for label, body in {
        "no entity": altering({}, rate),
        "unknown entity": altering({"planet": name}, rate),
        "empty type": altering({"": name}, rate),
        "empty name": altering({"client-id": ""}, rate),
        "unknown key": altering({"client-id": name}, ("no_such", 1.0)),
        "empty key": altering({"client-id": name}, ("", 1.0)),
        "zero": altering({"client-id": name}, ("producer_byte_rate", 0.0)),
        "negative": altering({"client-id": name}, ("producer_byte_rate", -1.0)),
        "fraction": altering({"client-id": name}, ("producer_byte_rate", 0.5)),
        "not a number": altering({"client-id": name}, ("producer_byte_rate", float("nan"))),
        "infinite": altering({"client-id": name}, ("producer_byte_rate", float("inf"))),
        "huge": altering({"client-id": name}, ("producer_byte_rate", 1e30)),
        "user and ip": altering({"user": name, "ip": "127.0.0.9"}, rate),
        "ip with a rate": altering({"ip": "127.0.0.9"}, rate),
        "client with connections": altering({"client-id": name}, ("connection_creation_rate", 5.0)),
        "no changes": altering({"client-id": name}),
        "same key twice": altering({"client-id": name}, rate, ("producer_byte_rate", 2.0)),
        "nothing": {"entries": [], "validate_only": False},
        "removed what is unknown": altering({"client-id": name}, ("no_such", None)),
    }.items():
        t.try_ask("alter_client_quotas", v, body, label=label)
    twice = altering({"client-id": name}, rate)
    twice["entries"][0]["entity"] *= 2
    t.ask("alter_client_quotas", v, twice, label="type twice")
    t.settle()
    t.ask("describe_client_quotas", v, describing(("client-id", 0, name)), label="described")
    gone = altering({"client-id": name}, ("producer_byte_rate", None))
    t.ask("alter_client_quotas", v, gone, label="taken away")


@case("client-quotas/match", api="describe_client_quotas", alone=True)
def match(t: Talk, v: int) -> None:
    one, two = t.name("u"), t.name("c")
    made: list[Entity] = [
        {"user": one},
        {"user": one, "client-id": two},
        {"client-id": two},
        {"user": None},
        {"user": None, "client-id": None},
    ]
    for parts in made:
        t.quiet("alter_client_quotas", 0, altering(parts, ("producer_byte_rate", 1e9)))
    t.settle()
    for label, body in {
        "user": describing(("user", 0, one)),
        "user alone": describing(("user", 0, one), strict=True),
        "client": describing(("client-id", 0, two)),
        "client alone": describing(("client-id", 0, two), strict=True),
        "both": describing(("user", 0, one), ("client-id", 0, two)),
        "default user": describing(("user", 1, None)),
        "default user alone": describing(("user", 1, None), strict=True),
        "any user, this client": describing(("user", 2, None), ("client-id", 0, two)),
        "any user alone": describing(("user", 2, None), strict=True),
        "any ip": describing(("ip", 2, None)),
        "all": describing(),
        "all, strict": describing(strict=True),
        "unknown type": describing(("planet", 2, None)),
        "empty type": describing(("", 2, None)),
        "type twice": describing(("user", 0, one), ("user", 0, two)),
        "match type 9": describing(("user", 9, one)),
        "exact without a name": describing(("user", 0, None)),
        "default with a name": describing(("user", 1, one)),
        "any with a name": describing(("user", 2, one)),
        "user and ip": describing(("user", 2, None), ("ip", 2, None)),
        "empty name": describing(("user", 0, "")),
    }.items():
        t.try_ask("describe_client_quotas", v, body, label=label)
    for parts in made:
        t.quiet("alter_client_quotas", 0, altering(parts, ("producer_byte_rate", None)))
