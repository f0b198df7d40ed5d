"""One shape for all versions: what an older request means, and what an older client is told."""

from __future__ import annotations

from random import Random
from typing import Any, TypeVar

import pytest

from tests.support.messages import sample
from wire.apis import API_BY_KEY, ApiKey
from wire.codec import decode_exact, decode_request, encode_bytes, encode_response
from wire.errors import ErrorCode
from wire.messages.add_offsets_to_txn import AddOffsetsToTxnResponse
from wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)
from wire.messages.alter_partition import AlterPartitionRequest, BrokerState, TopicData
from wire.messages.alter_partition import PartitionData as AlteredPartition
from wire.messages.create_delegation_token import CreateDelegationTokenResponse
from wire.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from wire.messages.describe_cluster import DescribeClusterBroker, DescribeClusterResponse
from wire.messages.describe_configs import (
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
)
from wire.messages.describe_delegation_token import (
    DescribedDelegationToken,
    DescribeDelegationTokenResponse,
)
from wire.messages.describe_groups import DescribedGroup, DescribeGroupsResponse
from wire.messages.describe_quorum import (
    DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData,
    DescribeQuorumResponseTopicData,
    Listener,
    Node,
)
from wire.messages.describe_quorum import ReplicaState as QuorumReplica
from wire.messages.elect_leaders import ElectLeadersResponse, PartitionResult, ReplicaElectionResult
from wire.messages.end_txn import EndTxnResponse
from wire.messages.fetch import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
    ReplicaState,
)
from wire.messages.fetch import LeaderIdAndEpoch as FetchLeader
from wire.messages.fetch import NodeEndpoint as FetchEndpoint
from wire.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)
from wire.messages.init_producer_id import InitProducerIdResponse
from wire.messages.join_group import JoinGroupRequest, JoinGroupResponse
from wire.messages.leave_group import (
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberIdentity,
    MemberResponse,
)
from wire.messages.list_config_resources import ListConfigResourcesRequest
from wire.messages.list_offsets import (
    ListOffsetsPartitionResponse,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)
from wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from wire.messages.produce import (
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from wire.messages.txn_offset_commit import (
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from wire.messages.update_features import (
    SAFE_DOWNGRADE,
    UPGRADE,
    FeatureUpdateKey,
    UpdateFeaturesRequest,
)
from wire.schema import NONE, fields_of

R = TypeVar("R")


def as_seen(request: Any, version: int) -> Any:
    """What a handler sees of this request, sent in that version."""
    return decode_request(API_BY_KEY[request.api_key], version, encode_bytes(request, version))


def as_told(response: R, version: int) -> R:
    """What a client of that version gets of this response."""
    data = b"".join(encode_response(response, version))  # type: ignore[arg-type]
    return decode_exact(type(response), version, data)  # type: ignore[type-var]


# Every API.


SERVED = [api for api in API_BY_KEY.values() if not api.is_removed]


@pytest.mark.parametrize("api", SERVED, ids=lambda api: api.name)
def test_every_request_is_seen_in_the_newest_shape(api: Any) -> None:
    """No field that newer versions lack is left for a handler to look at."""
    moved = {
        field.name
        for field in fields_of(api.request)
        if field.versions.high < api.max_version and not field.ignorable
    } - {"include_cluster_authorized_operations"}
    for version in range(api.min_version, api.max_version + 1):
        request = sample(api.request, version, Random(version))
        seen = as_seen(request, version)
        for field in fields_of(api.request):
            if field.name in moved:
                assert getattr(seen, field.name) == field.default, (version, field.name)


@pytest.mark.parametrize("api", API_BY_KEY.values(), ids=lambda api: api.name)
def test_every_version_can_tell_that_nothing_happened(api: Any) -> None:
    for version in range(api.min_version, api.max_version + 1):
        response = api.response()
        for field in fields_of(api.response):
            if field.nullable == NONE and field.default is None:
                setattr(response, field.name, b"")
        encode_response(response, version)


# Groups and coordinators.


@pytest.mark.parametrize("version", [0, 3, 4, 6])
def test_find_coordinator_has_keys_in_every_version(version: int) -> None:
    if version < 4:
        sent = FindCoordinatorRequest(key="g", key_type=1 if version else 0)
    else:
        sent = FindCoordinatorRequest(coordinator_keys=["g"], key_type=1)
    seen = as_seen(sent, version)
    assert seen.coordinator_keys == ["g"]
    assert seen.key_type == (1 if version else 0)
    answer = Coordinator(key="g", node_id=3, host="h", port=9, error_code=2, error_message="m")
    told = as_told(FindCoordinatorResponse(coordinators=[answer], throttle_time_ms=4), version)
    if version >= 4:
        assert told.coordinators == [answer]
    else:
        assert (told.node_id, told.host, told.port, told.error_code) == (3, "h", 9, 2)
        assert told.error_message == ("m" if version else "")
        assert told.throttle_time_ms == (4 if version else 0)


@pytest.mark.parametrize("version", [0, 2, 3, 5])
def test_leave_group_has_members_in_every_version(version: int) -> None:
    if version < 3:
        sent = LeaveGroupRequest(group_id="g", member_id="m")
    else:
        sent = LeaveGroupRequest(group_id="g", members=[MemberIdentity(member_id="m")])
    expected = LeaveGroupRequest(group_id="g", members=[MemberIdentity(member_id="m")])
    assert as_seen(sent, version) == expected
    member = MemberResponse(member_id="m", error_code=25)
    told = as_told(LeaveGroupResponse(members=[member]), version)
    if version < 3:
        assert (told.error_code, told.members) == (25, [])
        whole = LeaveGroupResponse(error_code=16, members=[member])
        assert as_told(whole, version).error_code == 16
        assert as_told(LeaveGroupResponse(error_code=16), version).error_code == 16
    else:
        assert (told.error_code, told.members) == (0, [member])


def test_one_timeout_was_both_at_first() -> None:
    sent = JoinGroupRequest(group_id="g", session_timeout_ms=6000)
    assert as_seen(sent, 0).rebalance_timeout_ms == 6000
    sent.rebalance_timeout_ms = 9000
    assert as_seen(sent, 1).rebalance_timeout_ms == 9000


@pytest.mark.parametrize(("version", "none"), [(0, ""), (6, ""), (7, None), (9, None)])
def test_no_protocol_is_null_since_join_group_7(version: int, none: str | None) -> None:
    for given in ("", None):
        response = JoinGroupResponse(protocol_name=given, skip_assignment=version >= 9)
        assert as_told(response, version).protocol_name == none
    assert as_told(JoinGroupResponse(protocol_name="range"), version).protocol_name == "range"


def test_only_the_newest_leader_may_skip_assigning() -> None:
    assert as_told(JoinGroupResponse(skip_assignment=True), 9).skip_assignment
    assert not as_told(JoinGroupResponse(skip_assignment=True), 8).skip_assignment


def test_describe_groups_has_a_message_since_6() -> None:
    def response() -> DescribeGroupsResponse:
        return DescribeGroupsResponse(groups=[DescribedGroup(error_message="m", error_code=69)])

    assert as_told(response(), 6).groups[0].error_message == "m"
    assert as_told(response(), 5).groups[0].error_message is None


# Offsets.


@pytest.mark.parametrize("version", range(11))
def test_offset_fetch_has_groups_in_every_version(version: int) -> None:
    topics: list[Any]
    if version < 8:
        topics = [OffsetFetchRequestTopic(name="t", partition_indexes=[1, 2])]
        sent = OffsetFetchRequest(group_id="g", topics=topics)
    else:
        name, topic_id = ("t", bytes(16)) if version < 10 else ("", b"i" * 16)
        topics = [OffsetFetchRequestTopics(name=name, topic_id=topic_id, partition_indexes=[1, 2])]
        sent = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id="g", topics=topics)])
    if version >= 7:
        sent.require_stable = True
    seen = as_seen(sent, version)
    assert seen.require_stable == (version >= 7)
    (group,) = seen.groups
    assert (group.group_id, group.member_epoch) == ("g", -1)
    assert [(t.name, t.partition_indexes) for t in group.topics] == [
        ("" if version == 10 else "t", [1, 2])
    ]


