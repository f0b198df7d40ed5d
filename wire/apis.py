"""Every API: its key, its versions, its messages. Versions live here and in the definitions only.

The range is what this codec serves: from the oldest version that Kafka 3.9 answered to the newest
stable one of Kafka 4.3.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wire.schema import Request, Response


class ApiKey:
    """Plain integers: cheaper to load than an enumeration, and compared on every request."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    DESCRIBE_GROUPS = 15
    LIST_GROUPS = 16
    SASL_HANDSHAKE = 17
    API_VERSIONS = 18
    CREATE_TOPICS = 19
    DELETE_TOPICS = 20
    DELETE_RECORDS = 21
    INIT_PRODUCER_ID = 22
    OFFSET_FOR_LEADER_EPOCH = 23
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    WRITE_TXN_MARKERS = 27
    TXN_OFFSET_COMMIT = 28
    DESCRIBE_ACLS = 29
    CREATE_ACLS = 30
    DELETE_ACLS = 31
    DESCRIBE_CONFIGS = 32
    ALTER_CONFIGS = 33
    ALTER_REPLICA_LOG_DIRS = 34
    DESCRIBE_LOG_DIRS = 35
    SASL_AUTHENTICATE = 36
    CREATE_PARTITIONS = 37
    CREATE_DELEGATION_TOKEN = 38
    RENEW_DELEGATION_TOKEN = 39
    EXPIRE_DELEGATION_TOKEN = 40
    DESCRIBE_DELEGATION_TOKEN = 41
    DELETE_GROUPS = 42
    ELECT_LEADERS = 43
    INCREMENTAL_ALTER_CONFIGS = 44
    ALTER_PARTITION_REASSIGNMENTS = 45
    LIST_PARTITION_REASSIGNMENTS = 46
    OFFSET_DELETE = 47
    DESCRIBE_CLIENT_QUOTAS = 48
    ALTER_CLIENT_QUOTAS = 49
    DESCRIBE_USER_SCRAM_CREDENTIALS = 50
    ALTER_USER_SCRAM_CREDENTIALS = 51
    VOTE = 52
    BEGIN_QUORUM_EPOCH = 53
    END_QUORUM_EPOCH = 54
    DESCRIBE_QUORUM = 55
    ALTER_PARTITION = 56
    UPDATE_FEATURES = 57
    ENVELOPE = 58
    FETCH_SNAPSHOT = 59
    DESCRIBE_CLUSTER = 60
    DESCRIBE_PRODUCERS = 61
    BROKER_REGISTRATION = 62
    BROKER_HEARTBEAT = 63
    UNREGISTER_BROKER = 64
    DESCRIBE_TRANSACTIONS = 65
    LIST_TRANSACTIONS = 66
    ALLOCATE_PRODUCER_IDS = 67
    CONSUMER_GROUP_HEARTBEAT = 68
    CONSUMER_GROUP_DESCRIBE = 69
    CONTROLLER_REGISTRATION = 70
    GET_TELEMETRY_SUBSCRIPTIONS = 71
    PUSH_TELEMETRY = 72
    ASSIGN_REPLICAS_TO_DIRS = 73
    LIST_CONFIG_RESOURCES = 74
    DESCRIBE_TOPIC_PARTITIONS = 75
    SHARE_GROUP_HEARTBEAT = 76
    SHARE_GROUP_DESCRIBE = 77
    SHARE_FETCH = 78
    SHARE_ACKNOWLEDGE = 79
    ADD_RAFT_VOTER = 80
    REMOVE_RAFT_VOTER = 81
    UPDATE_RAFT_VOTER = 82
    INITIALIZE_SHARE_GROUP_STATE = 83
    READ_SHARE_GROUP_STATE = 84
    WRITE_SHARE_GROUP_STATE = 85
    DELETE_SHARE_GROUP_STATE = 86
    READ_SHARE_GROUP_STATE_SUMMARY = 87
    STREAMS_GROUP_HEARTBEAT = 88
    STREAMS_GROUP_DESCRIBE = 89
    DESCRIBE_SHARE_GROUP_OFFSETS = 90
    ALTER_SHARE_GROUP_OFFSETS = 91
    DELETE_SHARE_GROUP_OFFSETS = 92


class Api:
    """One row of the table. The message classes are imported when first asked for."""

    __slots__ = (
        "_module",
        "_request",
        "_response",
        "flexible_since",
        "is_client_facing",
        "is_cluster_action",
        "is_forwarded",
        "key",
        "max_version",
        "min_version",
        "name",
        "on_controller",
    )

    def __init__(self, row: str) -> None:
        key, name, low, high, flexible, flags = row.split()
        self.key = int(key)
        self.name = name
        self.min_version = int(low)
        self.max_version = int(high)
        self.flexible_since = 32767 if flexible == "-" else int(flexible)
        self.is_client_facing = "b" in flags
        """Served on a broker's listeners, and so advertised there."""
        self.on_controller = "c" in flags
        self.is_forwarded = "f" in flags
        """A broker hands it to the active controller."""
        self.is_cluster_action = "a" in flags
        """Only brokers may send it."""
        self._module = ""
        self._request: type[Request] | None = None
        self._response: type[Response] | None = None

    def __repr__(self) -> str:
        return f"Api({self.name} {self.min_version}-{self.max_version})"

    def _load(self) -> None:
        module = import_module(f"wire.messages.{module_name(self.name)}")
        self._request = getattr(module, f"{self.name}Request")
        self._response = getattr(module, f"{self.name}Response")

    @property
    def request(self) -> type[Request]:
        if self._request is None:
            self._load()
        assert self._request is not None
        return self._request

    @property
    def response(self) -> type[Response]:
        if self._response is None:
            self._load()
        assert self._response is not None
        return self._response


