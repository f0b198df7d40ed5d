"""Log directories, starts and stops, checkpoints, deletion, moves between directories."""

from __future__ import annotations

import errno
from random import Random
from typing import Any

import anyio
import pytest

from pykbroker.config.settings import DynamicSettings, Settings
from pykbroker.edges.disk import RealDisk
from pykbroker.edges.workers import InlineWorkers
from pykbroker.runtime.storage import flush
from pykbroker.runtime.storage.directory import DirectoryRefused
from pykbroker.runtime.storage.manager import LogManager
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.checkpoints import decode_offsets
from pykbroker.state.types import NO_TOPIC_ID, TopicId, TopicPartition
from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_clock import ManualClock
from tests.support.storage import START_MS, TOPIC_ID, ManagerBox, batch, config, read_all
from wire.errors import ErrorCode

pytestmark = pytest.mark.anyio
OTHER_ID = TopicId(bytes(15) + b"\1")


@pytest.fixture
async def box() -> ManagerBox:
    box = ManagerBox()
    await box.start()
    return box


def checkpoint(box: ManagerBox, name: str, path: str = "/data") -> dict[TopicPartition, int]:
    return decode_offsets(box.disk.read_bytes(f"{path}/{name}"))


class TestWhoseDirectory:
    async def test_a_new_directory_is_marked_as_ours(self, box: ManagerBox) -> None:
        text = box.disk.read_bytes("/data/meta.properties").decode()
        lines = set(text.splitlines())
        assert {"version=1", "node.id=1", "cluster.id=cluster"} <= lines
        assert "pykbroker.format.version=1" in lines
        assert len(box.manager.directories[0].directory_id) == 16

    async def test_it_keeps_its_identity(self, box: ManagerBox) -> None:
        before = box.manager.directories[0].directory_id
        box.manager.release()
        box.make()
        assert box.manager.acquire() == "cluster"
        assert box.manager.directories[0].directory_id == before

    @pytest.mark.parametrize(("cluster", "node"), [("another", 1), ("cluster", 2)])
    async def test_the_data_of_another_cluster_or_node_is_refused(
        self, box: ManagerBox, cluster: str, node: int
    ) -> None:
        box.manager.release()
        manager = box.make()
        manager.acquire()
        with pytest.raises(DirectoryRefused, match="/data holds data of"):
            await manager.start(cluster, node)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (
                b"version=1\nnode.id=1\ncluster.id=c\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n",
                "import",
            ),
            (b"version=1\nnode.id=1\ncluster.id=c\npykbroker.format.version=2\n", "newer"),
            (b"garbage", "cannot be read"),
        ],
    )
    async def test_what_is_not_ours_is_refused_untouched(self, content: bytes, reason: str) -> None:
        box = ManagerBox()
        box.disk.mkdir("/data")
        box.disk.write_atomic("/data/meta.properties", content)
        steps = box.disk.steps
        with pytest.raises(DirectoryRefused, match=reason):
            box.manager.acquire()
        assert box.disk.steps == steps
        assert box.disk.listdir("/data") == ["meta.properties"]

    async def test_a_directory_with_other_things_in_it_is_refused_untouched(self) -> None:
        box = ManagerBox()
        box.disk.mkdir("/data/photos")
        steps = box.disk.steps
        with pytest.raises(DirectoryRefused, match="photos"):
            box.manager.acquire()
        assert box.disk.steps == steps

    async def test_what_others_of_this_broker_keep_there_is_no_hindrance(self) -> None:
        box = ManagerBox()
        box.disk.mkdir("/data")
        box.disk.open("/data/metadata.sqlite", create=True)
        manager = LogManager(
            box.disk,
            box.clock,
            InlineWorkers(),
            Random(1),
            DynamicSettings(Settings({})),
            ["/data"],
            ignored_names=["metadata.sqlite"],
        )
        assert manager.acquire() is None

    async def test_a_file_is_no_directory(self) -> None:
        box = ManagerBox()
        box.disk.open("/data", create=True)
        with pytest.raises(DirectoryRefused, match="is a file"):
            box.manager.acquire()

    async def test_two_brokers_cannot_have_one_directory(self, box: ManagerBox) -> None:
        first = box.manager
        with pytest.raises(DirectoryRefused, match="in use by another broker"):
            box.make().acquire()
        first.release()
        box.make().acquire()

    async def test_a_refused_start_lets_go_of_the_other_directories(self) -> None:
        box = ManagerBox(paths=("/a", "/b"))
        box.disk.mkdir("/b/photos")
        with pytest.raises(DirectoryRefused):
            box.manager.acquire()
        box.disk.rmtree("/b")
        box.manager.acquire()

    async def test_a_copied_directory_is_told_from_its_original(self) -> None:
        box = ManagerBox(paths=("/a", "/b"))
        await box.start()
        box.manager.release()
        box.disk.write_atomic("/b/meta.properties", box.disk.read_bytes("/a/meta.properties"))
        with pytest.raises(DirectoryRefused, match=r"same directory\.id"):
            await box.start()


