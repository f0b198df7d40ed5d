"""Single wrong things, each of which the checker must find in a history that is right else."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Op = dict[str, Any]


def find(ops: list[Op], f: str, suits: Callable[[Op], bool] = lambda _: True) -> Op:
    return next(op for op in ops if op["f"] == f and suits(op))


def final_poll(ops: list[Op]) -> Op:
    return find(ops, "poll", lambda op: op.get("final"))


def acknowledged(ops: list[Op], **fields: Any) -> list[Op]:
    """Single values that acks=all has acknowledged."""
    suits = {"res": "ok", "acks": -1} | fields
    return [
        op
        for op in ops
        if op["f"] == "send" and "val" in op and all(op.get(k) == v for k, v in suits.items())
    ]


def plain_idempotent(ops: list[Op], tp: str = "t-0") -> list[Op]:
    return [op for op in acknowledged(ops, tp=tp, idem=True) if "txn" not in op]


def kept(ops: list[Op]) -> list[Op]:
    """Those of one partition that are there to be read in the end."""
    (recs,) = final_poll(ops)["recs"].values()
    there = {val for _, _, val in recs}
    return [op for op in plain_idempotent(ops) if op["val"] in there]


def everywhere(ops: list[Op], change: Callable[[str, list[list[Any]]], None]) -> None:
    for op in ops:
        if op["f"] == "poll":
            for tp, recs in op["recs"].items():
                change(tp, recs)


def lose_a_write(ops: list[Op]) -> None:
    lost = kept(ops)[-1]["val"]
    everywhere(
        ops, lambda _, recs: recs.__setitem__(slice(None), [r for r in recs if r[2] != lost])
    )


def lose_a_read(ops: list[Op]) -> None:
    """Nobody was told that it is there, but somebody has seen it."""
    unknown = {op["val"] for op in ops if op["f"] == "send" and op["res"] == "info" and "val" in op}
    recs = final_poll(ops)["recs"]["t-0"]
    seen = {
        val
        for op in ops
        if op["f"] == "poll" and "group" in op
        for _, _, val in op["recs"].get("t-0", ())
    }
    position = next(i for i, r in enumerate(recs) if r[2] in unknown & seen)
    del recs[position]


def lose_a_key(ops: list[Op]) -> None:
    recs = compacted_in_the_end(ops)
    lost = acknowledged(ops, tp="compacted-0")[-1]["key"]
    keys = {op["val"]: op["key"] for op in ops if op["f"] == "send" and "key" in op}
    recs[:] = [r for r in recs if keys.get(r[2]) != lost]


def return_an_old_value(ops: list[Op]) -> None:
    """Compaction has kept an older value of a key, not its last one."""
    recs = compacted_in_the_end(ops)
    last = acknowledged(ops, tp="compacted-0")[-1]
    recs[:] = [r for r in recs if r[2] != last["val"]]


def compacted_in_the_end(ops: list[Op]) -> list[list[Any]]:
    found = find(ops, "poll", lambda op: op.get("final") and "compacted-0" in op["recs"])
    recs: list[list[Any]] = found["recs"]["compacted-0"]
    return recs


def keys_differ(ops: list[Op]) -> None:
    dump = [op for op in ops if op["f"] == "dump" and "records" in op][-1]
    dump["records"] = dump["records"][:-1]


def one_offset_two_values(ops: list[Op]) -> None:
    dump = [op for op in ops if op["f"] == "dump" and "records" in op][-1]
    dump["records"][-1][2] = "other.1"


def invent_a_value(ops: list[Op]) -> None:
    recs = final_poll(ops)["recs"]["t-0"]
    recs.append([recs[-1][0] + 1, 9, "nobody.1"])


def read_what_was_refused(ops: list[Op]) -> None:
    vals = final_poll(ops)["recs"]["t-0"][-1]
    sent = find(ops, "send", lambda op: op.get("val") == vals[2])
    sent |= {"res": "fail", "off": -1, "err": "NOT_ENOUGH_REPLICAS"}


def read_two_values(ops: list[Op]) -> None:
    one, other = final_poll(ops)["recs"]["t-0"][-2:]
    one[2], other[2] = other[2], one[2]


def repeat_a_value(ops: list[Op]) -> None:
    val = kept(ops)[0]["val"]
    recs = final_poll(ops)["recs"]["t-0"]
    recs.append([recs[-1][0] + 1, 9, val])


def acknowledge_one_offset_twice(ops: list[Op]) -> None:
    one, other = kept(ops)[:2]
    other["off"] = one["off"]


def acknowledge_a_retry_elsewhere(ops: list[Op]) -> None:
    first = kept(ops)[0]
    ops.append(first | {"off": first["off"] + 1})


def swap_in_time(ops: list[Op]) -> None:
    one, other = kept(ops)[0], kept(ops)[-1]
    one["t0"], one["t1"], other["t0"], other["t1"] = (
        other["t0"],
        other["t1"],
        one["t0"],
        one["t1"],
    )


def swap_a_producers_values(ops: list[Op]) -> None:
    """Two in flight at once: no clock tells which came first, the numbers do."""
    of_one = [op for op in kept(ops) if op["proc"] == "idem1"]
    one, other = of_one[0], of_one[-1]
    vals = {one["val"]: other["val"], other["val"]: one["val"]}
    one["val"], other["val"] = other["val"], one["val"]

    def swap(_: str, recs: list[list[Any]]) -> None:
        for r in recs:
            r[2] = vals.get(r[2], r[2])

    everywhere(ops, swap)


def skip_a_sequence(ops: list[Op]) -> None:
    for op in ops:
        if op["f"] == "dump" and op["tp"] == "t-0":
            mine = [b for b in op["batches"] if b[4] == 101]
            for batch in mine[len(mine) // 2 :]:
                batch[6] += 1


def lower_a_producer_epoch(ops: list[Op]) -> None:
    for op in ops:
        if op["f"] == "dump" and op["tp"] == "t-0":
            next(b for b in op["batches"] if b[4] == 101)[5] = 7


def poll_backwards(ops: list[Op]) -> None:
    recs = find(
        ops, "poll", lambda op: len(op["recs"].get("t-0", ())) > 1 and op["proc"] == "reader"
    )["recs"]["t-0"]
    recs.reverse()


def skip_in_a_poll(ops: list[Op]) -> None:
    recs = find(
        ops, "poll", lambda op: len(op["recs"].get("t-1", ())) > 2 and op["proc"] == "reader"
    )["recs"]["t-1"]
    del recs[1]


def keep_from_the_group(ops: list[Op]) -> None:
    """Each assignment begins after a record that no earlier one has read."""
    recs = final_poll(ops)["recs"]["t-0"]
    hidden = {r[0] for r in recs[-1:]}
    for op in ops:
        if op["f"] == "poll" and op.get("group"):
            for tp in op["recs"]:
                if tp == "t-0":
                    op["recs"][tp] = [r for r in op["recs"][tp] if r[0] not in hidden]


def lower_a_commit(ops: list[Op]) -> None:
    commits = [op for op in ops if op["f"] == "commit" and op["res"] == "ok"]
    lower = next(
        op["offsets"]
        for op in commits
        for tp, off in op["offsets"].items()
        if any(later["offsets"].get(tp, 0) > off for later in commits)
    )
    last = max(op["t1"] for op in ops)
    ops.append(
        {"f": "committed", "proc": "asker", "group": "group", "offsets": dict(lower), "res": "ok"}
        | {"t0": last + 1, "t1": last + 2}
    )


def forget_a_commit(ops: list[Op]) -> None:
    lower_a_commit(ops)
    ops[-1]["offsets"] = dict.fromkeys(ops[-1]["offsets"], -1)


def invent_a_commit(ops: list[Op]) -> None:
    lower_a_commit(ops)
    ops[-1]["offsets"] = dict.fromkeys(ops[-1]["offsets"], 10**6)


def lower_an_end(ops: list[Op]) -> None:
    last = [op for op in ops if op["f"] == "list_offsets"][-1]
    after = last["t1"] + 10_000
    ops.append(last | {"latest": last["latest"] - 1, "lso": 0, "t0": after, "t1": after + 1})


def lower_an_end_for_another(ops: list[Op]) -> None:
    lower_an_end(ops)
    ops[-1]["proc"] = "another"


def end_before_the_stable_offset(ops: list[Op]) -> None:
    find(ops, "list_offsets")["lso"] = 10**6


def replicas_differ(ops: list[Op]) -> None:
    dump = [op for op in ops if op["f"] == "dump" and op["tp"] == "t-0"][-1]
    dump["batches"] = copy.deepcopy(dump["batches"])
    batch = dump["batches"][-1]
    batch[2] += 1
    batch[3] ^= 1


def a_replica_ends_early(ops: list[Op]) -> None:
    dump = [op for op in ops if op["f"] == "dump" and op["tp"] == "t-0"][-1]
    del dump["batches"][-1]
    dump |= {"hw": 0}


def one_epoch_two_values(ops: list[Op]) -> None:
    dump = [op for op in ops if op["f"] == "dump" and op["tp"] == "t-0"][-1]
    dump["batches"][-1][3] ^= 1


def epochs_fall_in_a_log(ops: list[Op]) -> None:
    for op in ops:
        if op["f"] == "dump" and op["tp"] == "t-0":
            op["batches"][0][2] = 99
            op["epochs"].append([99, 0])


def epoch_checkpoint_is_wrong(ops: list[Op]) -> None:
    for op in ops:
        if op["f"] == "dump" and op["tp"] == "t-0":
            op["epochs"][-1][1] += 1


def two_leaders(ops: list[Op]) -> None:
    op = copy.deepcopy(find(ops, "metadata"))
    state = op["parts"]["t-0"]
    state[0] = next(b for b in state[3] if b != state[0])
    ops.append(op)


def leader_out_of_isr(ops: list[Op]) -> None:
    state = find(ops, "metadata")["parts"]["t-0"]
    state[3] = [b for b in state[2] if b != state[0]]


def isr_out_of_replicas(ops: list[Op]) -> None:
    find(ops, "metadata")["parts"]["t-0"][3].append(9)


def an_epoch_falls(ops: list[Op]) -> None:
    stored = [op for op in ops if op["f"] == "store" and op["tp"] == "t-0"]
    ops.append(stored[-1] | {"partition_epoch": stored[-1]["partition_epoch"] - 1})


def an_old_controller_writes(ops: list[Op]) -> None:
    stored = [op for op in ops if op["f"] == "store"]
    last = stored[-1]
    ops.append(last | {"partition_epoch": last["partition_epoch"] + 1, "controller_epoch": 0})


def isr_flaps(ops: list[Op]) -> None:
    last = [op for op in ops if op["f"] == "store" and op["tp"] == "t-0"][-1]
    for i in range(100):
        isr = last["isr"][: 1 + i % 2] if last["leader"] == 1 else [last["leader"], 1][: 1 + i % 2]
        ops.append(last | {"partition_epoch": last["partition_epoch"] + 1 + i, "isr": isr})


def two_owners(ops: list[Op]) -> None:
    op = find(ops, "assign", lambda op: op["owned"])
    ops.append(op | {"proc": "a-third"})


def commit_in_an_old_generation(ops: list[Op]) -> None:
    [op for op in ops if op["f"] == "commit" and op["res"] == "ok"][-1]["gen"] = 1


def read_an_aborted_value(ops: list[Op]) -> None:
    read_a_transaction(ops)
    end_of(ops)["end"] = "abort"


def read_too_early(ops: list[Op]) -> None:
    read_a_transaction(ops)
    end_of(ops)["t0"] = 10**15


def read_a_transaction(ops: list[Op]) -> None:
    last = {"f": "poll", "proc": "late", "t0": 10**12, "t1": 10**12, "iso": "read_committed"}
    sent = next(op for op in acknowledged(ops) if op.get("txn") == end_of(ops)["txn"])
    ops.append(last | {"recs": {sent["tp"]: [[sent["off"], 0, sent["val"]]]}, "res": "ok"})


def end_of(ops: list[Op]) -> Op:
    return find(ops, "txn", lambda op: op["end"] == "commit")


def tear_a_transaction(ops: list[Op]) -> None:
    sent = next(op for op in acknowledged(ops) if op.get("txn") == end_of(ops)["txn"])
    lost = sent["val"]
    everywhere(
        ops, lambda _, recs: recs.__setitem__(slice(None), [r for r in recs if r[2] != lost])
    )


def told_and_seen(ops: list[Op], last: str) -> Op:
    """The last look at a topic of which everything is known, ``last`` what was done to it last."""
    for seen in [op for op in ops if op["f"] == "admin_seen" and op["final"]]:
        asked = [op for op in ops if op["f"] == "admin" and op["topic"] == seen["topic"]]
        if asked[-1]["do"] == last and {op["res"] for op in asked} == {"ok"}:
            return seen
    raise AssertionError(last)


def forget_a_topic(ops: list[Op]) -> None:
    told_and_seen(ops, "create")["there"] = False


def keep_a_deleted_topic(ops: list[Op]) -> None:
    seen = told_and_seen(ops, "delete")
    before = [op for op in ops if op["f"] == "admin_seen" and op["topic"] == seen["topic"]][-3]
    seen |= {k: before[k] for k in ("there", "count", "configs", "moving", "parts")}


def forget_partitions(ops: list[Op]) -> None:
    told_and_seen(ops, "partitions")["count"] -= 1


def forget_a_setting(ops: list[Op]) -> None:
    told_and_seen(ops, "config")["configs"] = {"retention.ms": "1"}


def move_elsewhere(ops: list[Op]) -> None:
    told_and_seen(ops, "reassign")["parts"]["0"].reverse()


def move_for_ever(ops: list[Op]) -> None:
    told_and_seen(ops, "reassign")["moving"] = [0]


def elect_nobody(ops: list[Op]) -> None:
    for op in ops:
        if op["f"] == "store" and op["tp"] == "t-0":
            op["replicas"] = [9, 1, 2, 3]


def never_recover(ops: list[Op]) -> None:
    healed = find(ops, "fault", lambda op: op["kind"] == "healed")
    for op in ops:
        if op["f"] == "send" and op["t1"] >= healed["t1"]:
            op["t1"] += 16 * 10**9


def stick(ops: list[Op]) -> None:
    """One of those that get on well without it."""
    healed = find(ops, "fault", lambda op: op["kind"] == "healed")
    for op in ops:
        if op["f"] == "send" and op["proc"] == "acks1" and op["t1"] >= healed["t1"]:
            op["res"] = "info"


def stay_out_of_sync(ops: list[Op]) -> None:
    for op in ops:
        if op["f"] == "metadata":
            for state in op["parts"].values():
                state[3] = [state[0]]


def leak(ops: list[Op]) -> None:
    [op for op in ops if op["f"] == "sample"][-1]["rss"] = 500 << 20


def say_something_wrong(ops: list[Op]) -> None:
    ops.append({"f": "trouble", "proc": "run", "t0": 1, "t1": 1, "broker": 1, "text": "Traceback"})


def do_nothing(ops: list[Op]) -> None:
    for op in ops:
        if op["f"] == "send":
            op |= {"res": "info", "off": -1}


MISPLACED = {"inconsistent-offset", "lost-write", "real-time-order"}
MUTATIONS: list[tuple[str, Callable[[list[Op]], None], set[str]]] = [
    ("lost-write", lose_a_write, set()),
    ("lost-write", lose_a_key, {"lost-read"}),
    ("lost-write", return_an_old_value, {"lost-read"}),
    ("lost-read", lose_a_read, set()),
    ("phantom", invent_a_value, set()),
    ("failed-read", read_what_was_refused, set()),
    ("inconsistent-offset", read_two_values, {"lost-write", "producer-order", "lost-read"}),
    ("duplicate", repeat_a_value, set()),
    ("ack-offset", acknowledge_one_offset_twice, MISPLACED),
    ("retry-offset", acknowledge_a_retry_elsewhere, MISPLACED | {"ack-offset"}),
    ("real-time-order", swap_in_time, set()),
    ("producer-order", swap_a_producers_values, set()),
    ("sequence-gap", skip_a_sequence, set()),
    ("producer-epoch", lower_a_producer_epoch, set()),
    ("poll-order", poll_backwards, {"poll-skip"}),
    ("poll-skip", skip_in_a_poll, set()),
    ("unseen", keep_from_the_group, {"poll-skip"}),
    ("committed-regress", lower_a_commit, set()),
    ("committed-regress", forget_a_commit, set()),
    ("phantom-commit", invent_a_commit, set()),
    ("end-regress", lower_an_end, set()),
    ("end-regress", lower_an_end_for_another, set()),
    ("watermark-order", end_before_the_stable_offset, set()),
    ("divergence", replicas_differ, {"epoch-value", "epoch-history"}),
    ("divergence", a_replica_ends_early, set()),
    ("divergence", keys_differ, set()),
    ("epoch-value", one_epoch_two_values, {"divergence"}),
    ("epoch-value", one_offset_two_values, {"divergence"}),
    ("epoch-history", epochs_fall_in_a_log, set()),
    ("epoch-history", epoch_checkpoint_is_wrong, set()),
    ("two-leaders", two_leaders, set()),
    ("leader-outside-isr", leader_out_of_isr, set()),
    ("isr-outside-replicas", isr_out_of_replicas, set()),
    ("epoch-regress", an_epoch_falls, set()),
    ("stale-controller", an_old_controller_writes, set()),
    ("isr-storm", isr_flaps, set()),
    ("two-owners", two_owners, set()),
    ("stale-commit", commit_in_an_old_generation, set()),
    ("aborted-read", read_an_aborted_value, set()),
    ("early-read", read_too_early, set()),
    ("torn-transaction", tear_a_transaction, {"lost-write"}),
    ("untrue-success", forget_a_topic, set()),
    ("untrue-success", keep_a_deleted_topic, set()),
    ("untrue-success", forget_partitions, set()),
    ("untrue-success", forget_a_setting, set()),
    ("untrue-success", move_elsewhere, set()),
    ("stuck-reassignment", move_for_ever, set()),
    ("not-preferred", elect_nobody, set()),
    ("no-recovery", never_recover, set()),
    ("stuck-producer", stick, set()),
    ("isr-not-full", stay_out_of_sync, set()),
    ("leak", leak, set()),
    ("trouble", say_something_wrong, set()),
    ("floor", do_nothing, {"no-recovery", "stuck-producer"}),
]
