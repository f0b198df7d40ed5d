"""DescribeLogDirs: sizes on disk (KIP-113).

v2 flexible - v3 an error for the whole - v4 total and usable bytes (KIP-827)
v5 cordoned directories (KIP-1066)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class DescribableLogDirTopic(Struct):
    topic: string = ""
    partitions: list[int32] = []


class DescribeLogDirsRequest(Request, api_key=35, versions="0-5", flexible="2+"):
    topics: list[DescribableLogDirTopic] | None = []


class DescribeLogDirsPartition(Struct):
    partition_index: int32 = 0
    partition_size: int64 = 0
    offset_lag: int64 = 0
    is_future_key: bool = False


class DescribeLogDirsTopic(Struct):
    name: string = ""
    partitions: list[DescribeLogDirsPartition] = []


class DescribeLogDirsResult(Struct):
    error_code: int16 = 0
    log_dir: string = ""
    topics: list[DescribeLogDirsTopic] = []
    total_bytes: int64 = at("4+", default=-1, ignorable=True)
    usable_bytes: int64 = at("4+", default=-1, ignorable=True)
    is_cordoned: bool = at("5+", default=False, ignorable=True)


class DescribeLogDirsResponse(Response, api_key=35, versions="0-5", flexible="2+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = at("3+", default=0, ignorable=True)
    results: list[DescribeLogDirsResult] = []
