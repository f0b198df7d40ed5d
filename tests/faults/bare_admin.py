"""What an administrator asks of one broker, with no retries: see ``tests.faults.bare``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.bare import Bare, Refused
from wire.errors import ErrorCode
from wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from wire.messages.delete_topics import DeleteTopicsRequest
from wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from wire.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from wire.messages.list_partition_reassignments import ListPartitionReassignmentsRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_MS = 8_000
TOPIC = 2
"""A resource type."""

Address = tuple[str, int]


def check(*codes: int) -> None:
    for code in codes:
        if code:
            raise Refused(code)


class BareAdmin(Bare):
    def create(
        self, address: Address, name: str, count: int, factor: int, configs: dict[str, str]
    ) -> None:
        topic = CreatableTopic(
            name=name,
            num_partitions=count,
            replication_factor=factor,
            configs=[CreatableTopicConfig(name=k, value=v) for k, v in configs.items()],
        )
        got = self.call(address, CreateTopicsRequest(topics=[topic], timeout_ms=TIMEOUT_MS))
        check(got.topics[0].error_code)

    def delete(self, address: Address, name: str) -> None:
        got = self.call(address, DeleteTopicsRequest(topic_names=[name], timeout_ms=TIMEOUT_MS))
        check(got.responses[0].error_code)

    def create_partitions(self, address: Address, name: str, count: int) -> None:
        topic = CreatePartitionsTopic(name=name, count=count, assignments=None)
        got = self.call(address, CreatePartitionsRequest(topics=[topic], timeout_ms=TIMEOUT_MS))
        check(got.results[0].error_code)

    def set_config(self, address: Address, topic: str, name: str, value: str) -> None:
        resource = AlterConfigsResource(
            resource_type=TOPIC,
            resource_name=topic,
            configs=[AlterableConfig(name=name, value=value)],
        )
        got = self.call(address, IncrementalAlterConfigsRequest(resources=[resource]))
        check(got.responses[0].error_code)

    def configs(self, address: Address, topic: str, names: Iterable[str]) -> dict[str, str | None]:
        resource = DescribeConfigsResource(
            resource_type=TOPIC, resource_name=topic, configuration_keys=list(names)
        )
        got = self.call(address, DescribeConfigsRequest(resources=[resource])).results[0]
        check(got.error_code)
        return {config.name: config.value for config in got.configs}

    def reassign(self, address: Address, topic: str, partition: int, replicas: list[int]) -> None:
        part = ReassignablePartition(partition_index=partition, replicas=replicas)
        request = AlterPartitionReassignmentsRequest(
            timeout_ms=TIMEOUT_MS, topics=[ReassignableTopic(name=topic, partitions=[part])]
        )
        got = self.call(address, request)
        check(got.error_code, got.responses[0].partitions[0].error_code)

    def moving(self, address: Address) -> set[tuple[str, int]]:
        """Partitions that are being reassigned."""
        got = self.call(address, ListPartitionReassignmentsRequest(timeout_ms=TIMEOUT_MS))
        check(got.error_code)
        return {
            (topic.name, part.partition_index) for topic in got.topics for part in topic.partitions
        }

    def elect(self, address: Address, topic: str, partition: int) -> None:
        """The preferred leader; that it leads already is as good."""
        parts = [TopicPartitions(topic=topic, partitions=[partition])]
        got = self.call(address, ElectLeadersRequest(topic_partitions=parts, timeout_ms=TIMEOUT_MS))
        check(got.error_code)
        code = got.replica_election_results[0].partition_result[0].error_code
        if code != ErrorCode.ELECTION_NOT_NEEDED:
            check(code)
