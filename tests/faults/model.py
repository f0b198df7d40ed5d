"""Valid histories from a small model of a cluster, to try the checker on.

One log for each partition, a high watermark, a leader with its epoch; every operation takes effect
at one instant between its beginning and its end. Records that only the leader has may go when it
does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

Op = dict[str, Any]

BROKERS = (1, 2, 3)
GROUP = "group"


@dataclass
class Entry:
    val: str | None
    """None: the mark of a transaction's end."""
    epoch: int
    pid: int
    seq: int
    last_of_batch: bool = True
    is_hidden: bool = False
    key: str | None = None


@dataclass
class Part:
    name: str
    leader: int = 1
    epoch: int = 0
    partition_epoch: int = 0
    hw: int = 0
    start: int = 0
    log: list[Entry] = field(default_factory=list)
    isr: list[int] = field(default_factory=lambda: list(BROKERS))
    committed: int = -1
    keys: int = 0
    """Compacted, if there are any."""

    def compacted(self, dirty: int) -> set[int]:
        """Offsets that compaction up to ``dirty`` removes."""
        last = {entry.key: off for off, entry in enumerate(self.log[:dirty])}
        return {
            off
            for off, entry in enumerate(self.log[:dirty])
            if entry.key is not None and last[entry.key] != off
        }