def test_offset_fetch_of_all_topics() -> None:
    for version in (2, 7):
        seen = as_seen(OffsetFetchRequest(group_id="g", topics=None), version)
        assert seen.groups == [OffsetFetchRequestGroup(group_id="g", topics=None)]


def fetched_offsets(error_code: int = 0) -> OffsetFetchResponse:
    partition = OffsetFetchResponsePartitions(
        partition_index=1, committed_offset=7, committed_leader_epoch=2, metadata="m", error_code=5
    )
    topic = OffsetFetchResponseTopics(name="t", partitions=[partition])
    group = OffsetFetchResponseGroup(group_id="g", topics=[topic], error_code=error_code)
    return OffsetFetchResponse(groups=[group], throttle_time_ms=3)


@pytest.mark.parametrize("version", range(8))
def test_an_older_client_gets_the_offsets_of_its_one_group(version: int) -> None:
    told = as_told(fetched_offsets(), version)
    (topic,) = told.topics
    assert topic == OffsetFetchResponseTopic(
        name="t",
        partitions=[
            OffsetFetchResponsePartition(
                partition_index=1,
                committed_offset=7,
                committed_leader_epoch=2 if version >= 5 else -1,
                metadata="m",
                error_code=5,
            )
        ],
    )
    assert told.groups == []
    assert told.throttle_time_ms == (3 if version >= 3 else 0)


def test_the_error_of_a_group_stands_where_the_version_has_a_place() -> None:
    assert as_told(fetched_offsets(16), 8).groups[0].error_code == 16
    assert as_told(fetched_offsets(16), 2).error_code == 16
    for version in (0, 1):
        (partition,) = as_told(fetched_offsets(16), version).topics[0].partitions
        assert (partition.error_code, partition.committed_offset) == (16, -1)
        assert partition.metadata == ""
    assert as_told(OffsetFetchResponse(), 5).topics == []


def listed(**values: Any) -> ListOffsetsResponse:
    partition = ListOffsetsPartitionResponse(**values)
    return ListOffsetsResponse(topics=[ListOffsetsTopicResponse(name="t", partitions=[partition])])


def test_an_end_that_is_not_known_yet_is_no_leader_to_older_clients() -> None:
    for version in (0, 4):
        told = as_told(listed(error_code=ErrorCode.OFFSET_NOT_AVAILABLE), version)
        assert told.topics[0].partitions[0].error_code == ErrorCode.LEADER_NOT_AVAILABLE
    told = as_told(listed(error_code=ErrorCode.OFFSET_NOT_AVAILABLE), 5)
    assert told.topics[0].partitions[0].error_code == ErrorCode.OFFSET_NOT_AVAILABLE


@pytest.mark.parametrize("version", [0, 1, 3, 4, 11])
def test_listed_offsets(version: int) -> None:
    told = as_told(listed(offset=7, timestamp=9, leader_epoch=2), version)
    (partition,) = told.topics[0].partitions
    if version == 0:
        assert partition == ListOffsetsPartitionResponse(old_style_offsets=[7])
    else:
        assert (partition.offset, partition.timestamp) == (7, 9)
        assert partition.leader_epoch == (2 if version >= 4 else -1)


def test_several_offsets_in_the_oldest_list() -> None:
    told = as_told(listed(old_style_offsets=[9, 5, 0], offset=9), 0)
    assert told.topics[0].partitions[0].old_style_offsets == [9, 5, 0]
    assert as_told(listed(), 0).topics[0].partitions[0].old_style_offsets == []


# Records.


def test_a_replica_is_seen_by_its_state_in_every_version() -> None:
    for version in (0, 11, 12, 14):
        seen = as_seen(FetchRequest(replica_id=3), version)
        assert seen.replica_state == ReplicaState(replica_id=3)
        assert as_seen(FetchRequest(), version).replica_state == ReplicaState()
    state = ReplicaState(replica_id=3, replica_epoch=8)
    assert as_seen(FetchRequest(replica_state=state), 15).replica_state == state