def module_name(name: str) -> str:
    """``OffsetFetch`` -> ``offset_fetch``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


# key, name, lowest and highest version, first flexible version, where: b broker, c controller,
# f forwarded to the controller, a needs ClusterAction
_TABLE = """
0 Produce 0 13 9 b
1 Fetch 0 18 12 bc
2 ListOffsets 0 11 6 b
3 Metadata 0 13 9 b
8 OffsetCommit 0 10 8 b
9 OffsetFetch 0 10 6 b
10 FindCoordinator 0 6 3 b
11 JoinGroup 0 9 6 b
12 Heartbeat 0 4 4 b
13 LeaveGroup 0 5 4 b
14 SyncGroup 0 5 4 b
15 DescribeGroups 0 6 5 b
16 ListGroups 0 5 3 b
17 SaslHandshake 0 1 - bc
18 ApiVersions 0 4 3 bc
19 CreateTopics 0 7 5 bcf
20 DeleteTopics 0 6 4 bcf
21 DeleteRecords 0 2 2 b
22 InitProducerId 0 5 2 b
23 OffsetForLeaderEpoch 0 4 4 b
24 AddPartitionsToTxn 0 5 3 b
25 AddOffsetsToTxn 0 4 3 b
26 EndTxn 0 5 3 b
27 WriteTxnMarkers 0 2 1 ba
28 TxnOffsetCommit 0 5 3 b
29 DescribeAcls 0 3 2 bc
30 CreateAcls 0 3 2 bcf
31 DeleteAcls 0 3 2 bcf
32 DescribeConfigs 0 4 4 bc
33 AlterConfigs 0 2 2 bcf
34 AlterReplicaLogDirs 0 2 2 b
35 DescribeLogDirs 0 5 2 b
36 SaslAuthenticate 0 2 2 bc
37 CreatePartitions 0 3 2 bcf
38 CreateDelegationToken 0 3 2 bcf
39 RenewDelegationToken 0 2 2 bcf
40 ExpireDelegationToken 0 2 2 bcf
41 DescribeDelegationToken 0 3 2 bc
42 DeleteGroups 0 2 2 b
43 ElectLeaders 0 2 2 bcf
44 IncrementalAlterConfigs 0 1 1 bcf
45 AlterPartitionReassignments 0 1 0 bcf
46 ListPartitionReassignments 0 0 0 bcf
47 OffsetDelete 0 0 - b
48 DescribeClientQuotas 0 1 1 b
49 AlterClientQuotas 0 1 1 bcf
50 DescribeUserScramCredentials 0 0 0 bc
51 AlterUserScramCredentials 0 0 0 bcf
52 Vote 0 2 0 ca
53 BeginQuorumEpoch 0 1 1 ca
54 EndQuorumEpoch 0 1 1 ca
55 DescribeQuorum 0 2 0 bcfa
56 AlterPartition 0 3 0 ca
57 UpdateFeatures 0 2 0 bcfa
58 Envelope 0 0 0 ca
59 FetchSnapshot 0 1 0 c
60 DescribeCluster 0 2 0 bc
61 DescribeProducers 0 0 0 b
62 BrokerRegistration 0 4 0 ca
63 BrokerHeartbeat 0 2 0 ca
64 UnregisterBroker 0 0 0 bcf
65 DescribeTransactions 0 0 0 b
66 ListTransactions 0 2 0 b
67 AllocateProducerIds 0 0 0 cfa
68 ConsumerGroupHeartbeat 0 1 0 b
69 ConsumerGroupDescribe 0 1 0 b
70 ControllerRegistration 0 0 0 c
71 GetTelemetrySubscriptions 0 0 0 b
72 PushTelemetry 0 0 0 b
73 AssignReplicasToDirs 0 0 0 c
74 ListConfigResources 0 1 0 b
75 DescribeTopicPartitions 0 0 0 b
76 ShareGroupHeartbeat 1 1 1 b
77 ShareGroupDescribe 1 1 1 b
78 ShareFetch 1 2 1 b
79 ShareAcknowledge 1 2 1 b
80 AddRaftVoter 0 1 0 bcf
81 RemoveRaftVoter 0 0 0 bcf
82 UpdateRaftVoter 0 0 0 c
83 InitializeShareGroupState 0 0 0 ba
84 ReadShareGroupState 0 0 0 ba
85 WriteShareGroupState 0 1 0 ba
86 DeleteShareGroupState 0 0 0 ba
87 ReadShareGroupStateSummary 0 1 0 ba
88 StreamsGroupHeartbeat 0 0 0 b
89 StreamsGroupDescribe 0 0 0 b
90 DescribeShareGroupOffsets 0 1 0 b
91 AlterShareGroupOffsets 0 0 0 b
92 DeleteShareGroupOffsets 0 0 0 b
"""

API_BY_KEY: dict[int, Api] = {api.key: api for api in map(Api, _TABLE.strip().splitlines())}
API_BY_NAME: dict[str, Api] = {api.name: api for api in API_BY_KEY.values()}


def request_header_version(key: int, version: int) -> int:
    """0 for ControlledShutdown 0 alone, which is not served; 2 where the request is flexible."""
    return 2 if version >= API_BY_KEY[key].flexible_since else 1


def response_header_version(key: int, version: int) -> int:
    """ApiVersions is always 0: a client reads it before it knows what the broker speaks."""
    if key == ApiKey.API_VERSIONS:
        return 0
    return 1 if version >= API_BY_KEY[key].flexible_since else 0
