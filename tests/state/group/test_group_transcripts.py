"""Stories of groups, told command by command in ``transcripts/``.

A line that begins with ``>`` is a command; the lines below it are what came of it: records that
were written, then answers, each with whom it went to. Member ids stand as ``prefix#n``.
``REWRITE=1 pytest`` writes the files anew; the diff is then to be read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from pykbroker.state.errors import KafkaError
from tests.support.group_scenario import GROUP, GroupScenario
from wire.errors import ErrorCode
from wire.messages.group_records import GroupMetadataKey, OffsetCommitKey
from wire.messages.heartbeat import HeartbeatResponse
from wire.messages.join_group import JoinGroupResponse
from wire.messages.leave_group import LeaveGroupResponse, MemberIdentity
from wire.messages.offset_commit import OffsetCommitResponse
from wire.messages.sync_group import SyncGroupResponse

STORIES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
MEMBER_ID = re.compile(r"([\w.]+)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class Teller:
    def __init__(self) -> None:
        self.s = GroupScenario()
        self._labels: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def run(self, command: str) -> list[str]:
        verb, *words = command.split()
        told, written = len(self.s.told), len(self.s.records)
        options = dict(word.split("=", 1) for word in words if "=" in word)
        names = [word for word in words if "=" not in word]
        lines = getattr(self, f"do_{verb}")(*names, **options) or []
        written_lines = [self._record(*record) for record in self.s.records[written:]]
        answers = [f"{name} <- {self._answer(a)}" for name, a in self.s.told[told:]]
        return [self._label(line) for line in [*written_lines, *answers, *lines]]

    # Commands.

    def do_group(self, **options: str) -> None:
        self.s = GroupScenario(**{name: int(value) for name, value in options.items()})

    def do_join(self, name: str, **o: str) -> None:
        arguments: dict[str, Any] = {}
        for key in ("session_ms", "rebalance_ms"):
            if key in o:
                arguments[key] = int(o[key])
        if "version" in o:
            arguments["must_know"] = int(o["version"]) >= 4
            arguments["can_skip"] = int(o["version"]) >= 9
        if "metadata" in o:
            arguments["protocols"] = {o.get("protocol", "range"): o["metadata"].encode()}
        if o.get("member_id") == "none":
            arguments["member_id"] = ""
        self.s.join(name, instance=o.get("instance"), follow="bare" not in o, **arguments)

    def do_sync(self, name: str, **assignments: str) -> None:
        data = {member: text.encode() for member, text in assignments.items()}
        self.s.sync(name, protocol_name=None, **data)

    def do_heartbeat(self, name: str, **o: str) -> None:
        self.s.heartbeat(name, **{k: int(v) for k, v in o.items()})

    def do_leave(self, name: str, **o: str) -> None:
        identities = [MemberIdentity(group_instance_id=o["instance"])] if "instance" in o else []
        self.s.leave(name, *identities)

    def do_commit(self, name: str, **offsets: str) -> None:
        for where, offset in offsets.items():
            topic, partition = where.rsplit("-", 1)
            self.s.commit(name, int(offset), topic=topic, partition=int(partition))

    def do_fetch(self) -> list[str]:
        found = self.s.fetch()
        partitions = [(t.name, p) for t in found.topics for p in t.partitions]
        return [f"{t}-{p.partition_index}: {p.committed_offset}" for t, p in partitions]

    def do_at(self, ms: str) -> None:
        self.s.at(int(ms))

    def do_restart(self) -> list[str]:
        self.s.restart()
        return self.do_describe()

    def do_describe(self) -> list[str]:
        group = self.s.shard.describe(GROUP)
        members = " ".join(
            f"{m.member_id}={m.member_assignment.decode() or '-'}" for m in group.members
        )
        return [f"{group.group_state} {group.protocol_type or '-'} {members}".rstrip()]

    # What came of it.

    def _record(self, key: Any, value: Any, version: int) -> str:
        if isinstance(key, OffsetCommitKey):
            text = "tombstone" if value is None else f"{value.offset}"
            return f"log <- offset {key.topic}-{key.partition}: {text}"
        assert isinstance(key, GroupMetadataKey)
        if value is None:
            return "log <- group: tombstone"
        members = " ".join(f"{m.member_id}={m.assignment.decode() or '-'}" for m in value.members)
        return (
            f"log <- group: generation {value.generation}, protocol {value.protocol or '-'}, "
            f"leader {value.leader or '-'}, members [{members}]"
        )

    def _answer(self, answer: Any) -> str:
        if isinstance(answer, KafkaError):
            return answer.code.name
        code = ErrorCode(getattr(answer, "error_code", 0))
        if code is not ErrorCode.NONE:
            member_id = getattr(answer, "member_id", "")
            return f"{code.name} {member_id}".strip()
        match answer:
            case JoinGroupResponse():
                skip = ", skips the assignment" if answer.skip_assignment else ""
                ids = " ".join(f"{m.member_id}({_short(m.metadata)})" for m in answer.members)
                return (
                    f"joined as {answer.member_id}: generation {answer.generation_id}, "
                    f"leader {answer.leader}, members [{ids}]{skip}"
                )
            case SyncGroupResponse():
                return f"assigned {answer.assignment.decode() or '-'}"
            case HeartbeatResponse():
                return "alive"
            case LeaveGroupResponse():
                return "left " + " ".join(ErrorCode(m.error_code).name for m in answer.members)
            case OffsetCommitResponse():
                return "committed"
        raise AssertionError(answer)

    def _label(self, line: str) -> str:
        def label(match: re.Match[str]) -> str:
            prefix, uuid = match.groups()
            if uuid not in self._labels:
                self._counts[prefix] = self._counts.get(prefix, 0) + 1
                self._labels[uuid] = f"{prefix}#{self._counts[prefix]}"
            return self._labels[uuid]

        return MEMBER_ID.sub(label, line)


def _short(metadata: bytes) -> str:
    return "t" if metadata.startswith(b"\0\0") else metadata.decode()


def retold(text: str) -> str:
    teller = Teller()
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(">"):
            lines += [line, *teller.run(line[1:])]
        elif not line or line.startswith("#"):
            lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_story(story: Path) -> None:
    text = story.read_text()
    told = retold(text)
    if os.environ.get("REWRITE"):
        story.write_text(told)
    assert told == text or os.environ.get("REWRITE")


def test_there_are_stories() -> None:
    assert len(STORIES) >= 7
