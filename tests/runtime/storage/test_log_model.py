"""A log against a naive model of one: a list of batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pykbroker.state.errors import KafkaError
from pykbroker.state.log.checkpoints import Checkpoint
from pykbroker.state.log.producers import AppendOrigin
from tests.support.faulty_disk import FaultyDisk
from tests.support.storage import LogBox, batch
from wire.errors import ErrorCode
from wire.records.batch import iter_headers, verify_crc
from wire.records.record import ControlType, control_batch, decode_records

SEGMENT_BYTES = 700


@dataclass
class ModelBatch:
    base_offset: int
    values: list[bytes]
    timestamp: int
    epoch: int
    producer: tuple[int, int, int] | None = None
    """(id, epoch, first sequence)"""
    marker: int | None = None
    transactional: bool = False

    @property
    def last_offset(self) -> int:
        return self.base_offset + len(self.values) - 1


@dataclass
class Producer:
    producer_id: int
    next_sequence: int = 0
    open_since: int | None = None
    sent: list[tuple[int, list[bytes], int]] = field(default_factory=list)
    """(first sequence, values, first offset)"""


class LogMachine(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 2**16),
        retention_bytes=st.sampled_from([-1, 1500, 3000]),
        index_interval=st.sampled_from([0, 100, 4096]),
        capacity=st.sampled_from([2, 64]),
    )
    def start(self, seed: int, retention_bytes: int, index_interval: int, capacity: int) -> None:
        self.capacity = capacity
        self.rng = Random(seed)
        self.disk = FaultyDisk()
        self.box = LogBox(
            self.disk,
            internal_segment_bytes=SEGMENT_BYTES,
            retention_bytes=retention_bytes,
            retention_ms=-1,
            index_interval_bytes=index_interval,
        )
        # Small reads are shared like large ones.
        self.box.shared_from_bytes = self.box.context.recent.worth_bytes = 0
        self.consumers = [0, 0, 0]
        self.batches: list[ModelBatch] = []
        self.start_offset = 0
        self.end_offset = 0
        self.epoch = 0
        self.checkpoint = Checkpoint()
        self.producers: dict[int, Producer] = {}
        self.uncertain = False

    @property
    def log(self):
        return self.box.log

    # Changing

    def _append(self, model: ModelBatch, data: bytearray, origin: AppendOrigin) -> None:
        info = self.log.append_as_leader(data, self.epoch, self.box.clock.now_ms, origin=origin)
        assert (info.first_offset, info.duplicate) == (self.end_offset, False)
        assert info.last_offset == model.last_offset
        self.batches.append(model)
        self.end_offset = model.last_offset + 1

    @rule(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=6), later_ms=st.integers(0, 50))
    def append_plain(self, sizes: list[int], later_ms: int) -> None:
        self.box.clock.now_ms += later_ms
        now_ms = self.box.clock.now_ms
        values = [self.rng.randbytes(size) for size in sizes]
        model = ModelBatch(self.end_offset, values, now_ms, self.epoch)
        self._append(model, batch(*values, timestamp=now_ms), AppendOrigin.CLIENT)

    @rule(producer_id=st.integers(1, 3), count=st.integers(1, 4), transactional=st.booleans())
    def append_idempotent(self, producer_id: int, count: int, transactional: bool) -> None:
        producer = self.producers.setdefault(producer_id, Producer(producer_id))
        transactional = transactional or producer.open_since is not None
        values = [self.rng.randbytes(8) for _ in range(count)]
        first = producer.next_sequence
        model = ModelBatch(
            self.end_offset,
            values,
            self.box.clock.now_ms,
            self.epoch,
            (producer_id, 0, first),
            transactional=transactional,
        )
        data = batch(
            *values,
            timestamp=model.timestamp,
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=first,
            is_transactional=transactional,
        )
        self._append(model, data, AppendOrigin.CLIENT)
        producer.sent.append((first, values, model.base_offset))
        producer.next_sequence += count
        if transactional and producer.open_since is None:
            producer.open_since = model.base_offset

    @precondition(lambda self: any(p.sent for p in self.producers.values()))
    @rule(choice=st.randoms(use_true_random=False))
    def send_again(self, choice: Random) -> None:
        producer = choice.choice([p for p in self.producers.values() if p.sent])
        first, values, offset = producer.sent[-1]
        data = batch(
            *values, producer_id=producer.producer_id, producer_epoch=0, base_sequence=first
        )
        info = self.log.append_as_leader(data, self.epoch, self.box.clock.now_ms)
        assert info.duplicate
        assert (info.first_offset, info.last_offset) == (offset, offset + len(values) - 1)

    @precondition(lambda self: bool(self.producers))
    @rule(choice=st.randoms(use_true_random=False), skip=st.integers(1, 5))
    def send_out_of_order(self, choice: Random, skip: int) -> None:
        producer = choice.choice(list(self.producers.values()))
        data = batch(
            b"x",
            producer_id=producer.producer_id,
            producer_epoch=0,
            base_sequence=producer.next_sequence + skip,
            is_transactional=producer.open_since is not None,
        )
        with pytest.raises(KafkaError) as refused:
            self.log.append_as_leader(data, self.epoch, self.box.clock.now_ms)
        assert refused.value.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    @precondition(lambda self: any(p.open_since is not None for p in self.producers.values()))
    @rule(choice=st.randoms(use_true_random=False), commit=st.booleans())
    def end_transaction(self, choice: Random, commit: bool) -> None:
        producer = choice.choice([p for p in self.producers.values() if p.open_since is not None])
        kind = ControlType.COMMIT if commit else ControlType.ABORT
        data = control_batch(
            kind,
            timestamp=self.box.clock.now_ms,
            producer_id=producer.producer_id,
            producer_epoch=0,
        )
        model = ModelBatch(
            self.end_offset,
            [b""],
            self.box.clock.now_ms,
            self.epoch,
            (producer.producer_id, 0, -1),
            marker=int(kind),
        )
        self._append(model, data, AppendOrigin.COORDINATOR)
        producer.open_since = None

    @rule()
    def new_epoch(self) -> None:
        self.epoch += 1
        self.log.begin_epoch(self.epoch)

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule()
    def flush(self) -> None:
        self.log.flush()
        assert self.log.recovery_point == self.end_offset

    @rule(part=st.floats(0, 1))
    def commit(self, part: float) -> None:
        low = self.log.high_watermark
        offset = self._boundary(low + int((self.end_offset - low) * part))
        if offset >= low:
            self.log.update_high_watermark(offset)

    @rule(part=st.floats(0, 1))
    def delete_records(self, part: float) -> None:
        offset = int(self.log.high_watermark * part)
        self.log.advance_log_start_offset(offset)
        self.start_offset = max(self.start_offset, offset)

    @rule()
    def apply_retention(self) -> None:
        before = self.log.log_start_offset
        self.log.delete_old_segments(self.box.clock.now_ms)
        after = self.log.log_start_offset
        assert before <= after <= self.log.high_watermark
        self.start_offset = after
        first = self.log.segments[0].base_offset if self.log.segments else self.end_offset
        assert first <= after
        self.batches = [b for b in self.batches if b.last_offset >= first]

    @rule(part=st.floats(0, 1))
    def truncate(self, part: float) -> None:
        low = self.start_offset
        offset = self._boundary(low + int((self.end_offset - low) * part))
        self.log.truncate_to(offset)
        self._cut_model(offset)

    def _boundary(self, offset: int) -> int:
        """The nearest start of a batch that is not beyond, or the end."""
        starts = [b.base_offset for b in self.batches if b.base_offset <= offset]
        if offset >= self.end_offset or not starts:
            return self.end_offset
        return starts[-1]

    def _cut_model(self, offset: int) -> None:
        self.batches = [b for b in self.batches if b.base_offset < offset]
        self.consumers = [min(position, offset) for position in self.consumers]
        self.end_offset = offset
        self.start_offset = min(self.start_offset, offset)
        self._replay_producers()

    def _replay_producers(self) -> None:
        """The log has derived its state anew. From its start on it can do so for certain; of what
        lay before, a snapshot may or may not have told."""
        known: dict[int, Producer] = {}
        for model in self.batches:
            if model.producer is None or model.last_offset < self.start_offset:
                continue
            producer = known.setdefault(model.producer[0], Producer(model.producer[0]))
            if model.marker is not None:
                producer.open_since = None
                continue
            producer.next_sequence = model.producer[2] + len(model.values)
            producer.sent = [(model.producer[2], model.values, model.base_offset)]
            if model.transactional and producer.open_since is None:
                producer.open_since = model.base_offset
        for producer_id in self.producers.keys() | self.log.producers.entries.keys():
            entry = self.log.producers.entries.get(producer_id)
            producer = known.get(producer_id)
            if producer is None or not producer.sent:
                known.pop(producer_id, None)
                if entry is not None and entry.batches:
                    opened = entry.current_txn_first_offset
                    known[producer_id] = Producer(
                        producer_id, entry.last_sequence + 1, None if opened < 0 else opened
                    )
            else:
                before = self.producers.get(producer_id)
                if before and entry.current_txn_first_offset == before.open_since:
                    producer.open_since = before.open_since
        self.producers = known

    # Ending

    @rule()
    def note_checkpoint(self) -> None:
        self.checkpoint = self.log.checkpoint()

    @rule()
    def stop_cleanly(self) -> None:
        self.checkpoint = self.log.checkpoint()
        self.log.close()
        self.box.open(checkpoint=self.checkpoint, capacity=self.capacity)
        assert self.box.recovery is None
        for producer in self.producers.values():
            producer.sent = producer.sent[-1:]

    @rule()
    def kill(self) -> None:
        """Nothing that was given to the kernel is lost."""
        self.box.open(recover=True, checkpoint=self._stale(), capacity=self.capacity)
        assert self.box.recovery is None or self.box.recovery.cut_bytes == 0
        self._replay_producers()

    @rule(seed=st.integers(0, 2**16))
    def cut_power(self, seed: int) -> None:
        """What was synced stays; of the rest a prefix."""
        synced = min(self.log.recovery_point, self.end_offset)
        self.disk.power_cut(Random(seed))
        self.box.open(recover=True, checkpoint=self._stale(), capacity=self.capacity)
        end = self.log.log_end_offset
        assert synced <= end <= self.end_offset
        if end < self.end_offset:
            assert end == self._boundary(end)
            self._cut_model(end)
        self.start_offset = self.log.log_start_offset
        self._replay_producers()

    def _stale(self) -> Checkpoint:
        """As the last round of checkpoints left it; a truncation lowers it at once, in life by
        being written before the log goes on."""
        known = self.checkpoint
        self.checkpoint = Checkpoint(
            max(min(known.log_start_offset, self.end_offset), self.start_offset),
            min(known.recovery_point, self.log.recovery_point),
            min(known.high_watermark, self.log.high_watermark),
        )
        return self.checkpoint

    # What must always hold

    @invariant()
    def bounds(self) -> None:
        log = self.log
        assert log.log_start_offset == self.start_offset
        assert log.log_end_offset == self.end_offset
        assert (
            log.log_start_offset
            <= log.last_stable_offset
            <= log.high_watermark
            <= log.log_end_offset
        )
        assert log.recovery_point <= log.log_end_offset
        assert len(self.box.context.handles) <= max(self.capacity, 64)

    @invariant()
    def segments_are_in_order(self) -> None:
        bases = [segment.base_offset for segment in self.log.segments]
        assert bases == sorted(set(bases))
        assert all(s.size <= SEGMENT_BYTES for s in self.log.segments)
        assert [s.is_active for s in self.log.segments] == [False] * (len(bases) - 1) + (
            [True] if bases else []
        )

    @invariant()
    def epochs_tell_what_the_batches_say(self) -> None:
        for model in self.batches:
            if model.base_offset >= self.start_offset:
                assert self.log.leader_epochs.epoch_for_offset(model.base_offset) == model.epoch

    @invariant()
    def producers_are_known(self) -> None:
        for producer in self.producers.values():
            entry = self.log.producers.entries[producer.producer_id]
            assert entry.current_txn_first_offset == (
                -1 if producer.open_since is None else producer.open_since
            )
            assert entry.last_sequence == producer.next_sequence - 1
        opened = [p.open_since for p in self.producers.values() if p.open_since is not None]
        if opened:
            stable = self.log.last_stable_offset
            assert stable <= max(min(opened), self.start_offset)

    @rule(part=st.floats(0, 1), max_bytes=st.integers(0, 1200), at_least_one=st.booleans())
    def read_some(self, part: float, max_bytes: int, at_least_one: bool) -> None:
        low = self.start_offset
        offset = low + int((self.end_offset - low) * part)
        bound = self.rng.choice([None, self.log.high_watermark, self.end_offset])
        found = self.log.read(offset, max_bytes, upper_bound=bound, min_one_batch=at_least_one)
        end = self.end_offset if bound is None else bound
        expected = [b for b in self.batches if b.last_offset >= offset and b.last_offset < end]
        headers = [header for _, header in iter_headers(found.records)]
        assert [h.base_offset for h in headers] == [b.base_offset for b in expected[: len(headers)]]
        if offset < end and expected and at_least_one:
            assert headers
        if len(headers) > 1 or not at_least_one:
            assert len(found.records) <= max_bytes

    @rule(steps=st.integers(1, 6), max_bytes=st.sampled_from([100, 300]), who=st.integers(0, 2))
    def read_on(self, steps: int, max_bytes: int, who: int) -> None:
        """Consumers go on from where they were, several often from the same place."""
        for _ in range(steps):
            position = self.consumers[who]
            if not self.start_offset <= position < self.end_offset:
                self.consumers[who] = self.start_offset
                return
            records = self.log.read(position, max_bytes, min_one_batch=True).records
            expected = {b.base_offset: b for b in self.batches if b.last_offset >= position}
            assert len(records)
            for at, header in iter_headers(records):
                verify_crc(records, at)
                model = expected[header.base_offset]
                assert header.partition_leader_epoch == model.epoch
                if model.marker is None:
                    assert [r.value for r in decode_records(records, at)] == model.values
                self.consumers[who] = header.next_offset

    @rule()
    def read_everything(self) -> None:
        offset, found = self.start_offset, []
        while offset < self.end_offset:
            records = self.log.read(offset, 500, min_one_batch=True).records
            assert len(records)
            for position, header in iter_headers(records):
                verify_crc(records, position)
                if not header.is_control:
                    found += [
                        (r.offset, r.value, r.timestamp, header.partition_leader_epoch)
                        for r in decode_records(records, position)
                    ]
                offset = header.next_offset
        expected = [
            (b.base_offset + i, value, b.timestamp, b.epoch)
            for b in self.batches
            if b.last_offset >= self.start_offset and b.marker is None
            for i, value in enumerate(b.values)
        ]
        assert found == expected

    @rule(back_ms=st.integers(-10, 400))
    def look_up_a_time(self, back_ms: int) -> None:
        timestamp = self.box.clock.now_ms - back_ms
        found = self.log.offset_for_timestamp(timestamp)
        candidates = [
            (b.timestamp, max(b.base_offset, self.start_offset))
            for b in self.batches
            if b.timestamp >= timestamp and b.last_offset >= self.start_offset
        ]
        expected = candidates[0] if candidates else (-1, -1)
        assert (found.timestamp, found.offset) == expected

    @rule()
    def look_up_aborted(self) -> None:
        opened: dict[int, int] = {}
        expected = []
        for model in self.batches:
            if model.producer is None:
                continue
            if model.marker is None and model.transactional:
                opened.setdefault(model.producer[0], model.base_offset)
            elif model.marker is not None:
                first = opened.pop(model.producer[0], None)
                if first is not None and model.marker == ControlType.ABORT:
                    expected.append((model.producer[0], first, model.last_offset))
        found = {tuple(a[:3]) for a in self.log.aborted_between(0, self.end_offset + 1)}
        assert set(expected) <= found


TestLog = LogMachine.TestCase
TestLog.settings = settings(
    max_examples=max(60, settings().max_examples),
    stateful_step_count=40,
    # Without the phase that explains a failure: it takes longer than all the others.
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
)
