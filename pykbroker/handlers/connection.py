"""One client connection, sans I/O: bytes in, responses out in the order of their requests.

A request is handled as soon as its frame is whole. Its response may come later (a Deferral, or an
``async def`` handler); the responses behind it wait in line. A request whose handler is a
coroutine holds back the requests behind it as well: it may change what they are about to read.

Whoever breaks the protocol is answered what was asked before, and then the connection closes.

Reading stops while too much is unanswered, unsent or muted by a quota; the kernel's receive
window then slows the client. One read is one turn, so the size of the receive buffer is also the
byte budget of a turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.handlers.api import CloseConnection, Connection, Context
from pykbroker.handlers.registry import Heading
from pykbroker.log import DEBUG, get_logger
from pykbroker.runtime.waiters import Deferral
from pykbroker.state.errors import KafkaError
from wire.apis import API_BY_KEY
from wire.errors import DecodeError, EncodeError, ErrorCode
from wire.frame import FrameError, FrameReader, request_header
from wire.schema import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pykbroker.handlers.connections import Connections
    from pykbroker.handlers.registry import Route
    from pykbroker.ports import Peer, TimerHandle, Transport
    from pykbroker.runtime.request_counts import RequestTiming
    from pykbroker.runtime.services import Services
    from wire.frame import RequestHeader
    from wire.schema import Buffer, Request

logger = get_logger("pykbroker.handlers.connection")

PIPELINE_LIMIT = 128
"""Unanswered requests of one connection; Kafka's clients keep five to a hundred in flight."""
UNSENT_LIMIT_BYTES = 4 * 1024 * 1024
FLUSH_FROM_BYTES = 256 * 1024


class ListenerCounts:
    """What the connections of one listener have done since the start."""

    __slots__ = ("bytes_in", "bytes_out", "closed", "opened", "requests")

    def __init__(self) -> None:
        self.opened = self.closed = self.requests = self.bytes_in = self.bytes_out = 0


class Slot:
    """A place in the line of responses. ``buffers`` is None until its response is there."""

    __slots__ = ("buffers", "context", "deferral", "request_bytes", "route")

    def __init__(self, route: Route, context: Context) -> None:
        self.route = route
        self.context = context
        self.buffers: list[Buffer] | None = None
        self.deferral: Deferral[Any] | None = None
        self.request_bytes = context.request_bytes


