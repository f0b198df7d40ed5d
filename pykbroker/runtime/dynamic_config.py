"""A broker's settings follow the metadata: its own resource, and the cluster-wide default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.state.controller.image import ConfigResource

if TYPE_CHECKING:
    from pykbroker.config.settings import DynamicSettings
    from pykbroker.state.controller.image import MetadataDelta
    from pykbroker.state.types import NodeId

logger = get_logger("pykbroker.runtime.dynamic_config")

BROKER_TYPE = 4


class ConfigFollower:
    """Subscribe ``apply`` to the metadata images, before whatever reads settings in its own."""

    def __init__(self, settings: DynamicSettings, node_id: NodeId) -> None:
        self._settings = settings
        self._own = ConfigResource(BROKER_TYPE, str(node_id))
        self._default = ConfigResource(BROKER_TYPE, "")

    def apply(self, delta: MetadataDelta) -> None:
        if not delta.configs_changed & {self._own, self._default}:
            return
        problems = self._settings.update(
            delta.after.config_of(*self._own), delta.after.config_of(*self._default)
        )
        for problem in problems:
            logger.warning("dynamic setting left out", reason=problem)
