"""Following the events gives what reading everything gives, however the events are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pykbroker.ports import KeyValue, StoreEvent, StoreSnapshot, StoreUpdate
from pykbroker.state.controller import keys
from pykbroker.state.controller.facts import Change, encode_value
from pykbroker.state.controller.image import ConfigResource, QuotaEntity
from pykbroker.state.controller.replay import (
    Replay,
    difference,
    partition_image,
    partition_record,
)
from tests.support.cluster_images import nodes, partition, topic_id
from wire.messages.metadata_records import (
    ClientQuotaRecord,
    ConfigRecord,
    EntityData,
    FeatureLevelRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    TopicRecord,
)

NAMES = ["a", "b"]
IDS = [topic_id(n) for n in range(3)]
EPOCHS = st.integers(0, 3)


def topic_changes() -> st.SearchStrategy[Change]:
    def make(name: str, id_: bytes | None) -> Change:
        record = None if id_ is None else TopicRecord(name=name, topic_id=id_)
        return Change(keys.topic_key(name), record)

    # An id belongs to one name for ever: a name has its own ids to choose from.
    return st.sampled_from(NAMES).flatmap(
        lambda name: st.builds(
            make, st.just(name), st.sampled_from([None, *([IDS[0], IDS[2]], [IDS[1]])[name == "b"]])
        )
    )


def partition_changes() -> st.SearchStrategy[Change]:
    def make(id_: bytes, index: int, epoch: int | None) -> Change:
        record = None
        if epoch is not None:
            image = partition([1, 2], leader_epoch=epoch, elr=[2] if epoch else [])
            record = partition_record(id_, index, image)
        return Change(keys.partition_key(id_, index), record)

    return st.builds(make, st.sampled_from(IDS), st.integers(0, 3), st.none() | EPOCHS)


def other_changes() -> st.SearchStrategy[Change]:
    resource = ConfigResource(2, "a/b")
    entity = QuotaEntity((("client-id", None), ("user", "")))
    return st.sampled_from(
        [
            Change(keys.config_key(resource, "x"), None),
            Change(
                keys.config_key(resource, "x"),
                ConfigRecord(resource_type=2, resource_name="a/b", name="x", value="1"),
            ),
            Change(
                keys.config_key(resource, "y"),
                ConfigRecord(resource_type=2, resource_name="a/b", name="y", value=""),
            ),
            Change(
                keys.quota_key(entity, "q"),
                ClientQuotaRecord(entity=[EntityData(entity_type="user")], key="q", value=2.0),
            ),
            Change(keys.quota_key(entity, "q"), None),
            Change(keys.feature_key("f"), FeatureLevelRecord(name="f", feature_level=2)),
            Change(keys.feature_key("f"), None),
            Change(
                keys.registration_key(1),
                RegisterBrokerRecord(broker_id=1, broker_epoch=7, rack="r"),
            ),
            Change(keys.registration_key(1), None),
            Change(keys.broker_key(1), RegisterBrokerRecord(broker_id=1)),
            Change(keys.broker_key(1), None),
            Change(keys.CONTROLLER, RegisterControllerRecord(controller_id=2)),
            Change(keys.CONTROLLER, None),
            Change(keys.CONTROLLER_EPOCH, "4"),
            Change(keys.CLUSTER_ID, "cluster"),
            Change(keys.PRODUCER_IDS, ProducerIdsRecord(next_producer_id=5000)),
            Change("/acls/of-a-later-version", TopicRecord()),
        ]
    )


UPDATES = st.lists(
    st.lists(
        st.one_of(topic_changes(), partition_changes(), other_changes()),
        min_size=1,
        max_size=8,
        unique_by=lambda change: change.key,
    ),
    max_size=12,
)


class Store:
    """What a store would hold and say."""

    def __init__(self) -> None:
        self.revision = 1
        self.items: dict[str, KeyValue] = {}

    def write(self, changes: list[Change]) -> StoreUpdate:
        self.revision += 1
        events = []
        for key, value in changes:
            if value is None:
                self.items.pop(key, None)
                events.append(StoreEvent(key, None, 0, self.revision))
            else:
                old = self.items.get(key)
                created = old.create_revision if old else self.revision
                item = KeyValue(key, encode_value(value), created, self.revision)
                self.items[key] = item
                events.append(StoreEvent(*item))
        return StoreUpdate(self.revision, tuple(events))

    def snapshot(self) -> StoreSnapshot:
        return StoreSnapshot(self.revision, tuple(sorted(self.items.values())))


def state_of(replay: Replay) -> tuple:
    return (
        replay.image,
        replay.orphans,
        replay.live,
        replay.mod_revisions,
        replay.controller_incarnation,
    )


@given(UPDATES)
def test_following_is_the_same_as_reading_everything(updates: list[list[Change]]) -> None:
    store, follower = Store(), Replay()
    for changes in updates:
        delta = follower.apply(store.write(changes))
        reader = Replay()
        reader.load(store.snapshot())
        assert state_of(follower) == state_of(reader)
        assert delta.after is follower.image


@given(UPDATES)
def test_a_delta_says_exactly_what_differs(updates: list[list[Change]]) -> None:
    store, follower = Store(), Replay()
    for changes in updates:
        before = follower.image
        delta = follower.apply(store.write(changes))
        assert delta == difference(before, follower.image)


@given(UPDATES)
def test_the_image_keeps_its_invariants(updates: list[list[Change]]) -> None:
    store, follower = Store(), Replay()
    for changes in updates:
        follower.apply(store.write(changes))
        image = follower.image
        assert image.revision == store.revision
        assert {t.topic_id: t.name for t in image.topics.values()} == image.topic_names
        written = {k for k in store.items if k.startswith("/partitions/")}
        held = {
            keys.partition_key(t.topic_id, i)
            for t in image.topics.values()
            for i in range(len(t.partitions))
        }
        held |= {keys.partition_key(id_, i) for id_, ps in follower.orphans.items() for i in ps}
        assert held == written
        assert all(configs for configs in image.configs.values())


@given(UPDATES, UPDATES)
def test_a_fork_can_be_tried_out_without_a_trace(
    updates: list[list[Change]], tried: list[list[Change]]
) -> None:
    store, follower = Store(), Replay()
    for changes in updates:
        follower.apply(store.write(changes))
    before = (*state_of(follower), {k: dict(v) for k, v in follower.orphans.items()})
    fork = follower.fork()
    for changes in tried:
        fork.assume(changes)
    assert before[0] is follower.image
    assert (*state_of(follower), follower.orphans) == before


def test_a_topic_appears_with_its_record_and_all_partitions_at_once() -> None:
    replay, id_ = Replay(), IDS[0]
    record = partition_record(id_, 0, partition([1]))
    replay.assume([Change(keys.partition_key(id_, 0), record)])
    replay.assume([Change(keys.partition_key(id_, 1), partition_record(id_, 1, partition([1])))])
    assert not replay.image.topics
    assert sorted(replay.orphans[id_]) == [0, 1]
    replay.assume([Change(keys.topic_key("a"), TopicRecord(name="a", topic_id=id_))])
    assert len(replay.image.topics["a"].partitions) == 2
    assert not replay.orphans


def test_partitions_of_a_deleted_topic_are_orphans_until_they_go_too() -> None:
    store, replay, id_ = Store(), Replay(), IDS[0]
    changes = [
        Change(keys.partition_key(id_, i), partition_record(id_, i, partition([1]))) for i in (0, 1)
    ]
    replay.apply(
        store.write([*changes, Change(keys.topic_key("a"), TopicRecord(name="a", topic_id=id_))])
    )
    delta = replay.apply(store.write([Change(keys.topic_key("a"), None)]))
    assert delta.topics_deleted == {id_: "a"}
    assert sorted(replay.orphans[id_]) == [0, 1]
    delta = replay.apply(store.write([Change(key, None) for key, _ in changes]))
    assert not replay.orphans
    assert not delta.topics_deleted


def test_a_name_that_changes_its_id_is_one_topic_gone_and_another_made() -> None:
    store, replay = Store(), Replay()
    replay.apply(store.write([Change(keys.topic_key("a"), TopicRecord(name="a", topic_id=IDS[0]))]))
    delta = replay.apply(
        store.write([Change(keys.topic_key("a"), TopicRecord(name="a", topic_id=IDS[2]))])
    )
    assert delta.topics_deleted == {IDS[0]: "a"}
    assert delta.topics_created == {"a"}
    assert not delta.topics_changed


def test_a_live_broker_has_its_keys_create_revision_as_epoch() -> None:
    store, replay = Store(), Replay()
    announced = RegisterBrokerRecord(broker_id=1)
    replay.apply(store.write([Change(keys.broker_key(1), announced)]))
    replay.apply(store.write([Change(keys.broker_key(1), announced)]))
    assert replay.live[nodes(1)[0]].epoch == 2
    replay.apply(store.write([Change(keys.broker_key(1), None)]))
    assert (replay.live, replay.seen) == ({}, {1})
    replay.load(store.snapshot())
    assert replay.seen == set()


def test_partitions_come_back_from_their_records() -> None:
    image = partition(
        [1, 2, 3], leader=2, isr=[2], elr=[1], last_known=[3], recovering=True, adding=[3]
    )
    assert partition_image(partition_record(IDS[0], 0, image)) == image


def test_an_office_that_is_gone_when_all_is_read_anew_is_nobodys() -> None:
    record = RegisterControllerRecord(controller_id=1, incarnation_id=b"i" * 16)
    replay = Replay()
    value = encode_value(record)
    replay.load(StoreSnapshot(5, (KeyValue(keys.CONTROLLER, value, 5, 5),)))
    assert replay.controller_incarnation == b"i" * 16
    replay.load(StoreSnapshot(9, ()))
    assert replay.controller_incarnation == b""
