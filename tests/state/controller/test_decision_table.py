"""Every request finds its decision; configs and quotas are stored as they were decided."""

from __future__ import annotations

from importlib import import_module

import pytest

from pykbroker.state.controller.decide import _DECISIONS, decide
from pykbroker.state.controller.image import ConfigResource, QuotaEntity
from pykbroker.state.errors import KafkaError
from tests.support.cluster_images import Cluster, partition
from wire.apis import API_BY_KEY
from wire.errors import ErrorCode
from wire.messages import alter_client_quotas as quotas
from wire.messages import alter_configs as legacy
from wire.messages import incremental_alter_configs as incremental
from wire.messages.fetch import FetchRequest


@pytest.mark.parametrize("api_key", _DECISIONS, ids=lambda key: API_BY_KEY[key].name)
def test_every_decision_can_be_found(api_key: int) -> None:
    module, name = _DECISIONS[api_key]
    assert callable(getattr(import_module(f"pykbroker.state.controller.{module}"), name))


def test_other_requests_are_refused() -> None:
    with pytest.raises(KafkaError) as refused:
        decide(FetchRequest(), Cluster(1).view)
    assert refused.value.code == ErrorCode.UNSUPPORTED_VERSION


def with_topic() -> Cluster:
    cluster = Cluster(1)
    cluster.topic("t", partition([1]))
    cluster.config("t", "retention.ms", "1")
    cluster.config("t", "segment.ms", "2")
    return cluster


def test_incremental_changes_are_stored_one_by_one() -> None:
    cluster = with_topic()
    resource = incremental.AlterConfigsResource(
        resource_type=2,
        resource_name="t",
        configs=[
            incremental.AlterableConfig(name="retention.ms", config_operation=1, value=None),
            incremental.AlterableConfig(name="flush.ms", config_operation=0, value="3"),
        ],
    )
    request = incremental.IncrementalAlterConfigsRequest(resources=[resource])
    answer = cluster.apply(decide(request, cluster.view)).response
    assert [r.error_code for r in answer.responses] == [ErrorCode.NONE]
    assert cluster.image.configs == {ConfigResource(2, "t"): {"segment.ms": "2", "flush.ms": "3"}}


def test_a_legacy_change_replaces_the_whole_set() -> None:
    cluster = with_topic()
    resource = legacy.AlterConfigsResource(
        resource_type=2,
        resource_name="t",
        configs=[legacy.AlterableConfig(name="flush.ms", value="3")],
    )
    request = legacy.AlterConfigsRequest(resources=[resource])
    cluster.apply(decide(request, cluster.view))
    assert cluster.image.configs == {ConfigResource(2, "t"): {"flush.ms": "3"}}


def test_settings_of_brokers_and_of_the_whole_cluster_are_apart() -> None:
    cluster = Cluster(1)
    request = incremental.IncrementalAlterConfigsRequest(
        resources=[
            incremental.AlterConfigsResource(
                resource_type=4,
                resource_name=name,
                configs=[incremental.AlterableConfig(name="log.retention.ms", value=value)],
            )
            for name, value in (("", "5"), ("1", "6"))
        ]
    )
    cluster.apply(decide(request, cluster.view))
    assert cluster.image.config_of(4, "") == {"log.retention.ms": "5"}
    assert cluster.image.config_of(4, "1") == {"log.retention.ms": "6"}


def test_quotas_are_set_and_removed() -> None:
    cluster = Cluster(1)
    entity = QuotaEntity((("client-id", None), ("user", "a/b=c")))

    def alter(remove: bool) -> None:
        entry = quotas.EntryData(
            entity=[
                quotas.EntityData(entity_type="user", entity_name="a/b=c"),
                quotas.EntityData(entity_type="client-id", entity_name=None),
            ],
            ops=[quotas.OpData(key="producer_byte_rate", value=1024.0, remove=remove)],
        )
        request = quotas.AlterClientQuotasRequest(entries=[entry])
        answer = cluster.apply(decide(request, cluster.view)).response
        assert [e.error_code for e in answer.entries] == [ErrorCode.NONE]

    alter(remove=False)
    assert cluster.image.quotas == {entity: {"producer_byte_rate": 1024.0}}
    alter(remove=True)
    assert cluster.image.quotas == {}