class TestStartAndStop:
    async def test_after_a_clean_stop_nothing_is_read_before_it_is_needed(
        self, box: ManagerBox
    ) -> None:
        for number in range(20):
            box.append(box.log(partition=number), b"x")
        await box.manager.close(7)
        assert 'brokerEpoch":7' in box.disk.read_bytes("/data/.kafka_cleanshutdown").decode()
        manager = await box.start()
        assert (manager.was_clean, manager.previous_broker_epoch) == (True, 7)
        assert not box.disk.exists("/data/.kafka_cleanshutdown")
        logs = [box.log(partition=number) for number in range(20)]
        assert not any(log.is_loaded for log in logs)
        assert len(manager.handles) == 0
        assert logs[3].log_end_offset == logs[3].high_watermark == 1
        assert manager.recoveries == {}

    async def test_after_a_kill_every_log_is_looked_at(self, box: ManagerBox) -> None:
        for number in range(3):
            box.append(box.log(partition=number), b"x", b"y")
        box.disk.open(f"/data/t-1/{0:020d}.log").truncate(30)
        manager = await box.restart()
        assert (manager.was_clean, manager.previous_broker_epoch) == (False, -1)
        assert {tp.partition: r.cut_bytes for tp, r in manager.recoveries.items()} == {
            0: 0,
            1: 30,
            2: 0,
        }
        assert [box.log(partition=n).log_end_offset for n in range(3)] == [2, 0, 2]

    async def test_the_first_start_is_a_clean_one(self, box: ManagerBox) -> None:
        assert box.manager.was_clean
        assert box.manager.previous_broker_epoch == -1
        await box.restart()
        assert box.manager.was_clean, "there is nothing that could have been lost"

    async def test_a_stop_leaves_all_data_synced_and_all_checkpoints_true(
        self, box: ManagerBox
    ) -> None:
        for number in range(3):
            log = box.log(partition=number)
            for _ in range(number + 1):
                box.append(log, b"x")
        box.log(partition=2).advance_log_start_offset(2)
        await box.manager.close()
        ends = {TopicPartition("t", n): n + 1 for n in range(3)}
        assert checkpoint(box, "recovery-point-offset-checkpoint") == ends
        assert checkpoint(box, "replication-offset-checkpoint") == ends
        assert checkpoint(box, "log-start-offset-checkpoint") == {TopicPartition("t", 2): 2}
        box.disk.power_cut(Random(1))
        await box.start()
        assert [len(read_all(box.log(partition=n))) for n in range(3)] == [1, 2, 1]

    async def test_the_marker_is_the_last_thing_written(self, box: ManagerBox) -> None:
        box.append(box.log(), b"x")
        box.disk.history.clear()
        await box.manager.close()
        changes = [change for change in box.disk.history if change.strip() != "append"]
        assert changes[-1] == "write_atomic /data/.kafka_cleanshutdown"

    async def test_an_unclean_recovery_is_told_what_the_metadata_know(
        self, box: ManagerBox
    ) -> None:
        asked = []

        def known(topic_partition: TopicPartition, topic_id: TopicId) -> None:
            asked.append((topic_partition, topic_id))

        box.append(box.log(), b"x")
        box.manager.release()
        await box.start(known=known)
        assert asked == [(TopicPartition("t", 0), TOPIC_ID)]

    async def test_checkpoints_of_logs_not_used_since_are_kept(self, box: ManagerBox) -> None:
        for number in range(2):
            box.append(box.log(partition=number), b"x")
        await box.manager.close()
        await box.start()
        box.append(box.log(partition=0), b"y")
        await box.manager.upkeep.write_checkpoints()
        assert checkpoint(box, "replication-offset-checkpoint") == {
            TopicPartition("t", 0): 2,
            TopicPartition("t", 1): 1,
        }

    async def test_a_checkpoint_that_says_so_already_is_not_written_again(
        self, box: ManagerBox
    ) -> None:
        box.append(box.log(), b"x")
        await box.manager.upkeep.write_checkpoints()
        steps = box.disk.steps
        await box.manager.upkeep.write_checkpoints()
        assert box.disk.steps == steps

    @pytest.mark.parametrize("content", [b"", b"garbage", b"0\n1\nt 0 -5\n", bytes(100)])
    async def test_damaged_checkpoints_are_done_without(
        self, box: ManagerBox, content: bytes
    ) -> None:
        log = box.log()
        for _ in range(3):
            box.append(log, b"x")
        await box.manager.close()
        for name in (
            "recovery-point-offset-checkpoint",
            "replication-offset-checkpoint",
            "log-start-offset-checkpoint",
        ):
            box.disk.write_atomic(f"/data/{name}", content)
        await box.start()
        log = box.log()
        assert (log.log_start_offset, log.log_end_offset, log.high_watermark) == (0, 3, 0)