def fetched(error: int) -> FetchResponse:
    partition = PartitionData(
        error_code=error, current_leader=FetchLeader(leader_id=1, leader_epoch=2), records=b"r"
    )
    return FetchResponse(
        responses=[FetchableTopicResponse(partitions=[partition])],
        node_endpoints=[FetchEndpoint(node_id=1, host="h")],
    )


@pytest.mark.parametrize("version", [0, 5, 6, 11, 12, 15, 16, 18])
def test_fetch_tells_where_the_leader_went_to_those_who_understand(version: int) -> None:
    told = as_told(fetched(ErrorCode.KAFKA_STORAGE_ERROR), version)
    (partition,) = told.responses[0].partitions
    known, moved = ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert partition.error_code == (known if version >= 6 else moved)
    assert (partition.current_leader.leader_id == 1) == (version >= 12)
    assert bool(told.node_endpoints) == (version >= 16)
    assert partition.records == b"r"


def test_a_fetched_partition_without_error_is_left_alone() -> None:
    partition = PartitionData(records=b"r", diverging_epoch=EpochEndOffset(epoch=2, end_offset=3))
    response = FetchResponse(responses=[FetchableTopicResponse(partitions=[partition])])
    assert as_told(response, 12).responses[0].partitions == [partition]


def produced(error: int) -> ProduceResponse:
    partition = PartitionProduceResponse(
        error_code=error, current_leader=LeaderIdAndEpoch(leader_id=1, leader_epoch=2)
    )
    return ProduceResponse(
        responses=[TopicProduceResponse(partition_responses=[partition])],
        node_endpoints=[NodeEndpoint(node_id=1, host="h")],
    )


@pytest.mark.parametrize("version", [0, 3, 4, 9, 10, 13])
def test_produce_tells_where_the_leader_went_to_those_who_understand(version: int) -> None:
    told = as_told(produced(ErrorCode.KAFKA_STORAGE_ERROR), version)
    (partition,) = told.responses[0].partition_responses
    known, moved = ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert partition.error_code == (known if version >= 4 else moved)
    assert (partition.current_leader.leader_id == 1) == (version >= 10)
    assert bool(told.node_endpoints) == (version >= 10)


# Topics.


def test_all_topics_in_metadata() -> None:
    assert as_seen(MetadataRequest(topics=[]), 0).topics is None
    assert as_seen(MetadataRequest(topics=[]), 1).topics == []
    assert as_seen(MetadataRequest(topics=None), 1).topics is None
    some = [MetadataRequestTopic(name="t")]
    for version in (0, 1, 13):
        assert as_seen(MetadataRequest(topics=some), version).topics == some


def test_creation_is_allowed_where_it_cannot_be_refused() -> None:
    assert as_seen(MetadataRequest(), 3).allow_auto_topic_creation is True
    assert as_seen(
        MetadataRequest(allow_auto_topic_creation=False), 4
    ).allow_auto_topic_creation is (False)


def test_a_topic_without_a_name_in_metadata() -> None:
    def response() -> MetadataResponse:
        return MetadataResponse(topics=[MetadataResponseTopic(name=None, topic_id=b"i" * 16)])

    assert as_told(response(), 12).topics[0].name is None
    for version in (0, 10, 11):
        assert as_told(response(), version).topics[0].name == ""


@pytest.mark.parametrize("version", [0, 5, 6])
def test_topics_to_delete_in_every_version(version: int) -> None:
    states = [DeleteTopicState(name="a"), DeleteTopicState(name="b")]
    if version < 6:
        sent = DeleteTopicsRequest(topic_names=["a", "b"], timeout_ms=5)
    else:
        sent = DeleteTopicsRequest(topics=states, timeout_ms=5)
    assert as_seen(sent, version) == DeleteTopicsRequest(topics=states, timeout_ms=5)


def test_that_deletion_is_off_is_known_since_3() -> None:
    def response() -> DeleteTopicsResponse:
        off = ErrorCode.TOPIC_DELETION_DISABLED
        return DeleteTopicsResponse(responses=[DeletableTopicResult(name="t", error_code=off)])

    assert as_told(response(), 3).responses[0].error_code == ErrorCode.TOPIC_DELETION_DISABLED
    assert as_told(response(), 2).responses[0].error_code == ErrorCode.INVALID_REQUEST