class ClientConnection:
    """What the listener drives; see ``ports.ConnectionProtocol``."""

    def __init__(
        self,
        broker: Services,
        table: Connections,
        transport: Transport,
        peer: Peer,
        number: int,
        counts: ListenerCounts,
    ) -> None:
        self.client = Connection(peer, number)
        self.last_active_ms = broker.clock.monotonic_ms()
        self._read_ns = 0
        """When the last bytes came; also in milliseconds above."""
        self.frame_since_ms = -1
        """Since when more of the frame that is still incomplete is waited for; -1 between frames
        and while nothing is read."""
        self._broker = broker
        self._monotonic_ns = broker.clock.monotonic_ns
        self._table = table
        self._counts = counts
        self._heading: Heading | None = None
        """That of the last request."""
        self._wakeups = broker.replicas.wakeups
        self._transport = transport
        self._reader = FrameReader(table.max_request_bytes, table.shared_buffer)
        self.get_buffer = self._reader.get_buffer
        self._frames: list[memoryview] = []
        """Not handled yet, the next one last."""
        self._slots: list[Slot] = []
        """The line of responses, seldom long. A list takes a tenth of the room of a deque."""
        self._out: list[Buffer] = []
        self._answered_bytes = 0
        """Of responses that are ready and not yet handed to the transport."""
        self._timed: list[Context] = []
        """Timed requests whose responses are about to be handed to the transport."""
        self._in_turn = False
        self._serial = False
        self._paused = False
        self._suspended = False
        self._mute_timer: TimerHandle | None = None
        self._muted_until_ms = -1
        self._unreadable: FrameError | None = None
        """What comes behind the frames that are here."""
        self._ending = False
        """Nothing more is read or handled: it closes behind the answers that are still due."""
        self._open = True

    # The listener calls these, and get_buffer.

    def buffer_updated(self, size: int) -> None:
        if self._unreadable is not None or self._ending:
            return
        self._read_ns = now_ns = self._monotonic_ns()
        self.last_active_ms = now_ns // 1_000_000
        self._counts.bytes_in += size
        reader = self._reader
        try:
            frames = reader.buffer_updated(size)
        except FrameError as error:
            frames, self._unreadable = error.frames_before, error
        if reader.is_sharing or not reader.pending:
            self.frame_since_ms = -1
        elif frames or self.frame_since_ms < 0:
            self.frame_since_ms = self.last_active_ms
        self._counts.requests += len(frames)
        if len(frames) > 1:
            frames.reverse()
        # Those before are handled, nearly always: nothing is read while any wait.
        self._frames = frames + self._frames if self._frames else frames
        self._turn()

    def writable(self) -> None:
        self._turn()

    def closed(self) -> None:
        if not self._open:
            return
        self._open = False
        self._table.forget(self)
        if self._mute_timer is not None:
            self._mute_timer.cancel()
        for slot in self._slots:
            self._table.release(slot.request_bytes)
            if slot.buffers is None:
                slot.route.answered.passed_on()  # to nowhere: it is never answered
            if slot.deferral is not None:
                slot.deferral.abandon()
        self._slots.clear()
        self._frames.clear()
        self._broker.fetch_sessions.connection_closed(self.client.number)
        self._broker.telemetry.connection_closed(self.client.number)

    # What the table of connections asks.

    @property
    def is_idle(self) -> bool:
        return not self._slots and not self._frames

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def wake(self) -> None:
        """Memory for requests is free again."""
        self._turn()

    def suspend(self) -> None:
        """Read nothing until ``resume``: there is no room for it yet."""
        self._suspended = True
        self._adjust_reading()

    def resume(self, delay_ms: int) -> None:
        """Serve it, ``delay_ms`` from now."""
        self._suspended = False
        if delay_ms > 0:
            self._mute(delay_ms)
        self._turn()

    # Inside.

    def _turn(self) -> None:
        """Handle every whole frame that may be handled now, then write what became ready. Whoever
        waited for what was asked here is answered after that: the one who asked comes first."""
        if self._in_turn or not self._open:
            return
        if not self._frames:
            self._end_turn()
            return
        self._wakeups.hold()
        self._in_turn = True
        try:
            while self._frames and self._open and not self._is_held():
                self._handle(self._frames.pop())
                if self._answered_bytes > FLUSH_FROM_BYTES:
                    self._flush()
            self._in_turn = False
            self._end_turn()
        finally:
            self._in_turn = False
            self._wakeups.release()

    def _end_turn(self) -> None:
        if self._open:
            if self._unreadable is not None and not self._frames and not self._ending:
                self._refuse("frame refused", self._unreadable)
            self._flush()
            if self._ending and not self._slots:
                self._transport.close()
                self.closed()
            else:
                self._adjust_reading()

    def _is_held(self) -> bool:
        table = self._table
        return (
            self._serial
            or self._ending
            or self._suspended
            or self._mute_timer is not None
            or len(self._slots) >= PIPELINE_LIMIT
            or self._transport.unsent + self._answered_bytes > UNSENT_LIMIT_BYTES
            or (table.is_full and table.let_wait(self))
        )

    def _adjust_reading(self) -> None:
        held = bool(self._frames) or self._is_held()
        if held and not self._paused:
            self._paused = True
            self.frame_since_ms = -1
            self._transport.pause_reading()
        elif self._paused and not held:
            self._paused = False
            if self._reader.pending:
                self.frame_since_ms = self._broker.clock.monotonic_ms()
            self._transport.resume_reading()

    def _handle(self, frame: memoryview) -> None:
        heading = self._heading
        correlation_id = None if heading is None else heading.correlation_id(frame)
        if heading is None or correlation_id is None:
            try:
                header, body_at = request_header(frame)
                peer = self.client.peer
                is_privileged = self._table.is_privileged(peer.listener)
                found = self._table.routes.find(
                    header.api_key, header.api_version, is_privileged=is_privileged
                )
            except DecodeError as error:
                self._refuse("request refused", error)
                return
            if found is None:
                self._answer_unknown_api_versions(header, len(frame))
                return
            correlation_id = header.correlation_id
            heading = self._heading = Heading(found, header, frame, body_at)
        route = heading.route
        context = Context(
            self._broker,
            self.client,
            route.api_key,
            route.version,
            heading.client_id,
            correlation_id,
            self.last_active_ms,
            len(frame),
        )
        answered = route.answered
        if answered.left <= 0:
            context.timing = answered.begin(self._read_ns, self._monotonic_ns())
        answered.left -= 1
        try:
            read = route.read
            request = read(frame, heading.body_at)
        except DecodeError as error:
            answered.passed_on()  # to nowhere
            self._refuse(f"{route.api.name} refused", error)
            return
        self._dispatch(route, request, context)

    def _dispatch(self, route: Route, request: Request, context: Context) -> None:
        broker = self._broker
        begun_ns = broker.clock.monotonic_ns() if broker.quotas.measures_time else 0
        try:
            handle = route.handle
            answer = handle(request, context)
        except CloseConnection:
            self._end()
            return
        except Exception as error:
            answer = self._failure(request, context, error)
        if begun_ns:
            context.busy_ns = broker.clock.monotonic_ns() - begun_ns
        if type(answer) is route.response or isinstance(answer, Response):
            buffers = self._written(route, context, answer)
            if not self._slots:
                self._out += buffers
                if context.timing is not None:
                    self._timed.append(context)
                return
            slot = Slot(route, context)
            slot.buffers = buffers
        elif answer is None:
            throttle_ms = broker.quotas.request_done(context, None)
            if context.timing is not None:
                self._ready(context.timing, throttle_ms)
                self._handed_on([context], context.timing.ready_ns)
            if throttle_ms > 0:
                self._mute(throttle_ms)
            return
        else:
            slot = Slot(route, context)
            if context.timing is not None:
                context.timing.handled_ns = broker.clock.monotonic_ns()
            if isinstance(answer, Deferral):
                slot.deferral = answer
            else:
                self._serial = True
                broker.spawn(self._await, request, slot, answer)
        self._slots.append(slot)
        self._table.hold(slot.request_bytes)
        if slot.deferral is not None:
            slot.deferral.when_done(lambda response: self._deferred(slot, response))

    def _deferred(self, slot: Slot, response: Response | None) -> None:
        slot.deferral = None
        if not self._open:
            return
        slot.buffers = [] if response is None else self._written(slot.route, slot.context, response)
        if not self._in_turn:
            self._turn()

    async def _await(self, request: Request, slot: Slot, answer: Awaitable[Response]) -> None:
        try:
            response = await answer
        except Exception as error:
            response = self._failure(request, slot.context, error)
        self._serial = False
        self._deferred(slot, response)

    def _failure(self, request: Request, context: Context, error: Exception) -> Response:
        from pykbroker.handlers.error_response import error_response

        if isinstance(error, KafkaError):
            return error_response(request, error.code, error.message, context.api_version)
        logger.error(
            "request failed",
            api=API_BY_KEY[context.api_key].name,
            version=context.api_version,
            client_id=context.client_id,
            error=error,
        )
        return error_response(request, ErrorCode.UNKNOWN_SERVER_ERROR, None, context.api_version)

    def _written(self, route: Route, context: Context, response: Response) -> list[Buffer]:
        quotas = self._broker.quotas
        throttle_ms = quotas.request_done(context, response) if quotas.active else 0
        answered = route.answered
        if context.is_exempt:
            answered.passed_on()
            answered = self._table.requests.of(route.api_key, route.version, is_broker=True)
            answered.left -= 1
        if context.told_none:
            answered.told_none += context.told_none
        else:
            note = answered.note
            note(response, answered)
        try:
            write = route.write
            buffers = write(response, context.correlation_id)
        except EncodeError as error:
            # A defect of ours. The client cannot be answered; it shall not wait either.
            logger.error("response cannot be written", client_id=context.client_id, error=error)
            self._transport.close()
            return []
        if throttle_ms > 0:
            self._mute(throttle_ms)
        self._answered_bytes += len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))
        if context.timing is not None:
            self._ready(context.timing, throttle_ms)
        return buffers

    def _mute(self, throttle_ms: int) -> None:
        """KIP-219: the answer leaves at once, then the channel is silent for the throttle time,
        or for what is left of a longer one."""
        until = self._broker.clock.monotonic_ms() + throttle_ms
        if self._mute_timer is not None:
            if until <= self._muted_until_ms:
                return
            self._mute_timer.cancel()
        self._muted_until_ms = until
        self._mute_timer = self._broker.clock.call_at(until, self._unmute)

    def _unmute(self) -> None:
        self._mute_timer = None
        self._turn()

    def _flush(self) -> None:
        slots = self._slots
        while slots and slots[0].buffers is not None:
            slot = slots.pop(0)
            self._table.release(slot.request_bytes)
            self._out.extend(slot.buffers or ())
            if slot.context.timing is not None:
                self._timed.append(slot.context)
        if self._out:
            out, self._out = self._out, []
            size = sum(map(len, out)) if slots else self._answered_bytes
            self._answered_bytes -= size
            self._counts.bytes_out += size
            if not self._timed:
                self._transport.write(out)
                return
            timed, self._timed = self._timed, []
            begun_ns = self._broker.clock.monotonic_ns()
            self._transport.write(out)
            self._handed_on(timed, begun_ns)

    def _ready(self, timing: RequestTiming, throttle_ms: int) -> None:
        timing.ready_ns = self._broker.clock.monotonic_ns()
        timing.throttle_ms = throttle_ms

    def _handed_on(self, timed: list[Context], begun_ns: int) -> None:
        now_ns = self._broker.clock.monotonic_ns()
        for context in timed:
            timing = context.timing
            if timing is not None and timing.ready_ns:
                self._table.requests.times.done(
                    timing, context.request_bytes, begun_ns, now_ns, is_broker=context.is_exempt
                )

    def _answer_unknown_api_versions(self, header: RequestHeader, size: int) -> None:
        """KIP-511: version 0, UNSUPPORTED_VERSION, and the one range the client then needs."""
        from pykbroker.handlers.api_versions import unsupported_version_response

        route = self._table.routes.find(header.api_key, 0, is_privileged=False)
        assert route is not None
        context = Context(
            self._broker,
            self.client,
            header.api_key,
            0,
            header.client_id,
            header.correlation_id,
            self.last_active_ms,
            size,
        )
        route.answered.left -= 1
        slot = Slot(route, context)
        slot.buffers = self._written(route, context, unsupported_version_response())
        self._slots.append(slot)
        self._table.hold(slot.request_bytes)

    def _refuse(self, event: str, error: DecodeError) -> None:
        """The peer broke the protocol, or asked for what is not there: there is no answer to it."""
        if logger.is_enabled(DEBUG):
            peer = self.client.peer
            logger.debug(event, reason=str(error), peer=f"{peer.host}:{peer.port}")
        self._table.count_refused()
        self._end()

    def _end(self) -> None:
        """From within a turn, which closes the connection once nothing is due any more."""
        self._ending = True
        self._frames.clear()
