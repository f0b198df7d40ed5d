"""What a broker may not have yet: said in the matrix, so that nobody has to guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.suite import behaviour

if TYPE_CHECKING:
    from compat.case import Case


@behaviour("Transactions (KIP-98, KIP-890).", apis=("AddPartitionsToTxn", "EndTxn"))
def transactions(case: Case) -> None:
    case.unavailable("not covered by this suite yet")


@behaviour(
    "The consumer rebalance protocol (KIP-848): group.protocol=consumer.",
    apis=("ConsumerGroupHeartbeat",),
)
def consumer_group_protocol(case: Case) -> None:
    case.unavailable("not covered by this suite yet")


@behaviour("Share groups (KIP-932).", apis=("ShareGroupHeartbeat",))
def share_groups(case: Case) -> None:
    case.unavailable("not covered by this suite yet")


@behaviour("Streams groups (KIP-1071).", apis=("StreamsGroupHeartbeat",))
def streams_groups(case: Case) -> None:
    case.unavailable("not covered by this suite yet")


@behaviour("ACLs: describeAcls, createAcls, deleteAcls.", apis=("DescribeAcls",))
def acls(case: Case) -> None:
    case.unavailable("not covered by this suite yet")


@behaviour("SASL: PLAIN, SCRAM, OAUTHBEARER.", apis=("SaslHandshake",))
def sasl(case: Case) -> None:
    case.unavailable("not covered by this suite yet")
