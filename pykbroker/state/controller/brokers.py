"""Brokers coming and going: registration, fencing, controlled shutdown, being forgotten.

A broker announces itself under its own lease; the controller answers with a registration, which
outlives the lease. Every incarnation starts fenced, is unfenced once it has caught up with the
metadata, and is fenced when its lease is gone.

The same incarnation may come back under another lease, as after an outage of the store that all
leases died of: as long as nobody has fenced it, nothing changes but its broker epoch. If all left
their ISRs then, one by one, the last to be heard of would stay, and it may be the one that is dead.

A new incarnation proves that its predecessor stopped cleanly by naming that one's broker epoch,
which is written down as the last step of a clean stop. Without the proof the tail of its logs may
be lost, and it is trusted with nothing: it leaves every ISR and ELR. The same if it has a log
directory less than before: nobody knows what lay there.

The registration is the last record of every decision here, so that one which was cut short is
taken up again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.decision import Decision, Note, View
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.keys import registration_key
from pykbroker.state.controller.leadership import broker_joins, broker_leaves
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NodeId
from wire.errors import ErrorCode
from wire.messages.broker_heartbeat import BrokerHeartbeatResponse
from wire.messages.metadata_records import BrokerEndpoint, BrokerFeature, RegisterBrokerRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pykbroker.state.controller.image import BrokerImage, MetadataImage
    from pykbroker.state.controller.replay import LiveBroker
    from wire.messages.broker_heartbeat import BrokerHeartbeatRequest
    from wire.messages.unregister_broker import (
        UnregisterBrokerRequest,
        UnregisterBrokerResponse,
    )


def next_to_settle(
    image: MetadataImage, live: Mapping[NodeId, LiveBroker], may_be_late: Collection[NodeId]
) -> NodeId | None:
    """A broker whose registration is not what its lease says: deal with it, then ask again.

    ``may_be_late``: brokers that have not been seen alive since the metadata was read, and may
    still come back, as after an outage of the store.
    """
    for node, broker in live.items():
        known = image.brokers.get(node)
        if known is None or known.epoch != broker.epoch:
            return node
    return next(_gone(image, live, may_be_late), None)


def _gone(
    image: MetadataImage, live: Mapping[NodeId, LiveBroker], may_be_late: Collection[NodeId]
) -> Iterator[NodeId]:
    for node, known in image.brokers.items():
        if node not in live and not known.fenced and node not in may_be_late:
            yield node


def settle(
    node: NodeId,
    view: View,
    live: Mapping[NodeId, LiveBroker],
    may_be_late: Collection[NodeId] = (),
) -> Decision[None]:
    """Register the incarnation that lives, or fence the one that does not."""
    broker = live.get(node)
    known = view.image.brokers.get(node)
    if broker is None:
        assert known is not None
        return _fence(known, view, frozenset(_gone(view.image, live, may_be_late)))
    if known is not None and known.incarnation_id == broker.record.incarnation_id:
        return _renew(known, broker)
    clean = (
        known is not None
        and broker.record.broker_epoch == known.epoch
        and set(known.log_dirs) <= set(broker.record.log_dirs)
    )
    elections = broker_leaves(view, node, lost_tail=not clean)
    record = RegisterBrokerRecord(
        broker_id=node,
        incarnation_id=broker.record.incarnation_id,
        broker_epoch=broker.epoch,
        end_points=broker.record.end_points,
        features=broker.record.features,
        rack=broker.record.rack,
        fenced=True,
        in_controlled_shutdown=False,
        log_dirs=broker.record.log_dirs,
    )
    fields = {"broker": node, "epoch": broker.epoch, "clean": clean or known is None}
    return Decision(
        None,
        [*elections.changes, Change(registration_key(node), record)],
        [*elections.notes, Note("broker registered", fields)],
    )


def _renew(known: BrokerImage, broker: LiveBroker) -> Decision[None]:
    """The same process lost its lease and took another: nothing it holds was lost. Unless that
    was noticed in time to fence it, it is what it was, and leads and follows as before."""
    renewed = known._replace(epoch=broker.epoch)
    change = _registration(
        renewed, fenced=known.fenced, in_controlled_shutdown=known.in_controlled_shutdown
    )
    note = Note("broker registered again", {"broker": known.node_id, "epoch": broker.epoch})
    return Decision(None, [change], [note])


def _fence(known: BrokerImage, view: View, gone: frozenset[NodeId] = frozenset()) -> Decision[None]:
    """``gone``: who is to be fenced as well. They leave an ISR together: one by one, the last of
    them would be all that is eligible, and it may not be the one that comes back whole."""
    elections = broker_leaves(view, known.node_id, lost_tail=False, gone=gone)
    change = _registration(known, fenced=True, in_controlled_shutdown=False)
    note = elections.note("broker fenced", known, is_warning=True)
    return Decision(None, [*elections.changes, change], [note, *elections.notes])


def broker_heartbeat(
    request: BrokerHeartbeatRequest, view: View
) -> Decision[BrokerHeartbeatResponse]:
    """A broker asks for its next state. Liveness is its lease; this is sent when it wants a
    change: to be unfenced once it has caught up with its own registration, to be fenced, or to
    shut down once it leads nothing any more.
    """
    known = view.image.brokers.get(NodeId(request.broker_id))
    if known is None:
        raise KafkaError(
            ErrorCode.BROKER_ID_NOT_REGISTERED,
            f"Broker ID {request.broker_id} is not currently registered.",
        )
    if known.epoch != request.broker_epoch:
        raise KafkaError(
            ErrorCode.STALE_BROKER_EPOCH,
            f"Expected broker epoch {known.epoch}, but got {request.broker_epoch}.",
        )
    caught_up = request.current_metadata_offset >= known.epoch
    response = BrokerHeartbeatResponse(is_caught_up=caught_up, is_fenced=known.fenced)
    if request.want_shut_down:
        return _shut_down(known, view, response)
    if request.want_fence:
        if known.fenced:
            return Decision(response)
        fencing = _fence(known, view)
        response.is_fenced = True
        return Decision(response, fencing.changes, fencing.notes)
    if not known.fenced or not caught_up:
        return Decision(response)
    elections = broker_joins(view, known.node_id)
    change = _registration(known, fenced=False, in_controlled_shutdown=False)
    note = elections.note("broker unfenced", known)
    response.is_fenced = False
    return Decision(response, [*elections.changes, change], [note, *elections.notes])


def _shut_down(
    known: BrokerImage, view: View, response: BrokerHeartbeatResponse
) -> Decision[BrokerHeartbeatResponse]:
    """Everything it leads moves in this one decision, so that it may stop with the answer."""
    response.should_shut_down = True
    if known.fenced or known.in_controlled_shutdown:
        return Decision(response)
    elections = broker_leaves(view, known.node_id, lost_tail=False)
    change = _registration(known, fenced=False, in_controlled_shutdown=True)
    note = elections.note("controlled shutdown", known)
    return Decision(response, [*elections.changes, change], [note, *elections.notes])


def unregister_broker(
    request: UnregisterBrokerRequest, view: View
) -> Decision[UnregisterBrokerResponse]:
    from wire.messages.unregister_broker import UnregisterBrokerResponse

    node = NodeId(request.broker_id)
    if node not in view.image.brokers:
        raise KafkaError(
            ErrorCode.BROKER_ID_NOT_REGISTERED, f"Broker ID {node} is not currently registered"
        )
    # Whatever comes back under this id later has nothing to prove its logs by.
    elections = broker_leaves(view, node, lost_tail=True)
    return Decision(
        UnregisterBrokerResponse(error_message=None),
        [*elections.changes, Change(registration_key(node), None)],
        [*elections.notes, Note("broker unregistered", {"broker": node})],
    )


def _registration(known: BrokerImage, *, fenced: bool, in_controlled_shutdown: bool) -> Change:
    record = RegisterBrokerRecord(
        broker_id=known.node_id,
        incarnation_id=known.incarnation_id,
        broker_epoch=known.epoch,
        end_points=[
            BrokerEndpoint(
                name=e.listener, host=e.host, port=e.port, security_protocol=e.security_protocol
            )
            for e in known.endpoints
        ],
        features=[
            BrokerFeature(name=name, min_supported_version=low, max_supported_version=high)
            for name, (low, high) in known.features.items()
        ],
        rack=known.rack,
        fenced=fenced,
        in_controlled_shutdown=in_controlled_shutdown,
        log_dirs=list(known.log_dirs),
    )
    return Change(registration_key(known.node_id), record)
