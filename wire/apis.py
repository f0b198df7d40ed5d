"""The APIs: key, name, versions, messages, headers. The versions that we serve live here alone.

The range of an API goes from the oldest version that Kafka 3.9 served to the newest that a
current broker advertises.
"""

from __future__ import annotations

from sys import modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wire.schema import Request, Response


class ApiKey:
    """The numbers of the APIs."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    LEADER_AND_ISR = 4
    STOP_REPLICA = 5
    UPDATE_METADATA = 6
    CONTROLLED_SHUTDOWN = 7
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


BROKER = 1
"""Served on the listeners for clients and other brokers."""
CONTROLLER = 2
"""Served on controller listeners."""
FORWARDED = 4
"""A broker that is not the controller passes the request on to it."""
CLUSTER_ACTION = 8
"""Between the nodes of a cluster: needs ClusterAction on the cluster."""
TELEMETRY = 16
"""Advertised only where something receives telemetry."""
REMOVED = 32
"""Went with ZooKeeper; defined, but never served."""

NEVER = 32767

_TABLE: tuple[tuple[int, int, int, int | None, int], ...] = (
    # key, oldest version, newest, first flexible, flags
    (ApiKey.PRODUCE, 0, 13, 9, BROKER),
    (ApiKey.FETCH, 0, 18, 12, BROKER | CONTROLLER),
    (ApiKey.LIST_OFFSETS, 0, 11, 6, BROKER),
    (ApiKey.METADATA, 0, 13, 9, BROKER),
    (ApiKey.LEADER_AND_ISR, 0, 7, 4, REMOVED | CLUSTER_ACTION),
    (ApiKey.STOP_REPLICA, 0, 4, 2, REMOVED | CLUSTER_ACTION),
    (ApiKey.UPDATE_METADATA, 0, 8, 6, REMOVED | CLUSTER_ACTION),
    (ApiKey.CONTROLLED_SHUTDOWN, 0, 3, 3, REMOVED | CLUSTER_ACTION),
    (ApiKey.OFFSET_COMMIT, 0, 10, 8, BROKER),
    (ApiKey.OFFSET_FETCH, 0, 10, 6, BROKER),
    (ApiKey.FIND_COORDINATOR, 0, 6, 3, BROKER),
    (ApiKey.JOIN_GROUP, 0, 9, 6, BROKER),
    (ApiKey.HEARTBEAT, 0, 4, 4, BROKER),
    (ApiKey.LEAVE_GROUP, 0, 5, 4, BROKER),
    (ApiKey.SYNC_GROUP, 0, 5, 4, BROKER),
    (ApiKey.DESCRIBE_GROUPS, 0, 6, 5, BROKER),
    (ApiKey.LIST_GROUPS, 0, 5, 3, BROKER),
    (ApiKey.SASL_HANDSHAKE, 0, 1, None, BROKER | CONTROLLER),
    (ApiKey.API_VERSIONS, 0, 4, 3, BROKER | CONTROLLER),
    (ApiKey.CREATE_TOPICS, 0, 7, 5, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.DELETE_TOPICS, 0, 6, 4, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.DELETE_RECORDS, 0, 2, 2, BROKER),
    (ApiKey.INIT_PRODUCER_ID, 0, 5, 2, BROKER),
    (ApiKey.OFFSET_FOR_LEADER_EPOCH, 0, 4, 4, BROKER),
    (ApiKey.ADD_PARTITIONS_TO_TXN, 0, 5, 3, BROKER),
    (ApiKey.ADD_OFFSETS_TO_TXN, 0, 4, 3, BROKER),
    (ApiKey.END_TXN, 0, 5, 3, BROKER),
    (ApiKey.WRITE_TXN_MARKERS, 0, 2, 1, BROKER | CLUSTER_ACTION),
    (ApiKey.TXN_OFFSET_COMMIT, 0, 5, 3, BROKER),
    (ApiKey.DESCRIBE_ACLS, 0, 3, 2, BROKER | CONTROLLER),
    (ApiKey.CREATE_ACLS, 0, 3, 2, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.DELETE_ACLS, 0, 3, 2, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.DESCRIBE_CONFIGS, 0, 4, 4, BROKER | CONTROLLER),
    (ApiKey.ALTER_CONFIGS, 0, 2, 2, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.ALTER_REPLICA_LOG_DIRS, 0, 2, 2, BROKER),
    (ApiKey.DESCRIBE_LOG_DIRS, 0, 5, 2, BROKER),
    (ApiKey.SASL_AUTHENTICATE, 0, 2, 2, BROKER | CONTROLLER),
    (ApiKey.CREATE_PARTITIONS, 0, 3, 2, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.CREATE_DELEGATION_TOKEN, 0, 3, 2, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.RENEW_DELEGATION_TOKEN, 0, 2, 2, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.EXPIRE_DELEGATION_TOKEN, 0, 2, 2, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.DESCRIBE_DELEGATION_TOKEN, 0, 3, 2, BROKER | CONTROLLER),
    (ApiKey.DELETE_GROUPS, 0, 2, 2, BROKER),
    (ApiKey.ELECT_LEADERS, 0, 2, 2, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.INCREMENTAL_ALTER_CONFIGS, 0, 1, 1, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.ALTER_PARTITION_REASSIGNMENTS, 0, 1, 0, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.LIST_PARTITION_REASSIGNMENTS, 0, 0, 0, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.OFFSET_DELETE, 0, 0, None, BROKER),
    (ApiKey.DESCRIBE_CLIENT_QUOTAS, 0, 1, 1, BROKER),
    (ApiKey.ALTER_CLIENT_QUOTAS, 0, 1, 1, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.DESCRIBE_USER_SCRAM_CREDENTIALS, 0, 0, 0, BROKER | CONTROLLER),
    (ApiKey.ALTER_USER_SCRAM_CREDENTIALS, 0, 0, 0, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.VOTE, 0, 2, 0, CONTROLLER | CLUSTER_ACTION),
    (ApiKey.BEGIN_QUORUM_EPOCH, 0, 1, 1, CONTROLLER | CLUSTER_ACTION),
    (ApiKey.END_QUORUM_EPOCH, 0, 1, 1, CONTROLLER | CLUSTER_ACTION),
    (ApiKey.DESCRIBE_QUORUM, 0, 2, 0, BROKER | CONTROLLER | FORWARDED | CLUSTER_ACTION),
    (ApiKey.ALTER_PARTITION, 0, 3, 0, CONTROLLER | CLUSTER_ACTION),
    (ApiKey.UPDATE_FEATURES, 0, 2, 0, BROKER | CONTROLLER | FORWARDED | CLUSTER_ACTION),
    (ApiKey.ENVELOPE, 0, 0, 0, CONTROLLER | CLUSTER_ACTION),
    (ApiKey.FETCH_SNAPSHOT, 0, 1, 0, CONTROLLER),
    (ApiKey.DESCRIBE_CLUSTER, 0, 2, 0, BROKER | CONTROLLER),
    (ApiKey.DESCRIBE_PRODUCERS, 0, 0, 0, BROKER),
    (ApiKey.BROKER_REGISTRATION, 0, 4, 0, CONTROLLER | CLUSTER_ACTION),
    (ApiKey.BROKER_HEARTBEAT, 0, 2, 0, CONTROLLER | CLUSTER_ACTION),
    (ApiKey.UNREGISTER_BROKER, 0, 0, 0, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.DESCRIBE_TRANSACTIONS, 0, 0, 0, BROKER),
    (ApiKey.LIST_TRANSACTIONS, 0, 2, 0, BROKER),
    (ApiKey.ALLOCATE_PRODUCER_IDS, 0, 0, 0, CONTROLLER | FORWARDED | CLUSTER_ACTION),
    (ApiKey.CONSUMER_GROUP_HEARTBEAT, 0, 1, 0, BROKER),
    (ApiKey.CONSUMER_GROUP_DESCRIBE, 0, 1, 0, BROKER),
    (ApiKey.CONTROLLER_REGISTRATION, 0, 0, 0, CONTROLLER),
    (ApiKey.GET_TELEMETRY_SUBSCRIPTIONS, 0, 0, 0, BROKER | TELEMETRY),
    (ApiKey.PUSH_TELEMETRY, 0, 0, 0, BROKER | TELEMETRY),
    (ApiKey.ASSIGN_REPLICAS_TO_DIRS, 0, 0, 0, CONTROLLER),
    (ApiKey.LIST_CONFIG_RESOURCES, 0, 1, 0, BROKER),
    (ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, 0, 0, BROKER),
    (ApiKey.SHARE_GROUP_HEARTBEAT, 1, 1, 1, BROKER),
    (ApiKey.SHARE_GROUP_DESCRIBE, 1, 1, 1, BROKER),
    (ApiKey.SHARE_FETCH, 1, 2, 1, BROKER),
    (ApiKey.SHARE_ACKNOWLEDGE, 1, 2, 1, BROKER),
    (ApiKey.ADD_RAFT_VOTER, 0, 1, 0, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.REMOVE_RAFT_VOTER, 0, 0, 0, BROKER | CONTROLLER | FORWARDED),
    (ApiKey.UPDATE_RAFT_VOTER, 0, 0, 0, CONTROLLER),
    (ApiKey.INITIALIZE_SHARE_GROUP_STATE, 0, 0, 0, BROKER | CLUSTER_ACTION),
    (ApiKey.READ_SHARE_GROUP_STATE, 0, 0, 0, BROKER | CLUSTER_ACTION),
    (ApiKey.WRITE_SHARE_GROUP_STATE, 0, 1, 0, BROKER | CLUSTER_ACTION),
    (ApiKey.DELETE_SHARE_GROUP_STATE, 0, 0, 0, BROKER | CLUSTER_ACTION),
    (ApiKey.READ_SHARE_GROUP_STATE_SUMMARY, 0, 1, 0, BROKER | CLUSTER_ACTION),
    (ApiKey.STREAMS_GROUP_HEARTBEAT, 0, 0, 0, BROKER),
    (ApiKey.STREAMS_GROUP_DESCRIBE, 0, 0, 0, BROKER),
    (ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS, 0, 1, 0, BROKER),
    (ApiKey.ALTER_SHARE_GROUP_OFFSETS, 0, 0, 0, BROKER),
    (ApiKey.DELETE_SHARE_GROUP_OFFSETS, 0, 0, 0, BROKER),
)


class Api:
    """One API. Its messages are imported when they are first asked for."""

    __slots__ = (
        "_request",
        "_response",
        "constant",
        "flexible_responses_since",
        "flexible_since",
        "is_client_facing",
        "is_cluster_action",
        "is_forwarded",
        "is_on_controller",
        "is_removed",
        "key",
        "max_version",
        "min_version",
        "name",
        "needs_telemetry_receiver",
    )

    def __init__(
        self, constant: str, key: int, oldest: int, newest: int, flexible: int | None, flags: int
    ) -> None:
        self.constant = constant
        self.key = key
        self.name = constant.title().replace("_", "")
        """As in Kafka's documentation: ``OffsetFetch``."""
        self.min_version = oldest
        self.max_version = newest
        self.flexible_since = NEVER if flexible is None else flexible
        """The first version with compact types and tagged fields, or NEVER."""
        self.flexible_responses_since = NEVER if key == ApiKey.API_VERSIONS else self.flexible_since
        """ApiVersions is answered without tags: its client does not know yet whom it asks."""
        self.is_client_facing = bool(flags & BROKER)
        """On the listeners that clients use, and so advertised to them."""
        self.is_on_controller = bool(flags & CONTROLLER)
        self.is_forwarded = bool(flags & FORWARDED)
        self.is_removed = bool(flags & REMOVED)
        self.is_cluster_action = bool(flags & CLUSTER_ACTION)
        self.needs_telemetry_receiver = bool(flags & TELEMETRY)
        self._request: type[Request] | None = None
        self._response: type[Response] | None = None

    def __repr__(self) -> str:
        return f"<Api {self.key} {self.name} {self.min_version}-{self.max_version}>"

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

    def _load(self) -> None:
        module = "wire.messages." + self.constant.lower()
        __import__(module)
        self._request = getattr(modules[module], self.name + "Request")
        self._response = getattr(modules[module], self.name + "Response")


_NAMES = {key: name for name, key in vars(ApiKey).items() if name.isupper()}
API_BY_KEY: dict[int, Api] = {row[0]: Api(_NAMES[row[0]], *row) for row in _TABLE}


def request_header_version(key: int, version: int) -> int:
    """An API that is not known is taken to be an old one."""
    if key == ApiKey.CONTROLLED_SHUTDOWN and version == 0:
        return 0
    api = API_BY_KEY.get(key)
    return 2 if api is not None and version >= api.flexible_since else 1


def response_header_version(key: int, version: int) -> int:
    """An API that is not known is taken to be an old one."""
    api = API_BY_KEY.get(key)
    return 1 if api is not None and version >= api.flexible_responses_since else 0