# Transactions.


@pytest.mark.parametrize("version", [0, 3, 4, 5])
def test_partitions_join_by_transaction_in_every_version(version: int) -> None:
    topics = [AddPartitionsToTxnTopic(name="t", partitions=[1])]
    only = AddPartitionsToTxnTransaction(
        transactional_id="x", producer_id=5, producer_epoch=2, topics=topics
    )
    if version < 4:
        sent = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id="x",
            v3_and_below_producer_id=5,
            v3_and_below_producer_epoch=2,
            v3_and_below_topics=topics,
        )
    else:
        sent = AddPartitionsToTxnRequest(transactions=[only])
    assert as_seen(sent, version) == AddPartitionsToTxnRequest(transactions=[only])


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4, 5])
def test_a_fenced_producer_is_told_in_words_it_knows(version: int) -> None:
    fenced, old = ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH
    result = AddPartitionsToTxnPartitionResult(partition_error_code=fenced)
    topics = [AddPartitionsToTxnTopicResult(name="t", results_by_partition=[result])]
    whole = AddPartitionsToTxnResponse(
        results_by_transaction=[AddPartitionsToTxnResult(topic_results=topics)]
    )
    told = as_told(whole, version)
    where = (
        told.results_by_topic_v3_and_below
        if version < 4
        else told.results_by_transaction[0].topic_results
    )
    code = where[0].results_by_partition[0].partition_error_code
    assert code == (fenced if version >= 2 else old)


@pytest.mark.parametrize(
    ("cls", "since"),
    [(AddOffsetsToTxnResponse, 2), (EndTxnResponse, 2), (InitProducerIdResponse, 4)],
)
def test_producer_fenced_is_known_since(cls: Any, since: int) -> None:
    fenced, old = ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH
    assert as_told(cls(error_code=fenced), since).error_code == fenced
    assert as_told(cls(error_code=fenced), since - 1).error_code == old
    assert as_told(cls(error_code=3), 0).error_code == 3


def test_a_transaction_to_abort_is_known_to_producers_since_11() -> None:
    abort, old = ErrorCode.TRANSACTION_ABORTABLE, ErrorCode.INVALID_TXN_STATE
    for version, expected in ((11, abort), (10, old), (3, old)):
        told = as_told(produced(abort), version)
        assert told.responses[0].partition_responses[0].error_code == expected


def test_a_loading_coordinator_is_away_to_old_producers() -> None:
    def response(code: ErrorCode) -> TxnOffsetCommitResponse:
        partition = TxnOffsetCommitResponsePartition(error_code=code)
        return TxnOffsetCommitResponse(
            topics=[TxnOffsetCommitResponseTopic(partitions=[partition])]
        )

    loading, away = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.COORDINATOR_NOT_AVAILABLE
    for version, expected in ((0, away), (1, away), (2, loading), (5, loading)):
        told = as_told(response(loading), version)
        assert told.topics[0].partitions[0].error_code == expected


# Administration.


def test_whether_a_setting_is_the_default_in_describe_configs_0() -> None:
    configs = [
        DescribeConfigsResourceResult(name="a", config_source=5),
        DescribeConfigsResourceResult(name="b", config_source=1),
    ]
    response = DescribeConfigsResponse(results=[DescribeConfigsResult(configs=configs)])
    told = as_told(response, 0).results[0].configs
    assert [config.is_default for config in told] == [True, False]


def test_an_election_refused_as_a_whole_is_refused_in_every_partition_of_v0() -> None:
    results = [PartitionResult(partition_id=0), PartitionResult(partition_id=1, error_code=3)]
    response = ElectLeadersResponse(
        error_code=31,
        replica_election_results=[ReplicaElectionResult(topic="t", partition_result=results)],
    )
    (topic,) = as_told(response, 0).replica_election_results
    assert [p.error_code for p in topic.partition_result] == [31, 3]
    assert as_told(ElectLeadersResponse(error_code=31), 1).error_code == 31