class TestPartitions:
    async def test_a_log_is_made_once(self, box: ManagerBox) -> None:
        log = box.log()
        other = config(retention_ms=5)
        assert box.manager.get_or_create(log.topic_partition, TOPIC_ID, other) is log
        assert log.config is other
        assert box.manager.get(log.topic_partition) is log
        assert box.manager.get(TopicPartition("u", 0)) is None

    async def test_a_topic_of_the_same_name_begins_empty(self, box: ManagerBox) -> None:
        box.append(box.log(), b"x")
        log = box.manager.get_or_create(TopicPartition("t", 0), OTHER_ID, config())
        assert (log.topic_id, log.log_end_offset) == (OTHER_ID, 0)
        assert [n.endswith("-stray") for n in box.disk.listdir("/data") if n.startswith("t-")] == [
            True
        ]

    @pytest.mark.parametrize("clean", [True, False])
    async def test_also_when_the_old_one_was_deleted_while_this_broker_was_down(
        self, box: ManagerBox, clean: bool
    ) -> None:
        box.append(box.log(), b"x")
        if clean:
            await box.manager.close()
        box.manager.release()
        await box.start()
        log = box.manager.get_or_create(TopicPartition("t", 0), OTHER_ID, config())
        assert log.log_end_offset == 0
        log.append_as_leader(batch(b"new"), 0, START_MS)
        assert [r.value for r in read_all(log)] == [b"new"]
        assert sum(n.endswith("-stray") for n in box.disk.listdir("/data")) == 1

    async def test_deleted_while_it_is_being_synced_it_fails_nothing(self, box: ManagerBox) -> None:
        log = box.log()
        log.begin_epoch(3)
        box.append(log, b"v")
        (job,) = flush.begin([log])
        box.manager.delete(TopicPartition("t", 0))
        job.run()
        job.finish()
        assert not log.is_failed
        assert not box.manager.directories[0].is_failed

    async def test_a_deleted_partitions_files_go_after_the_delay(self, box: ManagerBox) -> None:
        box.append(box.log(), b"x")
        box.manager.delete(TopicPartition("t", 0))
        assert box.manager.get(TopicPartition("t", 0)) is None
        (folder,) = [n for n in box.disk.listdir("/data") if n.startswith("t-")]
        assert folder.startswith("t-0.")
        assert folder.endswith("-delete")
        assert len(box.manager.handles) == 0
        box.manager.release()
        manager = await box.start()
        assert manager.directories[0].leftovers == [folder]

    async def test_deleting_what_was_never_written_touches_nothing(self, box: ManagerBox) -> None:
        box.log()
        steps = box.disk.steps
        box.manager.delete(TopicPartition("t", 0))
        box.manager.delete(TopicPartition("t", 1))
        assert box.disk.steps == steps

    async def test_strays_are_put_aside_and_stay(self, box: ManagerBox) -> None:
        for topic in ("kept", "gone", "renewed"):
            box.append(box.log(topic), b"x")
        await box.manager.close()
        manager = await box.start()

        def is_known(topic_partition: TopicPartition, topic_id: TopicId) -> bool:
            return topic_partition.topic == "kept"

        assert manager.put_strays_aside(is_known) == 2
        names = box.disk.listdir("/data")
        assert "kept-0" in names
        assert sum(name.endswith("-stray") for name in names) == 2
        assert box.log("kept").log_end_offset == 1
        assert manager.put_strays_aside(is_known) == 0
        # As Kafka has it, nothing removes them: the metadata may be what is wrong.
        assert manager.upkeep._doomed == []
        await manager.close()
        assert (await box.start()).directories[0].leftovers == []

    async def test_new_logs_keep_even_what_others_made_uneven(self) -> None:
        box = ManagerBox(paths=("/a", "/b", "/c"))
        manager = await box.start()

        def held() -> list[int]:
            logs = [*manager.logs.values(), *manager.futures.values()]
            return [sum(log.log_directory == path for log in logs) for path in box.paths]

        logs = [box.log(partition=index) for index in range(9)]
        assert held() == [3, 3, 3]
        for log in logs:
            if log.log_directory == "/b":
                manager.delete(log.topic_partition)
        for index in range(10, 13):
            box.log(partition=index)
        assert held() == [3, 3, 3]
        home = manager.directory_at("/c")
        moved = [log for log in logs if log.log_directory == "/a"]
        for log in moved:
            manager.create_future(log.topic_partition, home)
        for index in range(20, 24):
            box.log(partition=index)
        assert held() == [5, 5, 6]
        for log in moved:
            manager.cancel_future(log.topic_partition)
        for index in range(30, 32):
            box.log(partition=index)
        assert held() == [5, 5, 5]
        manager.create_future(moved[0].topic_partition, home)
        manager.swap_future(moved[0].topic_partition)
        assert held() == [4, 5, 6]
        for index in range(40, 43):
            box.log(partition=index)
        assert held() == [6, 6, 6]

    async def test_new_logs_go_where_the_fewest_are(self) -> None:
        box = ManagerBox(paths=("/a", "/b", "/c"))
        await box.start()
        for number in range(9):
            box.append(box.log(partition=number), b"x")
        counts = [
            sum(name.startswith("t-") for name in box.disk.listdir(path)) for path in box.paths
        ]
        assert counts == [3, 3, 3]
        await box.manager.close()
        await box.start()
        assert all(box.log(partition=n).log_end_offset == 1 for n in range(9))

    async def test_a_partition_without_an_id_on_disk_is_taken_as_it_is(
        self, box: ManagerBox
    ) -> None:
        log = box.manager.get_or_create(TopicPartition("t", 0), NO_TOPIC_ID, config())
        log.append_as_leader(batch(b"x"), 0, START_MS)
        assert not box.disk.exists("/data/t-0/partition.metadata")
        await box.manager.close()
        await box.start()
        assert box.log().log_end_offset == 1


