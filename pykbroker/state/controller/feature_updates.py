"""UpdateFeatures: finalized levels are raised and lowered within what every broker can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.decision import Decision, Note, View
from pykbroker.state.controller.feature_levels import level_change, one_min_isr
from pykbroker.state.errors import KafkaError
from pykbroker.state.features import (
    ELIGIBLE_LEADER_REPLICAS,
    KAFKA_FEATURES,
    METADATA_VERSION,
    NEEDED_METADATA_VERSION,
    SUPPORTED_FEATURES,
)
from wire.errors import ErrorCode
from wire.messages.update_features import UpdatableFeatureResult, UpdateFeaturesResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.state.controller.image import MetadataImage
    from wire.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest

UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE = 1, 2, 3


def update_features(request: UpdateFeaturesRequest, view: View) -> Decision[UpdateFeaturesResponse]:
    """All or nothing. The results per feature are what versions 0 and 1 read."""
    decision = Decision(UpdateFeaturesResponse(error_message=None))
    wanted = {update.feature: update for update in request.feature_updates}
    try:
        for update in wanted.values():
            _check(update, view.image)
            _check_needs(update, wanted, view.image)
    except KafkaError as error:
        decision.response.error_code = error.code
        decision.response.error_message = (
            "The update failed for all features since the following feature had an error: "
            f"{error.message}"
        )
        return decision
    decision.response.results = [
        UpdatableFeatureResult(feature=name, error_message="NONE") for name in wanted
    ]
    if request.validate_only:
        return decision
    elr = wanted.get(ELIGIBLE_LEADER_REPLICAS)
    if elr is not None and elr.max_version_level > 0:
        decision.changes += one_min_isr(view.image, view.settings)
    for update in wanted.values():
        level = update.max_version_level
        if level != view.image.features.get(update.feature, 0):
            decision.changes.append(level_change(update.feature, level))
            fields = {"feature": update.feature, "level": level}
            decision.notes.append(Note("feature level changed", fields))
    return decision


def _check(update: FeatureUpdateKey, image: MetadataImage) -> None:
    name, level = update.feature, update.max_version_level
    # As in Kafka, version 0's allow_downgrade has no effect.
    upgrade_type = update.upgrade_type
    if upgrade_type not in (UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE):
        raise _invalid(update, "The controller does not support the given upgrade type.")
    if level < 0:
        raise _invalid(update, "A feature version cannot be less than 0.")
    _check_supported(update, f"Local controller {image.controller_id}", SUPPORTED_FEATURES)
    for node, broker in sorted(image.brokers.items()):
        _check_supported(update, f"Broker {node}", broker.features)
    if name not in KAFKA_FEATURES:
        raise _invalid(update, f"Feature {name} not found.")
    current = image.features.get(name, 0)
    if level < current and upgrade_type == UPGRADE:
        raise _invalid(
            update,
            "Can't downgrade the version of this feature without setting the upgrade type to "
            "either safe or unsafe downgrade.",
        )
    if level > current and upgrade_type != UPGRADE:
        raise _invalid(update, "Can't downgrade to a newer version.")
    if name == METADATA_VERSION and level < current:
        reason = (
            "Refusing to perform the requested downgrade because it might delete metadata "
            "information."
        )
        if upgrade_type == UNSAFE_DOWNGRADE:
            reason = "Unsafe metadata downgrade is not supported in this version."
        raise KafkaError(
            ErrorCode.INVALID_UPDATE_VERSION,
            f"Unsupported metadata.version downgrade from {current} to {level}. {reason}",
        )


def _check_needs(
    update: FeatureUpdateKey, wanted: Mapping[str, FeatureUpdateKey], image: MetadataImage
) -> None:
    name, level = update.feature, update.max_version_level
    needed = NEEDED_METADATA_VERSION.get(name, 0)
    found = image.features.get(METADATA_VERSION, 0)
    if METADATA_VERSION in wanted:
        found = wanted[METADATA_VERSION].max_version_level
    if level > 0 and found < needed:
        raise _invalid(
            update,
            f"{name} could not be set to {level} because it depends on {METADATA_VERSION} level "
            f"{needed}",
        )


def _check_supported(
    update: FeatureUpdateKey, who: str, features: Mapping[str, tuple[int, int]]
) -> None:
    low, high = features.get(update.feature, (0, 0))
    # Level 0 switches a feature off, which everybody can do where it may be off at all.
    if low <= update.max_version_level <= high or (update.max_version_level == 0 and low <= 1):
        return
    if high == 0:
        raise _invalid(update, f"{who} does not support this feature.")
    raise _invalid(update, f"{who} only supports versions {low}-{high}")


def _invalid(update: FeatureUpdateKey, reason: str) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_UPDATE_VERSION,
        f"Invalid update version {update.max_version_level} for feature {update.feature}. {reason}",
    )
