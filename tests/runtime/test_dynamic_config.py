"""A broker's settings follow the metadata."""

from __future__ import annotations

from pykbroker.config.settings import DynamicSettings, Settings
from pykbroker.runtime.dynamic_config import ConfigFollower
from pykbroker.state.types import NodeId
from tests.support.images import delta_between, image_with

NAME = "message.max.bytes"


def test_only_this_brokers_and_the_clusters_resource_count() -> None:
    settings = DynamicSettings(Settings({}))
    follower = ConfigFollower(settings, NodeId(1))
    calls: list[frozenset[str]] = []
    settings.on_change(calls.append)
    empty = image_with()
    both = image_with(configs={(4, "1"): {NAME: "5"}, (4, ""): {NAME: "6"}, (4, "2"): {NAME: "7"}})
    follower.apply(delta_between(empty, both))
    assert settings.current.int(NAME) == 5
    default = image_with(configs={(4, ""): {NAME: "6"}})
    follower.apply(delta_between(both, default))
    assert settings.current.int(NAME) == 6
    other = image_with(configs={(4, ""): {NAME: "6"}, (4, "3"): {NAME: "9"}, (2, "t"): {"a": "b"}})
    follower.apply(delta_between(default, other))
    assert calls == [{NAME}, {NAME}]
    follower.apply(delta_between(other, empty))
    assert settings.current.int(NAME) == 1048588


def test_what_cannot_be_used_does_not_keep_the_rest_from_counting() -> None:
    settings = DynamicSettings(Settings({}))
    follower = ConfigFollower(settings, NodeId(1))
    image = image_with(configs={(4, "1"): {NAME: "many", "log.retention.ms": "5"}})
    follower.apply(delta_between(image_with(), image))
    assert settings.current.int("log.retention.ms") == 5
    assert settings.current.int(NAME) == 1048588