class TestMoves:
    async def moved(self, box: ManagerBox) -> Any:
        manager = await box.start()
        log = manager.get_or_create(
            TopicPartition("t", 0), TOPIC_ID, config(), directory=manager.directories[0]
        )
        for number in range(5):
            box.append(log, b"%d" % number)
        future = manager.create_future(TopicPartition("t", 0), manager.directories[1])
        future.append_as_follower(log.read(0, 1 << 20).records)
        return manager, log, future

    async def test_a_copy_takes_the_place_of_the_log(self) -> None:
        box = ManagerBox(paths=("/a", "/b"))
        manager, _log, future = await self.moved(box)
        assert next(n for n in box.disk.listdir("/b") if n.startswith("t-0.")).endswith("-future")
        swapped = manager.swap_future(TopicPartition("t", 0))
        assert swapped is future is manager.get(TopicPartition("t", 0))
        assert swapped.directory == "/b/t-0"
        assert swapped.high_watermark == 5
        box.append(swapped, b"more")
        assert len(read_all(swapped)) == 6
        assert not box.disk.exists("/a/t-0")
        await manager.close()
        await box.start()
        assert len(read_all(box.log())) == 6
        assert box.log().log_directory == "/b"

    async def test_a_move_can_be_given_up(self) -> None:
        box = ManagerBox(paths=("/a", "/b"))
        manager, log, future = await self.moved(box)
        assert manager.create_future(TopicPartition("t", 0), manager.directories[1]) is future
        manager.cancel_future(TopicPartition("t", 0))
        assert manager.futures == {}
        assert len(read_all(log)) == 5
        assert not [n for n in box.disk.listdir("/b") if n.endswith("-future")]

    async def test_a_move_that_was_broken_off_between_the_two_renames_is_completed(self) -> None:
        box = ManagerBox(paths=("/a", "/b"))
        manager, _, _ = await self.moved(box)
        box.disk.rename("/a/t-0", f"/a/t-0.{'0' * 32}-delete")
        manager.release()
        await box.start()
        assert len(read_all(box.log())) == 5
        assert box.log().log_directory == "/b"

    async def test_a_move_that_was_broken_off_before_is_forgotten(self) -> None:
        box = ManagerBox(paths=("/a", "/b"))
        manager, _, _ = await self.moved(box)
        manager.release()
        manager = await box.start()
        assert box.log().log_directory == "/a"
        again = manager.create_future(TopicPartition("t", 0), manager.directories[1])
        assert again.log_end_offset == 0
        assert not [n for n in box.disk.listdir("/b") if n.endswith("-future")]

    async def test_a_deleted_partition_takes_its_copy_along(self) -> None:
        box = ManagerBox(paths=("/a", "/b"))
        manager, _, _ = await self.moved(box)
        manager.delete(TopicPartition("t", 0))
        assert manager.futures == {}
        assert not [n for n in box.disk.listdir("/b") if n.endswith("-future")]