class Model:
    def __init__(self, random: Random, partitions: int = 2) -> None:
        self.random = random
        self.parts = [Part(f"t-{i}") for i in range(partitions)]
        self.parts.append(Part("compacted-0", keys=5))
        self.ops: list[Op] = []
        self.clock = 10_000
        self.free: dict[str, int] = {}
        self.counters: dict[str, int] = {}
        self.sequences: dict[tuple[str, str], int] = {}
        self.positions: dict[tuple[str, str], int] = {}
        self.generation = 0
        self.owner: dict[str, str] = {}
        self.assign = 0
        self.txns = 0
        self.admin_topics = 0

    def op(self, f: str, proc: str, **fields: Any) -> Op:
        """One that takes effect at the next instant at which its process is free."""
        self.clock = max(self.clock, self.free.get(proc, 0)) + self.random.randint(1, 50)
        t0 = max(self.free.get(proc, 0), self.clock - self.random.randint(0, 100))
        t1 = self.clock + self.random.randint(0, 100)
        self.free[proc] = t1 + 1
        made = {"f": f, "proc": proc, "t0": t0, "t1": t1} | fields
        self.ops.append(made)
        return made

    def run(self, steps: int) -> list[Op]:
        self.op("config", "run", seed=1, unclean=False, floors={"ok sends": 5, "ok commits": 1})
        for broker in BROKERS:
            self.op("sample", "run", broker=broker, rss=50 << 20, fds=40, when="start")
        self.rebalance()
        for part in self.parts:
            self.store(part)
        actions = [
            (self.send_idempotent, 6),
            (self.send_plain, 3),
            (self.send_bare, 3),
            (self.transact, 2),
            (self.read, 5),
            (self.group_poll, 5),
            (self.commit, 2),
            (self.fetch_committed, 2),
            (self.list_offsets, 2),
            (self.replicate, 3),
            (self.metadata, 1),
            (self.change_leader, 1),
            (self.rebalance, 1),
            (self.shrink_or_expand, 1),
            (self.administer, 1),
        ]
        names, weights = zip(*actions, strict=True)
        for _ in range(steps):
            self.random.choices(names, weights)[0]()
        self.finish()
        return self.ops

    def value(self, proc: str) -> str:
        self.counters[proc] = self.counters.get(proc, 0) + 1
        return f"{proc}.{self.counters[proc]}"

    def keys(self, part: Part, count: int) -> list[str]:
        if not part.keys:
            return []
        return [f"k{self.random.randrange(part.keys)}" for _ in range(count)]

    def append(
        self, part: Part, proc: str, vals: list[str], pid: int, keys: Sequence[str] = ()
    ) -> int:
        base = len(part.log)
        first = self.sequences.get((proc, part.name), 0) if pid >= 0 else -1
        for i, val in enumerate(vals):
            seq = first + i if pid >= 0 else -1
            entry = Entry(val, part.epoch, pid, seq, i == len(vals) - 1)
            entry.key = keys[i] if keys else None
            part.log.append(entry)
        if pid >= 0:
            self.sequences[proc, part.name] = first + len(vals)
        return base

    def send_idempotent(self) -> None:
        part = self.random.choice(self.parts)
        proc = self.random.choice(("idem1", "idem2"))
        self._send_idempotent(part, proc, known=self.random.random() < 0.9)

    def _send_idempotent(self, part: Part, proc: str, *, known: bool) -> None:
        val = self.value(proc)
        keys = self.keys(part, 1)
        off = self.append(part, proc, [val], 100 + int(proc[-1]), keys)
        part.hw = len(part.log)
        self.op(
            "send",
            proc,
            tp=part.name,
            val=val,
            acks=-1,
            idem=True,
            res="ok" if known else "info",
            off=off if known else -1,
            **({"key": keys[0]} if keys else {}),
        )

    def send_plain(self) -> None:
        self._send_plain(self.random.choice((0, 1)))

    def _send_plain(self, acks: int) -> None:
        part = self.random.choice(self.parts)
        proc = f"acks{acks}"
        val = self.value(proc)
        keys = self.keys(part, 1)
        off = self.append(part, proc, [val], -1, keys)
        fields: Op = {"res": "ok", "off": off} if acks else {"res": "info"}
        fields |= {"key": keys[0]} if keys else {}
        self.op("send", proc, tp=part.name, val=val, acks=acks, **fields)

    def send_bare(self) -> None:
        self._send_bare(self.random.random())

    def _send_bare(self, kind: float) -> None:
        """A batch; refused for certain, or tried again after an attempt that nobody knows of."""
        part = self.random.choice(self.parts)
        vals = [self.value("bare") for _ in range(self.random.randint(1, 3))]
        keys = self.keys(part, len(vals))
        fields: Op = {"tp": part.name, "vals": vals, "acks": -1, "bare": True, "idem": True}
        fields |= {"keys": keys} if keys else {}
        if kind < 0.1:
            self.op("send", "bare", **fields, res="fail", err="NOT_ENOUGH_REPLICAS")
            return
        seq = self.sequences.get(("bare", part.name), 0)
        fields |= {"pid": 200, "epoch": 0, "seq": seq}
        off = self.append(part, "bare", vals, 200, keys)
        part.hw = len(part.log)
        if kind < 0.3:
            self.op("send", "bare", **fields, res="info", err="REQUEST_TIMED_OUT")
        self.op("send", "bare", **fields, res="ok", off=off)
        if kind < 0.2:
            self.op("send", "bare", **fields, res="ok", off=off)

    def transact(self) -> None:
        self.txns += 1
        txn, commits = f"txn-{self.txns}", self.random.random() < 0.7
        plain = [part for part in self.parts if not part.keys]
        for part in self.random.sample(plain, min(2, len(plain))):
            val = self.value("mover")
            off = self.append(part, "mover", [val], 300)
            fields: Op = {"acks": -1, "idem": True, "txn": txn, "res": "ok", "off": off}
            self.op("send", "mover", tp=part.name, val=val, **fields)
            part.log[off].is_hidden = not commits
            part.log.append(Entry(None, part.epoch, 300, -1))
            part.hw = len(part.log)
        self.op("txn", "mover", txn=txn, end="commit" if commits else "abort", res="ok")

    def replicate(self) -> None:
        part = self.random.choice(self.parts)
        part.hw = len(part.log)

    def records(self, part: Part, first: int, last: int, committed: bool) -> list[list[Any]]:
        return [
            [off, entry.epoch, entry.val]
            for off, entry in enumerate(part.log[first:last], first)
            if entry.val is not None and not (committed and entry.is_hidden)
        ]

    def read(self) -> None:
        proc = self.random.choice(("reader", "committed-reader"))
        part = self.random.choice(self.parts)
        committed = proc == "committed-reader"
        first = self.positions.get((proc, part.name), 0)
        last = min(part.hw, first + self.random.randint(1, 8))
        self.positions[proc, part.name] = last
        recs = {part.name: self.records(part, first, last, committed)}
        iso = "read_committed" if committed else "read_uncommitted"
        self.op("poll", proc, recs=recs, iso=iso, res="ok")

    def rebalance(self) -> None:
        self.generation += 1
        members = self.random.sample(("member1", "member2"), self.random.randint(1, 2))
        self.clock += 200  # who owned before has been told
        for part in self.parts:
            self.owner[part.name] = self.random.choice(members)
            self.positions[GROUP, part.name] = max(part.committed, 0)
        self.assign += 1
        for member in members:
            owned = [tp for tp, owner in self.owner.items() if owner == member]
            self.op("assign", member, group=GROUP, gen=self.generation, owned=owned, res="ok")

    def group_poll(self, most: int = 8) -> None:
        part = self.random.choice(self.parts)
        self._group_poll(part, most)

    def _group_poll(self, part: Part, most: int) -> None:
        first = self.positions[GROUP, part.name]
        last = min(part.hw, first + most)
        self.positions[GROUP, part.name] = last
        recs = {part.name: self.records(part, first, last, False)}
        proc = self.owner[part.name]
        self.op("poll", proc, recs=recs, group=GROUP, assign=self.assign, res="ok")

    def commit(self) -> None:
        part = self.random.choice(self.parts)
        part.committed = self.positions[GROUP, part.name]
        res = "ok" if self.random.random() < 0.9 else "info"
        self.op(
            "commit",
            self.owner[part.name],
            group=GROUP,
            offsets={part.name: part.committed},
            gen=self.generation,
            res=res,
        )

    def fetch_committed(self) -> None:
        part = self.random.choice(self.parts)
        self.op("committed", "asker", group=GROUP, offsets={part.name: part.committed}, res="ok")

    def list_offsets(self) -> None:
        part = self.random.choice(self.parts)
        proc = self.random.choice(("asker", "asker2"))
        self.op(
            "list_offsets",
            proc,
            tp=part.name,
            earliest=part.start,
            lso=part.hw,
            latest=part.hw,
            epoch=part.epoch,
            res="ok",
        )

    def state(self, part: Part) -> list[Any]:
        return [part.leader, part.epoch, list(BROKERS), list(part.isr)]

    def metadata(self) -> None:
        parts = {part.name: self.state(part) for part in self.parts}
        self.op("metadata", "asker", broker=1, parts=parts, res="ok")

    def store(self, part: Part) -> None:
        self.op(
            "store",
            "watch",
            tp=part.name,
            leader=part.leader,
            leader_epoch=part.epoch,
            partition_epoch=part.partition_epoch,
            isr=list(part.isr),
            replicas=list(BROKERS),
            controller_epoch=1,
            res="ok",
        )
        part.partition_epoch += 1

    def change_leader(self) -> None:
        part = self.random.choice(self.parts)
        if len(part.isr) < 2:
            return
        if self.random.random() < 0.7:
            del part.log[part.hw :]
        self.op("fault", "run", kind="kill", target=f"broker {part.leader}", on=True, res="ok")
        part.leader = self.random.choice([b for b in part.isr if b != part.leader])
        part.epoch += 1
        self.store(part)
        self.metadata()

    def shrink_or_expand(self) -> None:
        part = self.random.choice(self.parts)
        if len(part.isr) == len(BROKERS):
            part.isr = sorted(set(part.isr) - {self.random.choice(part.isr)} | {part.leader})
        else:
            part.isr = list(BROKERS)
        self.store(part)

    def dump(self, part: Part, broker: int, *, rest: bool) -> None:
        batches: list[list[int]] = []
        base = 0
        for off, entry in enumerate(part.log):
            if entry.last_of_batch:
                vals = "".join(str(e.val) for e in part.log[base : off + 1])
                first = part.log[base]
                crc = sum(map(ord, vals)) * 2654435761 % 2**32
                batches.append([base, off, entry.epoch, crc, first.pid, 0, first.seq])
                base = off + 1
        epochs: dict[int, int] = {}
        for off, entry in enumerate(part.log):
            epochs.setdefault(entry.epoch, off)
        held: Op = {"batches": batches}
        if part.keys:
            gone = part.compacted(self.random.randint(0, part.hw))
            held = {
                "records": [
                    [off, entry.epoch, entry.val, entry.key]
                    for off, entry in enumerate(part.log)
                    if off not in gone
                ]
            }
        self.op(
            "dump",
            "run",
            broker=broker,
            tp=part.name,
            start=part.start,
            hw=part.hw,
            end=len(part.log),
            **held,
            epochs=[list(e) for e in epochs.items()],
            rest=rest,
            res="ok",
        )

    def administer(self) -> None:
        self._administer(self.random.randint(1, 5), (8, 1, 1))

    def _administer(self, length: int, odds: tuple[int, int, int]) -> None:
        """A topic from its beginning to its end, or some of it; ``odds`` of it being done, of
        nobody knowing, and of its being refused."""
        self.admin_topics += 1
        name = f"admin-{self.admin_topics}"
        there, count, value, replicas = False, 0, "", {}
        steps = ["create", "partitions", "config", "reassign", "delete"]
        for do in steps[:length]:
            res = self.random.choices(("ok", "info", "fail"), odds)[0]
            happens = res == "ok" or (res == "info" and self.random.random() < 0.5)
            happens = happens and (there or do == "create")
            res = res if there or do == "create" else "fail"
            fields: Op = {}
            if do == "create":
                fields = {"count": 2, "configs": {"retention.ms": f"{self.admin_topics}0"}}
            elif do == "partitions":
                fields = {"count": count + 1}
            elif do == "config":
                fields = {"configs": {"retention.ms": f"{self.admin_topics}1"}}
            elif do == "reassign":
                fields = {"partition": 0, "replicas": self.random.sample(BROKERS, 2)}
            self.op("admin", "admin", do=do, topic=name, broker=1, res=res, **fields)
            if happens:
                there = do != "delete"
                count = fields.get("count", count)
                value = fields.get("configs", {}).get("retention.ms", value)
                replicas = {"0": fields.get("replicas", replicas.get("0", [1, 2]))}
            self.see(name, there, count, value, replicas, final=False)
        self.see(name, there, count, value, replicas, final=True)

    def see(
        self,
        name: str,
        there: bool,
        count: int,
        value: str,
        replicas: dict[str, list[int]],
        *,
        final: bool,
    ) -> None:
        fields: Op = {"topic": name, "broker": 1, "there": there, "final": final, "res": "ok"}
        if there:
            fields |= {"count": count, "configs": {"retention.ms": value}}
            fields |= {"moving": [], "parts": {p: list(r) for p, r in replicas.items()}}
        self.op("admin_seen", "admin", **fields)

    def elect(self) -> None:
        """The preferred leader, at the end."""
        part = self.parts[0]
        fields: Op = {"topic": part.name.rpartition("-")[0], "partition": 0, "final": True}
        if part.leader != BROKERS[0]:
            part.leader = BROKERS[0]
            part.epoch += 1
            self.store(part)
        self.clock += 200
        self.op("admin", "admin", do="elect", broker=1, res="ok", **fields)

    def finish(self) -> None:
        self.op("fault", "run", kind="healed", res="ok")
        self.clock += 200  # what follows certainly ends after that
        self.transact()
        self._send_plain(1)
        self._send_bare(1.0)
        for part in self.parts:
            part.isr = list(BROKERS)
            for proc in ("idem1", "idem2"):
                for known in (True, False, True):
                    self._send_idempotent(part, proc, known=known)
        for length in range(1, 6):
            self._administer(length, (1, 0, 0))
        self.elect()
        self.commit()
        self.metadata()
        for part in self.parts:
            self._group_poll(part, len(part.log))
        ends = {part.name: len(part.log) for part in self.parts}
        self.op("drained", "run", group=GROUP, ends=ends, res="ok")
        self.fetch_committed()
        self.list_offsets()
        if self.random.random() < 0.3:
            part = self.parts[0]
            part.start = self.random.randint(0, part.hw // 4)
        for part in self.parts:
            gone = part.compacted(self.random.randint(0, part.hw))
            recs = {part.name: self.records(part, part.start, part.hw, False)}
            recs = {tp: [r for r in found if r[0] not in gone] for tp, found in recs.items()}
            self.op("poll", "final", recs=recs, final=True, res="ok")
            self.op("end_of_log", "final", tp=part.name, start=part.start, end=part.hw, res="ok")
        for broker in BROKERS:
            self.op("sample", "run", broker=broker, rss=51 << 20, fds=41, when="end")
            for part in self.parts:
                self.dump(part, broker, rest=True)