def test_feature_updates_have_a_type_in_every_version() -> None:
    updates = [
        FeatureUpdateKey(feature="a", allow_downgrade=True, max_version_level=1),
        FeatureUpdateKey(feature="b", max_version_level=2),
    ]
    seen = as_seen(UpdateFeaturesRequest(feature_updates=updates), 0)
    assert [u.upgrade_type for u in seen.feature_updates] == [SAFE_DOWNGRADE, UPGRADE]
    assert not any(u.allow_downgrade for u in seen.feature_updates)


def test_an_isr_has_epochs_in_every_version() -> None:
    partition = AlteredPartition(partition_index=1, new_isr=[1, 2])
    sent = AlterPartitionRequest(topics=[TopicData(partitions=[partition])])
    (seen,) = as_seen(sent, 2).topics[0].partitions
    assert seen.new_isr_with_epochs == [BrokerState(broker_id=1), BrokerState(broker_id=2)]
    assert seen.new_isr == []
    with_epochs = [BrokerState(broker_id=1, broker_epoch=7)]
    partition = AlteredPartition(new_isr_with_epochs=with_epochs)
    sent = AlterPartitionRequest(topics=[TopicData(partitions=[partition])])
    assert as_seen(sent, 3).topics[0].partitions[0].new_isr_with_epochs == with_epochs


def test_the_oldest_list_of_resources_is_of_client_metrics() -> None:
    assert as_seen(ListConfigResourcesRequest(), 0).resource_types == [16]
    assert as_seen(ListConfigResourcesRequest(), 1).resource_types == []


def test_fenced_brokers_are_told_of_since_describe_cluster_2() -> None:
    def response() -> DescribeClusterResponse:
        brokers = [
            DescribeClusterBroker(broker_id=1),
            DescribeClusterBroker(broker_id=2, is_fenced=True),
        ]
        return DescribeClusterResponse(brokers=brokers, endpoint_type=2)

    assert [b.broker_id for b in as_told(response(), 2).brokers] == [1, 2]
    assert [b.broker_id for b in as_told(response(), 1).brokers] == [1]
    assert as_told(response(), 1).endpoint_type == 2
    assert as_told(response(), 0).endpoint_type == 1


def test_directories_of_voters_are_told_of_since_describe_quorum_2() -> None:
    def response() -> DescribeQuorumResponse:
        replica = QuorumReplica(replica_id=1, replica_directory_id=b"d" * 16)
        observer = QuorumReplica(replica_id=2, replica_directory_id=b"e" * 16)
        partition = DescribeQuorumResponsePartitionData(
            current_voters=[replica], observers=[observer]
        )
        return DescribeQuorumResponse(
            topics=[DescribeQuorumResponseTopicData(partitions=[partition])],
            nodes=[Node(node_id=1, listeners=[Listener(name="L")])],
        )

    assert as_told(response(), 2) == response()
    told = as_told(response(), 1)
    assert told.nodes == []
    assert told.topics[0].partitions[0].current_voters[0].replica_directory_id == bytes(16)
    assert told.topics[0].partitions[0].observers[0].replica_directory_id == bytes(16)


def test_who_asked_for_a_token_is_told_since_3() -> None:
    def tokens() -> DescribeDelegationTokenResponse:
        token = DescribedDelegationToken(
            token_requester_principal_type="User", token_requester_principal_name="u"
        )
        return DescribeDelegationTokenResponse(tokens=[token])

    def created() -> CreateDelegationTokenResponse:
        return CreateDelegationTokenResponse(
            token_requester_principal_type="User", token_requester_principal_name="u"
        )

    assert as_told(tokens(), 3) == tokens()
    assert as_told(tokens(), 2).tokens == [DescribedDelegationToken()]
    assert as_told(created(), 3) == created()
    assert as_told(created(), 2) == CreateDelegationTokenResponse()


def test_init_producer_id_is_never_of_two_phases() -> None:
    assert API_BY_KEY[ApiKey.INIT_PRODUCER_ID].max_version < 6
