"""UpdateFeatures: levels move only where every broker can follow, all or none."""

from __future__ import annotations

import pytest

from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.feature_levels import first_levels, level_change
from pykbroker.state.controller.feature_updates import update_features
from pykbroker.state.controller.image import ConfigResource
from pykbroker.state.controller.keys import config_key
from tests.support.cluster_images import Cluster
from wire.errors import ErrorCode
from wire.messages.metadata_records import ConfigRecord
from wire.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest

UPGRADE, SAFE, UNSAFE = 1, 2, 3
MV, KV = "metadata.version", "kraft.version"
ELR, MIN_ISR = "eligible.leader.replicas.version", "min.insync.replicas"
RANGES = {MV: (7, 30), KV: (0, 0), ELR: (0, 1)}


def cluster_at(level: int) -> Cluster:
    cluster = Cluster(elr=False)
    cluster.broker(1, features=RANGES)
    cluster.replay.assume(first_levels(cluster.image, cluster.settings))
    if level != 30:
        answer = update(cluster, (MV, level, UNSAFE))
        assert answer.error_code
    return cluster


def update(cluster: Cluster, *wanted: tuple[str, int, int], validate_only: bool = False):
    request = UpdateFeaturesRequest(
        feature_updates=[
            FeatureUpdateKey(feature=name, max_version_level=level, upgrade_type=kind)
            for name, level, kind in wanted
        ],
        validate_only=validate_only,
    )
    return cluster.apply(update_features(request, cluster.view)).response


def test_a_new_cluster_gets_its_levels_once() -> None:
    cluster = cluster_at(30)
    assert cluster.image.features == {MV: 30, ELR: 1}
    assert first_levels(cluster.image, cluster.settings) == []


@pytest.mark.parametrize(
    ("name", "level", "kind", "message"),
    [
        (MV, 31, UPGRADE, "Local controller -1 only supports versions 7-30"),
        (MV, 6, SAFE, "only supports versions 7-30"),
        (MV, 20, UPGRADE, "Can't downgrade the version of this feature without"),
        (MV, 20, SAFE, "Refusing to perform the requested downgrade"),
        (MV, 20, UNSAFE, "Unsafe metadata downgrade is not supported"),
        (MV, -1, UPGRADE, "A feature version cannot be less than 0."),
        (MV, 30, 0, "does not support the given upgrade type"),
        ("no.such", 1, UPGRADE, "Local controller -1 does not support this feature."),
        ("no.such", 0, SAFE, "Feature no.such not found."),
        (KV, 1, UPGRADE, "Local controller -1 does not support this feature."),
        ("transaction.version", 2, UPGRADE, "does not support this feature."),
    ],
)
def test_what_is_refused_changes_nothing(name: str, level: int, kind: int, message: str) -> None:
    cluster = cluster_at(30)
    answer = update(cluster, (MV, 30, UPGRADE), (name, level, kind))
    assert answer.error_code == ErrorCode.INVALID_UPDATE_VERSION
    assert answer.error_message.startswith(
        "The update failed for all features since the following feature had an error: "
    )
    assert message in answer.error_message
    assert answer.results == []
    assert cluster.image.features == {MV: 30, ELR: 1}


def test_what_is_so_already_succeeds() -> None:
    cluster = cluster_at(30)
    answer = update(cluster, (MV, 30, UPGRADE), (KV, 0, UPGRADE), ("group.version", 0, SAFE))
    assert answer.error_code == ErrorCode.NONE
    assert [(r.feature, r.error_code) for r in answer.results] == [
        (MV, 0),
        (KV, 0),
        ("group.version", 0),
    ]
    assert cluster.image.features == {MV: 30, ELR: 1}


def test_a_broker_that_cannot_follow_holds_everybody_back() -> None:
    cluster = cluster_at(30)
    cluster.broker(2, features={MV: (7, 29)})
    answer = update(cluster, (MV, 30, UPGRADE))
    assert "Broker 2 only supports versions 7-29" in answer.error_message


def test_levels_are_raised_and_validate_only_does_not_raise_them() -> None:
    from pykbroker.state.controller.facts import Change
    from pykbroker.state.controller.keys import feature_key
    from wire.messages.metadata_records import FeatureLevelRecord

    cluster = cluster_at(30)
    older = FeatureLevelRecord(name=MV, feature_level=20)
    cluster.replay.assume([Change(feature_key(MV), older)])
    assert update(cluster, (MV, 25, UPGRADE), validate_only=True).error_code == ErrorCode.NONE
    assert cluster.image.features == {MV: 20, ELR: 1}
    assert update(cluster, (MV, 25, UPGRADE)).error_code == ErrorCode.NONE
    assert cluster.image.features == {MV: 25, ELR: 1}
    assert "to a newer version" in update(cluster, (MV, 28, SAFE)).error_message


def test_a_new_cluster_has_one_minimum_isr_which_is_that_of_the_controllers_file() -> None:
    assert cluster_at(30).image.config_of(4, "") == {MIN_ISR: "1"}
    cluster = Cluster(elr=False, settings={MIN_ISR: "2"})
    cluster.replay.assume(first_levels(cluster.image, cluster.settings))
    assert cluster.image.config_of(4, "") == {MIN_ISR: "2"}


def without_elr() -> Cluster:
    cluster = cluster_at(30)
    assert update(cluster, (ELR, 0, SAFE)).error_code == ErrorCode.NONE
    assert cluster.image.features == {MV: 30}
    return cluster


def own_min_isr(cluster: Cluster, name: str, value: str | None) -> None:
    resource = ConfigResource(4, name)
    record = ConfigRecord(resource_type=4, resource_name=name, name=MIN_ISR, value=value)
    change = Change(config_key(resource, MIN_ISR), None if value is None else record)
    cluster.replay.assume([change])


def test_with_eligible_replicas_the_minimum_isr_of_single_brokers_goes() -> None:
    cluster = without_elr()
    own_min_isr(cluster, "", None)
    own_min_isr(cluster, "1", "3")
    assert update(cluster, (ELR, 1, UPGRADE)).error_code == ErrorCode.NONE
    assert cluster.image.features == {MV: 30, ELR: 1}
    assert cluster.image.config_of(4, "") == {MIN_ISR: "1"}
    assert not cluster.image.config_of(4, "1")


def test_a_minimum_isr_that_the_cluster_has_is_kept() -> None:
    cluster = without_elr()
    own_min_isr(cluster, "", "2")
    update(cluster, (ELR, 1, UPGRADE), validate_only=True)
    assert cluster.image.features == {MV: 30}
    update(cluster, (ELR, 1, UPGRADE))
    assert cluster.image.config_of(4, "") == {MIN_ISR: "2"}


def test_eligible_replicas_need_metadata_that_can_hold_them() -> None:
    cluster = without_elr()
    cluster.replay.assume([level_change(MV, 22)])
    answer = update(cluster, (ELR, 1, UPGRADE))
    assert answer.error_code == ErrorCode.INVALID_UPDATE_VERSION
    assert "depends on metadata.version level 23" in answer.error_message
    assert update(cluster, (MV, 23, UPGRADE), (ELR, 1, UPGRADE)).error_code == ErrorCode.NONE
