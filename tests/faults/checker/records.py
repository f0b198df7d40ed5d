"""Written and read: phantom, failed and aborted reads, inconsistent offsets, lost, duplicated."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING

from tests.faults.checker.core import Send

if TYPE_CHECKING:
    from tests.faults.checker.core import Op, Place, Run

new = tuple.__new__  # what Send._make does, in half the time


class Collect:
    """Not a judgement yet, but for what contradicts itself at once: values at one offset."""

    kinds = ("config", "send", "poll", "end_of_log", "fault")

    def __init__(self, run: Run) -> None:
        self.run = run

    def take(self, op: Op, ref: int) -> None:
        kind = op["f"]
        if kind == "send":
            self._send(op, ref)
        elif kind == "poll":
            self._poll(op, ref)
        elif kind == "end_of_log":
            final = self.run.final[op["tp"]]
            final.start, final.end, final.ref = op["start"], op["end"], ref
        elif kind == "fault":
            self.run.faults.append((op, ref))
            if op["kind"] == "healed":
                self.run.last_heal = max(self.run.last_heal, op["t1"])
        else:
            self.run.config |= op

    def _send(self, op: Op, ref: int) -> None:
        get = op.get
        sends = self.run.sends
        off = get("off", -1)
        res = op["res"]
        one = get("val")
        vals = (one,) if one is not None else op["vals"]
        head = (op["t0"], op["t1"], intern(op["tp"]), intern(res))
        tail = (op["acks"], get("idem", False), get("bare", False), get("txn"), ref)
        key = get("key")
        keys = (key,) if key is not None else get("keys")
        for i, val in enumerate(vals):
            send = new(Send, (*head, off, *tail, keys[i] if keys else None))
            if sends.setdefault(val, send) is not send:
                self.run.more[val].append(send)
            if off >= 0:
                off += 1
        self.run.counts["sends"] += len(vals)
        if res == "ok":
            self.run.counts["ok sends"] += len(vals)
        elif op["acks"] != 0 and not get("bare"):
            self.run.counts["failed sends"] += len(vals)  # the client itself gave up

    def _poll(self, op: Op, ref: int) -> None:
        final = op.get("final", False)
        count = 0
        for tp, records in op["recs"].items():
            known = self.run.reads[tp]
            for off, _, val in records:
                seen = known.get(off)
                if seen is None:
                    known[off] = (val, ref)
                elif seen[0] != val:
                    self._inconsistent(tp, off, seen, (val, ref))
            if final:
                self.run.final[tp].places.update({off: (val, ref) for off, _, val in records})
            count += len(records)
        self.run.counts["records read"] += count
        self.run.counts["polls"] += 1

    def _inconsistent(self, tp: str, off: int, one: Place, other: Place) -> None:
        if not self.run.is_unclean:
            what = f"{tp} offset {off} was read as {one[0]} and as {other[0]}"
            self.run.add("inconsistent-offset", what, one[1], other[1])

    def finish(self) -> None:
        self.run.counts["failed sends"] += 0
        self.run.counts["values"] = len(self.run.sends)


class Reads:
    """Whatever was read had been sent, and was not refused."""

    kinds: tuple[str, ...] = ()

    def __init__(self, run: Run) -> None:
        self.run = run

    def take(self, op: Op, ref: int) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        run = self.run
        sends, more = run.sends, run.more
        for tp, places in run.reads.items():
            for off, (val, ref) in places.items():
                send = sends.get(val)
                if send is None or send.tp != tp:
                    run.add("phantom", f"{val} at {tp} offset {off} was never sent there", ref)
                elif send.res == "fail" and all(s.res == "fail" for s in more.get(val, ())):
                    what = f"{val} at {tp} offset {off} had been refused for certain"
                    run.add("failed-read", what, send.ref, ref)


class Acknowledged:
    """An acknowledgement with acks=all says where a record is, now and for ever."""

    kinds: tuple[str, ...] = ()

    def __init__(self, run: Run) -> None:
        self.run = run
        self.lost_by_acks = {1: 0, -1: 0}

    def take(self, op: Op, ref: int) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        run = self.run
        taken: dict[str, dict[int, tuple[str, int]]] = {}
        for val, send in run.sends.items():
            if send.res == "ok":
                self._check(val, send, taken)
            for again in run.more.get(val, ()):
                if again.res == "ok":
                    self._check(val, again, taken)
                    if send.res == "ok" and send.idem and again.off != send.off:
                        what = f"{val} was acknowledged at {send.off} and at {again.off}"
                        run.add("retry-offset", what, send.ref, again.ref)
        run.counts["lost acks=1"] = self.lost_by_acks[1]
        run.counts["lost acks=all"] = self.lost_by_acks[-1]
        self._check_reads_last()

    def _check(self, val: str, send: Send, taken: dict[str, dict[int, tuple[str, int]]]) -> None:
        run = self.run
        if send.acks == 1:
            if self._is_lost(val, send):
                self.lost_by_acks[1] += 1
            return
        if send.off >= 0:
            owner = taken.setdefault(send.tp, {}).setdefault(send.off, (val, send.ref))
            if owner[0] != val and not run.is_unclean:
                what = f"{owner[0]} and {val} were both acknowledged at {send.tp} offset {send.off}"
                run.add("ack-offset", what, owner[1], send.ref)
            read = run.reads[send.tp].get(send.off)
            if read is not None and read[0] != val and not run.is_unclean:
                what = f"{val} was acknowledged at {send.tp} offset {send.off}, where {read[0]} is"
                run.add("inconsistent-offset", what, send.ref, read[1])
        if self._is_lost(val, send):
            self.lost_by_acks[-1] += 1
            if not run.is_unclean:
                what = f"{val}, acknowledged at {send.tp} offset {send.off}, is gone"
                run.add("lost-write", what, send.ref, run.final[send.tp].ref)

    def _is_lost(self, val: str, send: Send) -> bool:
        final = self.run.final.get(send.tp)
        if final is None or final.end < 0:
            return True  # nothing of it could be read in the end
        if send.off < 0:  # a client may know that it is there, and not where
            return val not in final.values and not self.run.is_replaced(send.tp, val, send.off)
        if send.off < final.start:
            return False
        place = final.places.get(send.off)
        if place is None and self.run.is_replaced(send.tp, val, send.off):
            self.run.counts["compacted away"] += 1
            return False
        return place is None or place[0] != val

    def _check_reads_last(self) -> None:
        """Who reads sees what is committed: it stays."""
        if self.run.is_unclean:
            return
        for tp, places in self.run.reads.items():
            final = self.run.final.get(tp)
            for off, (val, ref) in places.items():
                if final is None or (off >= final.start and off not in final.places):
                    if final is not None and self.run.is_replaced(tp, val, off):
                        continue
                    what = f"{val} was read at {tp} offset {off} and is gone"
                    self.run.add("lost-read", what, ref, final.ref if final else ref)


class Duplicates:
    """An idempotent value is in the log once; a plain one as often as it was tried."""

    kinds: tuple[str, ...] = ()

    def __init__(self, run: Run) -> None:
        self.run = run

    def take(self, op: Op, ref: int) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        run = self.run
        for tp, final in run.final.items():
            seen: dict[str, int] = {}
            for off, (val, ref) in sorted(final.places.items()):
                if val not in seen:
                    seen[val] = off
                    continue
                run.counts["duplicates"] += 1
                tries = run.attempts(val)
                if tries and (tries[0].idem or (tries[0].bare and len(tries) == 1)):
                    what = f"{val} is at {tp} offset {seen[val]} and again at {off}"
                    run.add("duplicate", what, tries[0].ref, final.places[seen[val]][1], ref)