class TestFailingDirectories:
    async def test_one_of_several_may_fail_at_run_time(self) -> None:
        box = ManagerBox(paths=("/a", "/b"))
        manager = await box.start()
        logs = [box.log(partition=n) for n in range(4)]
        for log in logs:
            box.append(log, b"x")
        told: list[tuple[str, int]] = []
        manager.on_directory_failed = lambda path, failed: told.append((path, len(failed)))
        box.disk.refusals["append"] = errno.EIO
        with pytest.raises(KafkaError):
            box.append(logs[0], b"y")
        box.disk.refusals.clear()
        failed = logs[0].log_directory
        assert told == [(failed, 2)]
        assert [d.path for d in manager.live_directories()] == [
            path for path in ("/a", "/b") if path != failed
        ]
        for log in logs:
            if log.log_directory == failed:
                with pytest.raises(KafkaError) as error:
                    box.append(log, b"z")
                assert error.value.code is ErrorCode.KAFKA_STORAGE_ERROR
            else:
                box.append(log, b"z")
        assert box.log(partition=9).log_directory != failed
        await manager.close()
        assert not box.disk.exists(f"{failed}/.kafka_cleanshutdown")

    async def test_when_all_have_failed_there_is_nowhere_to_put_a_log(
        self, box: ManagerBox
    ) -> None:
        box.manager.upkeep.directory_failed("/data", OSError(errno.EIO, "x"))
        with pytest.raises(KafkaError) as error:
            box.log()
        assert error.value.code is ErrorCode.KAFKA_STORAGE_ERROR

    async def test_one_that_cannot_be_made_is_left_out(self) -> None:
        class Broken(FaultyDisk):
            def mkdir(self, path: str) -> bool:
                if path.startswith("/a"):
                    raise PermissionError(errno.EACCES, "no", path)
                return super().mkdir(path)

        box = ManagerBox(Broken(), paths=("/a", "/b"))
        manager = await box.start()
        assert [d.path for d in manager.live_directories()] == ["/b"]
        box = ManagerBox(Broken(), paths=("/a",))
        with pytest.raises(DirectoryRefused, match="cannot use log directory /a: no"):
            box.manager.acquire()


