"""Idempotence and transactions as one log sees them (replication-notes 6 and 7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.errors import KafkaError
from pykbroker.state.log.producer_snapshot import (
    CorruptSnapshot,
    decode_snapshot,
    encode_snapshot,
)
from pykbroker.state.log.producers import (
    MAX_SEQUENCE,
    AppendOrigin,
    CompletedTxn,
    ProducerState,
    decrement_sequence,
    increment_sequence,
)
from wire.errors import ErrorCode

PID = 42


class Scenario:
    """Appends one batch after the other, as a log would."""

    def __init__(self) -> None:
        self.state = ProducerState()
        self.offset = 0

    def send(
        self,
        first: int,
        count: int = 1,
        *,
        epoch: int = 0,
        producer_id: int = PID,
        transactional: bool = False,
        origin: AppendOrigin = AppendOrigin.CLIENT,
    ) -> int:
        last = increment_sequence(first, count - 1) if first >= 0 else -1
        duplicate = self.state.find_duplicate(producer_id, epoch, first, last)
        if duplicate is not None and origin is AppendOrigin.CLIENT:
            return duplicate.first_offset
        self.state.check_data(producer_id, epoch, first, transactional, origin)
        return self.store(last, count, epoch, producer_id, transactional)

    def store(
        self, last: int, count: int, epoch: int, producer_id: int, transactional: bool
    ) -> int:
        first_offset = self.offset
        self.offset += count
        self.state.append_data(
            producer_id, epoch, last, first_offset, self.offset - 1, 1000, transactional
        )
        return first_offset

    def mark(
        self,
        *,
        epoch: int = 0,
        producer_id: int = PID,
        coordinator_epoch: int = 0,
        abort: bool = False,
        version: int = 0,
    ) -> CompletedTxn | None:
        self.state.check_marker(producer_id, epoch, coordinator_epoch, version)
        completed = self.state.append_marker(
            producer_id, epoch, coordinator_epoch, self.offset, 2000, abort
        )
        self.offset += 1
        if completed is not None:
            self.state.complete_txn(completed)
        return completed


@pytest.fixture
def log() -> Scenario:
    return Scenario()


def refused(code: ErrorCode, *arguments: object, log: Scenario, **options: object) -> None:
    before = log.offset
    with pytest.raises(KafkaError) as error:
        log.send(*arguments, **options)  # type: ignore[arg-type]
    assert error.value.code is code
    assert log.offset == before


def test_an_unknown_producer_may_begin_anywhere(log: Scenario) -> None:
    """KIP-360: its batches may have been deleted."""
    log.send(17)
    assert log.state.entries[PID].last_sequence == 17


def test_batches_follow_each_other(log: Scenario) -> None:
    log.send(0, 3)
    assert log.send(3, 2) == 3
    refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 6, log=log)
    refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 4, log=log)
    assert log.send(5) == 5


def test_each_of_the_last_five_batches_is_known_again_with_its_offset(log: Scenario) -> None:
    offsets = [log.send(sequence) for sequence in range(7)]
    for sequence in range(2, 7):
        assert log.send(sequence) == offsets[sequence]
    assert log.offset == 7
    refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 1, log=log)


def test_only_the_same_range_of_sequences_is_a_duplicate(log: Scenario) -> None:
    log.send(0, 3)
    refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 0, 2, log=log)
    refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 1, 2, log=log)


def test_an_older_epoch_is_fenced_even_with_a_known_sequence(log: Scenario) -> None:
    log.send(0, epoch=1)
    refused(ErrorCode.INVALID_PRODUCER_EPOCH, 0, epoch=0, log=log)


def test_a_newer_epoch_begins_at_zero(log: Scenario) -> None:
    log.send(5)
    refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 6, epoch=1, log=log)
    assert log.send(0, epoch=1) == 1
    assert len(log.state.entries[PID].batches) == 1
    refused(ErrorCode.INVALID_PRODUCER_EPOCH, 6, epoch=0, log=log)


def test_sequences_wrap_around(log: Scenario) -> None:
    log.send(MAX_SEQUENCE - 1, 3)
    assert log.state.entries[PID].last_sequence == 0
    assert log.send(MAX_SEQUENCE - 1, 3) == 0
    assert log.send(1) == 3


@given(st.integers(0, MAX_SEQUENCE), st.integers(0, MAX_SEQUENCE))
def test_incrementing_and_decrementing_undo_each_other(sequence: int, by: int) -> None:
    assert 0 <= increment_sequence(sequence, by) <= MAX_SEQUENCE
    assert decrement_sequence(increment_sequence(sequence, by), by) == sequence


def test_what_a_coordinator_writes_has_no_sequences_but_an_epoch(log: Scenario) -> None:
    log.send(-1, epoch=2, origin=AppendOrigin.COORDINATOR, transactional=True)
    log.send(-1, epoch=2, origin=AppendOrigin.COORDINATOR, transactional=True)
    refused(
        ErrorCode.INVALID_PRODUCER_EPOCH,
        -1,
        epoch=1,
        origin=AppendOrigin.COORDINATOR,
        transactional=True,
        log=log,
    )


def test_a_plain_batch_inside_a_transaction_is_refused(log: Scenario) -> None:
    log.send(0, transactional=True)
    refused(ErrorCode.INVALID_TXN_STATE, 1, log=log)
    log.send(1, transactional=True)
    log.mark()
    log.send(2)


def test_the_first_unstable_offset_is_that_of_the_oldest_open_transaction(log: Scenario) -> None:
    state = log.state
    assert state.first_unstable_offset is None
    log.send(0)
    log.send(0, 2, producer_id=1, transactional=True)
    log.send(0, producer_id=2, transactional=True)
    assert state.first_unstable_offset == 1
    log.mark(producer_id=2)
    assert state.first_unstable_offset == 1
    log.mark(producer_id=1)
    # Both markers are in the log, but not yet on the other replicas.
    assert state.first_unstable_offset == 1
    state.on_high_watermark(5)
    assert state.first_unstable_offset == 1
    state.on_high_watermark(6)
    assert state.first_unstable_offset is None


def test_the_stable_offset_of_an_ended_transaction_is_the_next_open_one(log: Scenario) -> None:
    log.send(0, producer_id=1, transactional=True)
    log.send(0, producer_id=2, transactional=True)
    completed = log.state.append_marker(1, 0, 0, log.offset, 0, True)
    assert completed == CompletedTxn(1, 0, 2, True)
    assert log.state.last_stable_offset(completed) == 1
    log.state.complete_txn(completed)
    other = log.state.append_marker(2, 0, 0, 3, 0, False)
    assert other is not None
    assert log.state.last_stable_offset(other) == 4


def test_a_marker_without_a_transaction_completes_nothing_but_fences(log: Scenario) -> None:
    assert log.mark(epoch=3) is None
    assert log.state.entries[PID].epoch == 3
    refused(ErrorCode.INVALID_PRODUCER_EPOCH, 0, epoch=2, log=log)
    # The marker has no sequence: what follows under its epoch begins at zero.
    refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 1, epoch=3, log=log)
    log.send(0, epoch=3)


def test_sequences_go_on_behind_a_marker_of_the_same_epoch(log: Scenario) -> None:
    log.send(0, 2, transactional=True)
    log.mark()
    refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 5, log=log)
    assert log.send(0, 2) == 0
    log.send(2)


def test_markers_of_an_older_coordinator_are_fenced(log: Scenario) -> None:
    log.send(0, transactional=True)
    log.mark(coordinator_epoch=5)
    with pytest.raises(KafkaError) as error:
        log.mark(coordinator_epoch=4)
    assert error.value.code is ErrorCode.TRANSACTION_COORDINATOR_FENCED


@pytest.mark.parametrize(
    ("version", "epoch", "passes"), [(0, 1, True), (2, 1, False), (2, 2, True)]
)
def test_from_transaction_version_2_on_a_marker_has_a_higher_epoch(
    log: Scenario, version: int, epoch: int, passes: bool
) -> None:
    """KIP-890: otherwise a late marker would end the next transaction."""
    log.send(0, epoch=1, transactional=True)
    if passes:
        assert log.mark(epoch=epoch, version=version) is not None
        return
    with pytest.raises(KafkaError) as error:
        log.mark(epoch=epoch, version=version)
    assert error.value.code is ErrorCode.INVALID_PRODUCER_EPOCH


def test_a_marker_of_an_older_producer_epoch_is_fenced(log: Scenario) -> None:
    log.send(0, epoch=1, transactional=True)
    with pytest.raises(KafkaError) as error:
        log.mark(epoch=0)
    assert error.value.code is ErrorCode.INVALID_PRODUCER_EPOCH


def test_idle_producers_expire_but_not_within_a_transaction(log: Scenario) -> None:
    log.send(0)
    log.send(0, producer_id=1, transactional=True)
    assert log.state.remove_expired(1000 + 99, 100) == 0
    assert log.state.remove_expired(1000 + 100, 100) == 1
    assert list(log.state.entries) == [1]
    log.send(9)


def test_open_transactions_are_asked_for_by_id_and_epoch(log: Scenario) -> None:
    log.send(0, epoch=1, transactional=True)
    state = log.state
    assert state.has_open_transaction(PID, 1)
    assert not state.has_open_transaction(PID, 0)
    assert not state.has_open_transaction(1, 1)


def test_a_snapshot_brings_the_state_back(log: Scenario) -> None:
    log.send(3, 2)
    log.send(0, producer_id=1, epoch=4, transactional=True)
    log.mark(producer_id=2, epoch=1, coordinator_epoch=8)
    data = encode_snapshot(log.state.entries.values())
    restored = Scenario()
    restored.offset = log.offset
    restored.state.load(decode_snapshot(data), log.offset)
    assert encode_snapshot(restored.state.entries.values()) == data
    assert restored.state.first_unstable_offset == log.state.first_unstable_offset == 2
    assert restored.send(3, 2) == 0
    assert restored.send(5) == log.offset
    refused(ErrorCode.INVALID_PRODUCER_EPOCH, 0, epoch=3, producer_id=1, log=restored)
    assert restored.mark(producer_id=1, epoch=4) is not None


def test_a_snapshot_written_by_kafka_is_read() -> None:
    """One producer, as Apache Kafka 4.4 wrote it."""
    data = bytes.fromhex(
        "0001fb5e944c00000001000000000000000000000000005c000000000000005c0000005c"
        "000001a20a3476d6ffffffffffffffffffffffff"
    )
    (entry,) = decode_snapshot(data)
    assert (entry.producer_id, entry.epoch, entry.last_sequence) == (0, 0, 92)
    assert (entry.batches[0].first_offset, entry.last_data_offset) == (0, 92)
    assert (entry.coordinator_epoch, entry.current_txn_first_offset) == (-1, -1)
    assert encode_snapshot([entry]) == data


def test_no_damage_to_a_snapshot_goes_unseen(log: Scenario) -> None:
    log.send(3, 2)
    data = encode_snapshot(log.state.entries.values())
    for size in range(len(data)):
        with pytest.raises(CorruptSnapshot):
            decode_snapshot(data[:size])
    for at in range(len(data)):
        spoilt = bytearray(data)
        spoilt[at] ^= 1
        with pytest.raises(CorruptSnapshot):
            decode_snapshot(bytes(spoilt))
    assert decode_snapshot(encode_snapshot([])) == []


def test_clearing_forgets_transactions_too(log: Scenario) -> None:
    log.send(0, transactional=True)
    log.state.clear(7)
    assert (log.state.entries, log.state.first_unstable_offset) == ({}, None)
    assert log.state.map_end_offset == 7