class TestLoops:
    """The loops of a broker under a clock that is moved by hand."""

    async def settle(self) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()

    def manager(self, settings: dict[str, str], disk: FaultyDisk | None = None) -> Any:
        clock = ManualClock()
        manager = LogManager(
            disk or FaultyDisk(clock.wall_ms),
            clock,
            InlineWorkers(),
            Random(1),
            DynamicSettings(Settings(settings)),
            ["/data"],
        )
        manager.acquire()
        return manager, clock

    async def test_checkpoints_syncs_retention_and_removal_happen_in_their_time(self) -> None:
        manager, clock = self.manager({"log.retention.check.interval.ms": "1000"})
        await manager.start("cluster", 1)
        disk = manager.disk
        topic = TopicPartition("t", 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.run)
            await self.settle()
            settings = config(flush_messages=1, retention_ms=60_000, file_delete_delay_ms=7_000)
            log = manager.get_or_create(topic, TOPIC_ID, settings)
            log.append_as_leader(batch(b"x", timestamp=clock.wall_ms()), 0, clock.wall_ms())
            assert log.durable_end_offset == 0
            await self.settle()
            assert log.durable_end_offset == 1
            log.update_high_watermark(1)
            clock.advance(5_000)
            await self.settle()
            assert decode_offsets(disk.read_bytes("/data/replication-offset-checkpoint")) == {
                topic: 1
            }
            assert not disk.exists("/data/recovery-point-offset-checkpoint")
            clock.advance(55_000)
            await self.settle()
            assert decode_offsets(disk.read_bytes("/data/recovery-point-offset-checkpoint")) == {
                topic: 1
            }
            assert log.log_start_offset == 0
            clock.advance(2_000)
            await self.settle()
            assert log.log_start_offset == 1
            assert [n for n in disk.listdir("/data/t-0") if n.endswith(".deleted")]
            clock.advance(7_000)
            await self.settle()
            assert not [n for n in disk.listdir("/data/t-0") if n.endswith(".deleted")]
            manager.delete(topic)
            clock.advance(60_000)
            await self.settle()
            assert not [n for n in disk.listdir("/data") if n.startswith("t-0")]
            tasks.cancel_scope.cancel()

    async def test_a_moved_log_start_is_remembered_at_once(self) -> None:
        manager, clock = self.manager({})
        await manager.start("cluster", 1)
        topic = TopicPartition("t", 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.run)
            await self.settle()
            log = manager.get_or_create(topic, TOPIC_ID, config())
            log.append_as_leader(batch(b"x", b"y"), 0, clock.wall_ms())
            log.update_high_watermark(2)
            log.advance_log_start_offset(1)
            await self.settle()
            data = manager.disk.read_bytes("/data/log-start-offset-checkpoint")
            assert decode_offsets(data) == {topic: 1}
            tasks.cancel_scope.cancel()

    async def test_all_that_ask_during_a_round_share_the_next(self) -> None:
        manager, clock = self.manager({})
        await manager.start("cluster", 1)
        logs = [
            manager.get_or_create(TopicPartition("t", n), TOPIC_ID, config(flush_messages=1))
            for n in range(10)
        ]
        flusher = manager.upkeep.flushers["/data"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.run)
            await self.settle()
            rounds = flusher.rounds
            for log in logs:
                for _ in range(5):
                    log.append_as_leader(batch(b"x"), 0, clock.wall_ms())
            await self.settle()
            assert all(log.durable_end_offset == 5 for log in logs)
            assert flusher.rounds == rounds + 1
            tasks.cancel_scope.cancel()

    async def test_a_compacted_log_is_cleaned(self) -> None:
        manager, clock = self.manager({})
        await manager.start("cluster", 1)
        settings = config(cleanup_policy="compact")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.run)
            await self.settle()
            log = manager.get_or_create(TopicPartition("t", 0), TOPIC_ID, settings)
            for number in range(3):
                log.append_as_leader(
                    batch(b"%d" % number, key=b"k", timestamp=clock.wall_ms()), 0, clock.wall_ms()
                )
            log.update_high_watermark(3)
            log.roll()
            for _ in range(10):
                clock.advance(15_000)
                await self.settle()
            assert [r.value for r in read_all(log)] == [b"2"]
            tasks.cancel_scope.cancel()

    async def test_idle_producers_are_forgotten(self) -> None:
        manager, clock = self.manager({"producer.id.expiration.ms": "1000000"})
        await manager.start("cluster", 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.run)
            await self.settle()
            log = manager.get_or_create(TopicPartition("t", 0), TOPIC_ID, config(retention_ms=-1))
            data = batch(
                b"x",
                producer_id=1,
                producer_epoch=0,
                base_sequence=0,
                timestamp=clock.wall_ms(),
            )
            log.append_as_leader(data, 0, clock.wall_ms())
            clock.advance(600_000)
            await self.settle()
            assert 1 in log.producers.entries
            clock.advance(600_000)
            await self.settle()
            assert log.producers.entries == {}
            tasks.cancel_scope.cancel()

    async def test_flush_ms_syncs_in_its_time(self) -> None:
        manager, clock = self.manager({})
        await manager.start("cluster", 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.run)
            await self.settle()
            log = manager.get_or_create(TopicPartition("t", 0), TOPIC_ID, config(flush_ms=300))
            log.append_as_leader(batch(b"x"), 0, clock.wall_ms())
            await self.settle()
            log.append_as_leader(batch(b"x"), 0, clock.wall_ms())
            clock.advance(299)
            await self.settle()
            assert log.recovery_point < 2
            clock.advance(1)
            await self.settle()
            assert log.recovery_point == 2
            tasks.cancel_scope.cancel()


def test_a_thousand_partitions_need_few_descriptors(tmp_path: Any) -> None:
    """More logs than handles: each is closed to make room for another."""
    clock = ManualClock()
    disk = RealDisk()
    manager = LogManager(
        disk,
        clock,
        InlineWorkers(),
        Random(1),
        DynamicSettings(Settings({})),
        [str(tmp_path / "data")],
        max_open_files=20,
    )
    manager.acquire()

    async def fill() -> None:
        await manager.start("cluster", 1)
        logs = [
            manager.get_or_create(TopicPartition("t", n), TOPIC_ID, config()) for n in range(100)
        ]
        for _ in range(3):
            for log in logs:
                log.append_as_leader(batch(b"x"), 0, clock.wall_ms())
        assert len(manager.handles) <= 20
        assert all(len(read_all(log)) == 3 for log in logs)
        await manager.close()

    anyio.run(fill)


async def test_only_what_is_written_again_stays_open(box: ManagerBox) -> None:
    logs = [box.log(partition=index) for index in range(3)]
    for log in logs:
        box.append(log, b"x")
        assert len(box.manager.handles) > 0
        log.flush()
    assert len(box.manager.handles) == 3
    box.manager.delete(logs[0].topic_partition)
    assert len(box.manager.handles) == 2
    box.manager.release()
    assert len(box.manager.handles) == 0


async def test_no_more_are_open_than_are_allowed(box: ManagerBox) -> None:
    box.manager.handles.capacity = 2
    logs = [box.log(partition=index) for index in range(5)]
    for _ in range(2):
        for log in logs:
            box.append(log, b"x")
    assert len(box.manager.handles) == 2
    assert [log.log_end_offset for log in logs] == [2] * 5
