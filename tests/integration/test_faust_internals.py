"""What the streaming package relies on in Faust and aiokafka beyond what they promise.

Each test fails when an upgrade changes one of these things. Where it can, it looks at behaviour: of a worker in this
process on a real Kafka, or of Faust's own objects.
"""

import asyncio
import importlib.metadata
import inspect
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from aiokafka.structs import TopicPartition
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.recovery import Recovery as FaustRecovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from atp_stream.local import LocalCluster
from atp_stream.streaming.activity import Activity
from atp_stream.streaming.consumer import Transport
from atp_stream.streaming.consumer_thread import ConsumerThread, RebalanceListener
from atp_stream.streaming.errors import NotPermitted
from atp_stream.streaming.gate import Gate
from atp_stream.streaming.header_names import EscapedName, headers_of
from atp_stream.streaming.membership import Membership
from atp_stream.streaming.reach import Reach
from atp_stream.streaming.records import Partition, Record
from atp_stream.streaming.recovery import Recovery, TableManager
from atp_stream.streaming.store import StateTable
from tests.faults.unreadable import Unsent, send
from tests.streaming import OpenTransaction
from tests.streaming_worker import PARTITIONS, Count, Group, eventually, group_of


@pytest.fixture
async def group(cluster: LocalCluster, unique: str, tmp_path: Path) -> AsyncIterator[Group]:
    async with group_of(cluster.bootstrap_servers, unique, tmp_path) as group:
        yield group


@pytest.fixture(autouse=True)
def only_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def test_the_versions_are_those_whose_internals_are_known() -> None:
    assert importlib.metadata.version("faust-streaming") == "0.15.3"
    assert importlib.metadata.version("aiokafka").startswith("0.14.")
    assert importlib.metadata.version("mode-streaming").startswith("0.7.")


# Fetching


def test_a_fetch_takes_the_consumer_the_partitions_a_timeout_and_a_bound() -> None:
    assert list(inspect.signature(driver.AIOKafkaConsumerThread._fetch_records).parameters) == [
        "self",
        "consumer",
        "active_partitions",
        "timeout",
        "max_records",
    ]


async def test_a_fetch_of_faust_brings_nothing_while_the_flow_is_stopped() -> None:
    thread: Any = SimpleNamespace(consumer=SimpleNamespace(flow_active=False))
    assert await driver.AIOKafkaConsumerThread._fetch_records(thread, None, set()) == {}


def test_faust_drops_what_a_wait_for_the_queue_was_suspended_for_and_clears_queues_when_it_resumes() -> None:
    # Why a fetch carries a number: Faust may lose one between the consumer's thread and the engine.
    flow = FlowControlEvent()
    queue: ThrowableQueue[int] = ThrowableQueue(maxsize=10, flow_control=flow, clear_on_resume=True)
    queue.force_put_nowait(1)
    flow.resume()
    assert queue.empty()


async def test_a_worker_takes_what_is_fetched_once_and_faust_tracks_and_commits_none_of_it(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[Any] = []

    async def commit(*arguments: Any) -> None:
        commits.append(arguments)

    monkeypatch.setattr("aiokafka.consumer.group_coordinator.GroupCoordinator.commit_offsets", commit)
    monkeypatch.setattr("aiokafka.consumer.group_coordinator.GroupCoordinator._do_commit_offsets", commit)
    running = await group.start()
    await asyncio.to_thread(group.produce, 50)
    await eventually("all is processed", lambda: running.counted() == 50)
    await asyncio.to_thread(group.produce, 50)
    await eventually("all is processed", lambda: running.counted() == 100)
    assert len(running.stage.seen) == len(set(running.stage.seen)) == 100
    assert not running.consumer.unacked
    assert not any(running.consumer._acked.values())
    assert not running.app.topics.acks_enabled_for(group.source)
    assert await running.consumer._commit({TP(group.source, 0): 1})  # were there something to commit
    await running.app.stop()
    assert commits == []  # not even at the end
    offsets = await asyncio.to_thread(group.cluster.stable_offsets, group.partitions)
    assert sum(offset or 0 for offset in offsets.values()) == 100


async def test_the_engines_stream_has_its_queue_where_it_is_looked_for(group: Group) -> None:
    running = await group.start()
    (agent,) = running.app.agents.values()
    (actor,) = agent._actors
    assert isinstance(actor.stream.channel.queue, asyncio.Queue)
    assert running.app.topics._topics >= {actor.stream.channel}
    await eventually("the gate is open", lambda: running.is_open)


async def test_a_message_without_a_read_offset_is_never_taken_for_a_repetition(group: Group) -> None:
    # A new opening steps back; Faust would drop what lies before the offset it has read.
    running = await group.start(most_records=20)  # several fetches, so that the first ends before what was read
    await asyncio.to_thread(group.produce, 40)
    await eventually("all is processed", lambda: running.counted() == 40)
    opening = running.worker.engine.gate.opening
    assert opening is not None
    seen = len(running.stage.seen)
    beginning = dict.fromkeys(group.partitions, 0)
    running.worker.engine.gate.close()
    assert await running.consumer.thread.open_gate(opening.membership, beginning)
    await eventually("all is delivered again", lambda: len(running.stage.seen) == seen + 40)


async def test_a_header_name_that_is_not_utf8_is_read_and_told_from_others_and_reading_goes_on(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    process = Count.process

    def noting(self: Count, partition: Partition, records: Sequence[Record], transaction: Any) -> None:
        names.extend(name for record in records for name, _ in record.headers)
        process(self, partition, records, transaction)

    monkeypatch.setattr(Count, "process", noting)
    running = await group.start()
    records = [Unsent(None, b"x", [(name, b"1")]) for name in (b"before", b"tr\xe4ce", b"tr\\xe4ce")]
    await asyncio.to_thread(send, group.servers, group.source, 0, records)
    await eventually("all is processed", lambda: running.counted() == 3)
    assert names == ["before", "tr\\xe4ce", "tr\\xe4ce"]
    assert [isinstance(name, EscapedName) for name in names] == [False, True, False]


async def test_confluent_kafka_can_be_asked_for_such_a_name_and_takes_other_headers_in_place_of_it(
    group: Group,
) -> None:
    records = [Unsent(b"%d" % n, b"x", [(b"own", b"1"), (name, b"2")]) for n, name in enumerate((b"tr\xe4ce", b"good"))]
    await asyncio.to_thread(send, group.servers, group.source, 0, records)
    messages: list[Message] = []
    spans = group.cluster.ends([Partition(group.source, 0)])
    await asyncio.to_thread(group.cluster.read, spans, lambda _, found: messages.extend(found))
    assert [message.key() for message in messages] == [b"0", b"1"]
    bad, good = messages
    for _ in range(100):
        assert headers_of(good) == [("own", b"1"), ("good", b"2")]  # so often that the interpreter checks less
    for _ in range(3):
        assert headers_of(bad) == [("tr\\xe4ce", None)]
        assert isinstance(headers_of(bad)[0][0], EscapedName)


# What the consumer's client knows, for the health of the worker


async def test_what_lies_behind_a_last_stable_offset_is_known_and_is_read_to_nothing_even_after_an_abort(
    group: Group,
) -> None:
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    thread, source = running.consumer.thread, TopicPartition(group.source, 0)
    thread.most_waiting = 0  # the engine takes no more
    await asyncio.to_thread(group.produce, 20)
    await eventually("it is known that something waits at the broker", lambda: thread.behind > 0)
    thread.most_waiting = 1000
    await eventually("all is processed", lambda: running.counted() == 20 and thread.behind == 0)

    end = running.aiokafka.last_stable_offset(source)
    left_open = OpenTransaction({"bootstrap.servers": group.servers}, f"{group.name}-other")
    await asyncio.to_thread(left_open.write, group.source, b"a", b"b")
    await eventually("it is seen", lambda: running.aiokafka.highwater(source) == end + 2)
    assert thread.behind == 0
    await asyncio.to_thread(left_open.abort)
    await eventually("it is over", lambda: running.aiokafka.last_stable_offset(source) > end + 2)
    await eventually("nothing is behind", lambda: thread.behind == 0)
    assert running.counted() == 20


async def test_each_partition_tells_when_a_fetch_last_answered_for_it_and_how_many_its_topic_has(group: Group) -> None:
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    thread = running.consumer.thread
    places = {Partition(group.source, number) for number in range(PARTITIONS)}
    await eventually("all are fetched from", lambda: thread.lag.keys() == places)
    assert thread.counts == {group.source: PARTITIONS}
    before = {place: lag.answered for place, lag in thread.lag.items()}
    assert all(abs(time.time() - answered) < 60 for answered in before.values())
    await eventually(
        "empty fetches count as answers", lambda: all(thread.lag[place].answered > before[place] for place in places)
    )


async def test_every_fetch_goes_through_the_clients_send_and_the_client_tells_which_topics_are_there(
    group: Group,
) -> None:
    running = await group.start()
    thread = running.consumer.thread
    await eventually("an idle fetch waits at the broker", lambda: thread.reach._fetches)
    assert thread.reach.missing == ()
    other = Reach([group.source, f"{group.name}-no-such"])
    for _ in range(2):
        await thread.call_thread(other.look, running.aiokafka._client)
    assert other.missing == (f"{group.name}-no-such",)
    assert other.trouble is None
    topics = await asyncio.to_thread(AdminClient({"bootstrap.servers": group.servers}).list_topics, timeout=30)
    assert f"{group.name}-no-such" not in topics.topics


async def test_the_event_loop_of_the_consumers_thread_is_another_one_and_its_service_tasks_run_in_it(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await group.start()
    thread = running.consumer.thread
    assert thread.is_under_way
    assert thread.thread_loop is not asyncio.get_running_loop()
    loops: list[Any] = []

    async def look(_client: Any) -> None:
        loops.append(asyncio.get_running_loop())

    monkeypatch.setattr(thread.reach, "look", look)
    await eventually("it looks around", lambda: loops)
    assert loops[0] is thread.thread_loop


# The group


async def test_the_coordinator_holds_the_membership_that_the_broker_knows(group: Group) -> None:
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    membership = running.consumer.thread.membership()
    assert membership.is_valid
    assert running.app.consumer_generation_id == membership.generation
    admin = AdminClient({"bootstrap.servers": group.servers})
    described = admin.describe_consumer_groups([group.name])[group.name]
    members = (await asyncio.to_thread(described.result, 30)).members
    assert [member.member_id for member in members] == [membership.member_id]


def test_the_listener_hears_of_a_rebalance_before_anything_is_awaited() -> None:
    heard: list[Any] = []
    gate = Gate()
    gate.open(Membership(1, "m"))

    async def on_partitions_revoked(revoked: set[TP]) -> None:
        heard.append((revoked, gate.opening))

    app = SimpleNamespace(on_rebalance_start=lambda: heard.append("faust knows"))
    thread: Any = SimpleNamespace(gate=gate, app=app, on_partitions_revoked=on_partitions_revoked, activity=Activity())
    rest = RebalanceListener(thread).on_partitions_revoked([TopicPartition("t", 0)])
    assert gate.opening is None
    assert heard == ["faust knows"]
    asyncio.run(rest)
    assert heard[1:] == [({TP("t", 0)}, None)]


async def test_when_a_worker_joins_the_gate_is_shut_and_reopened_for_the_new_generation_and_nothing_is_lost(
    group: Group,
) -> None:
    first = await group.start()
    await asyncio.to_thread(group.produce, 20)
    await eventually("all is processed", lambda: first.counted() == 20)
    before = first.worker.engine.gate.opening
    second = await group.start()
    await eventually("both are open", lambda: first.is_open and second.is_open)
    after = first.worker.engine.gate.opening
    assert before is not None
    assert after is not None
    assert after.membership.generation > before.membership.generation
    assert len(first.worker.table.store.partitions) == len(second.worker.table.store.partitions) == 1
    await asyncio.to_thread(group.produce, 20)
    await eventually("all is processed", lambda: first.counted() + second.counted() == 40)
    everything = first.stage.seen + second.stage.seen
    assert len(everything) == len(set(everything)) == 40
    await second.app.stop()
    await eventually("the first has both", lambda: first.counted() == 40)


async def test_the_gate_opens_neither_for_another_membership_nor_during_a_rebalance(group: Group) -> None:
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    thread, gate = running.consumer.thread, running.worker.engine.gate
    membership = thread.membership()
    offsets = dict.fromkeys(group.partitions, 0)
    gate.close()
    assert not await thread.open_gate(membership._replace(generation=membership.generation - 1), offsets)
    assert not await thread.open_gate(membership._replace(member_id="another"), offsets)
    assert gate.opening is None
    running.aiokafka._subscription.begin_reassignment()
    assert not await thread.open_gate(membership, offsets)
    assert gate.opening is None
    running.aiokafka._subscription.subscription._reassignment_in_progress = False
    assert await thread.open_gate(membership, offsets)


async def test_changelogs_are_assigned_with_their_sources_and_never_fetched_by_faust(group: Group) -> None:
    running = await group.start()
    await asyncio.to_thread(group.produce, 20)
    await eventually("all is processed", lambda: running.counted() == 20)
    assignment = running.consumer.assignment()
    changelog = running.worker.changelog
    assert {tp.partition for tp in assignment if tp.topic == changelog} == set(range(PARTITIONS))
    aiokafka_assignment = running.aiokafka._subscription.subscription.assignment
    for number in range(PARTITIONS):
        state = aiokafka_assignment.state_value(TopicPartition(changelog, number))
        assert state.paused
        assert state.position == 0
        assert not aiokafka_assignment.state_value(TopicPartition(group.source, number)).paused


async def test_what_stops_aiokafkas_coordinator_ends_the_worker_even_while_the_gate_is_shut(group: Group) -> None:
    # Faust never asks for it, and the coordinator waits for ever to be asked.
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    running.worker.engine.gate.close()
    running.aiokafka._coordinator._pending_exception = GroupAuthorizationFailedError(group.name)
    failure = await eventually("the worker has failed", lambda: running.worker.failure)
    assert isinstance(failure, NotPermitted)


class Failed:
    """Stands for aiokafka's task of fetching once it has failed, but lets itself be closed."""

    def done(self) -> bool:
        return True

    def result(self) -> None:
        raise KafkaError("Unexpected error during data retrieval")

    def cancel(self) -> None: ...

    def __await__(self) -> Iterator[None]:
        return iter(())


async def test_what_ends_aiokafkas_fetching_ends_the_worker(group: Group) -> None:
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    fetcher = running.aiokafka._fetcher
    assert fetcher.error_future is fetcher._fetch_task
    assert not fetcher._fetch_task.done()

    async def fail() -> None:
        fetcher._fetch_task.cancel()
        fetcher._fetch_task = Failed()

    await running.consumer.thread.call_thread(fail)
    failure = await eventually("the worker has failed", lambda: running.worker.failure)
    assert isinstance(failure, KafkaError)


async def test_a_worker_whose_flow_faust_has_stopped_still_counts_as_polling(group: Group) -> None:
    # A restore takes as long as it takes: aiokafka leaves the group if nothing polls meanwhile.
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    running.worker.engine.gate.close()
    running.consumer.stop_flow()
    subscriptions = running.aiokafka._subscription
    ends = {subscriptions._last_fetch_ended}

    def polls() -> bool:
        ends.add(subscriptions._last_fetch_ended)
        return len(ends) > 5  # the first may have been under way

    await eventually("it polls", polls)


async def test_a_call_of_the_consumers_thread_runs_there_and_gives_its_result_back(group: Group) -> None:
    running = await group.start()
    thread = running.consumer.thread

    async def where() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert await thread.call_thread(where) is thread.thread_loop
    assert thread.thread_loop is not asyncio.get_running_loop()


async def test_a_worker_that_leaves_the_group_by_itself_has_no_lease_until_it_is_back(group: Group) -> None:
    # aiokafka does so where nobody has fetched for long, and tells nobody before: the gate may be open still.
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    thread = running.consumer.thread
    assert thread.lease.holds

    async def leave() -> bool:
        await running.aiokafka._coordinator._maybe_leave_group()
        return thread.lease.holds

    assert not await thread.call_thread(leave)
    await eventually("it has joined again", lambda: thread.lease.holds and running.is_open)


async def test_closing_the_consumer_out_of_turn_does_not_keep_it_from_leaving_the_group(group: Group) -> None:
    # Faust does so in the wrong loop if a rebalance begins during a stop.
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    running.consumer.close()
    await running.app.stop()
    admin = AdminClient({"bootstrap.servers": group.servers})
    described = admin.describe_consumer_groups([group.name])[group.name]
    assert not (await asyncio.to_thread(described.result, 30)).members


# Tables and recovery


def test_the_tasks_that_recover_are_ours_and_none_of_fausts_is_left() -> None:
    names = {task.fun.__qualname__ for task in Recovery._get_tasks(object.__new__(Recovery))}
    expected = {name for name in vars(FaustRecovery) if name in Recovery._tasks[Recovery._get_class_id()]}  # type: ignore[index]
    assert expected == {"_restart_recovery", "_slurp_changelogs", "_publish_stats"}
    assert names == {f"Recovery.{name}" for name in expected}
    assert all(vars(Recovery)[name] is not vars(FaustRecovery)[name] for name in expected)


async def test_faust_asks_the_table_manager_for_the_recovery_and_signals_it_by_an_event(group: Group) -> None:
    running = await group.start()
    assert isinstance(running.app.tables, TableManager)
    assert type(running.app.tables.recovery) is Recovery
    await eventually("the gate is open", lambda: running.is_open)
    first = running.worker.engine.gate.opening
    running.tables.recovery.again()
    await eventually(
        "it has recovered again", lambda: running.is_open and running.worker.engine.gate.opening is not first
    )
    after = running.worker.engine.gate.opening
    assert first is not None
    assert after is not None
    assert after.membership == first.membership
    await asyncio.to_thread(group.produce, 20)
    await eventually("all is processed", lambda: running.counted() == 20)


async def test_a_transaction_that_did_not_commit_is_read_again_under_the_same_membership(group: Group) -> None:
    running = await group.start()
    await eventually("the gate is open", lambda: running.is_open)
    producer = running.worker.engine.producer
    commit = producer.commit
    refused: list[Any] = []

    def once_refused(offsets: Any, membership: Membership) -> Any:
        if not refused:
            refused.append(offsets)
            membership = membership._replace(member_id="a stranger")
        return commit(offsets, membership)

    producer.commit = once_refused  # type: ignore[method-assign]
    await asyncio.to_thread(group.produce, 20)
    await eventually("all is processed", lambda: running.counted() == 20)
    assert refused
    assert running.worker.engine.counters.aborted == 1


async def test_a_stop_during_a_restore_waits_until_the_restore_has_given_way(group: Group) -> None:
    kafka = {"bootstrap.servers": group.servers}
    changelog = f"{group.name}-state-changelog"
    # Reading up to the end of the changelog has to wait for the end of this.
    left_open = await asyncio.to_thread(lambda: OpenTransaction(kafka, f"{group.name}-1").write(changelog, b"key"))
    running = group.make()
    starting = asyncio.ensure_future(running.app.start())
    reading, ended = threading.Event(), threading.Event()
    read = running.tables.restoration.cluster.read

    def observed(*arguments: Any) -> None:
        reading.set()
        try:
            read(*arguments)
        finally:
            assert running.worker.table.store.partitions  # still open
            ended.set()

    running.tables.restoration.cluster.read = observed  # type: ignore[assignment, method-assign]
    await eventually("it restores", reading.is_set)
    await running.app.stop()
    assert ended.is_set()
    assert not running.worker.table.store.partitions
    assert not running.worker.engine.lock.locked()
    assert running.worker.failure is None
    await starting
    await asyncio.to_thread(left_open.abort)


async def test_the_app_takes_the_transport_and_the_tables_it_is_given(tmp_path: Path) -> None:
    app = app_of("taken", tmp_path)

    async def ignored(*_: Any) -> None: ...

    transport = Transport(
        app.conf.broker,
        app,
        sources=["s"],
        gate=Gate(),
        most_waiting=1,
        fail=ignored,
        activity=Activity(),
        topics=["s"],
    )
    app.transport = transport
    assert app.transport is transport
    assert isinstance(app.tables, TableManager)
    table = app.Table("t", partitions=2, options={"directory": tmp_path})
    assert isinstance(table, StateTable)
    assert table.changelog_topic.get_topic_name() == "taken-t-changelog"
    thread = transport.create_consumer(ignored, on_partitions_revoked=ignored, on_partitions_assigned=ignored).thread
    assert isinstance(thread, ConsumerThread)
    assert isinstance(thread._rebalance_listener, RebalanceListener)
    thread.thread_loop.close()


# Assignment


def app_of(name: str, directory: Path, host: str = "one") -> faust.App:
    return faust.App(
        name,
        broker="kafka://127.0.0.1:1",
        store="memory://",
        datadir=str(directory),
        TableManager=TableManager,
        Table=StateTable,
        table_standby_replicas=0,
        topic_allow_declare=False,
        web_host=host,
        canonical_url=f"http://{host}:6066",
    )


COUNTS = {"stock": 12, "created": 12, "released": 6, "changes": 12, "app-state-changelog": 12}


class Assigning:
    """Members that Faust's assignor serves over several generations, each with what it remembers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.members: dict[str, PartitionAssignor] = {}

    def join(self, name: str) -> None:
        app = app_of("app", self._directory, name)
        app.Table("state", partitions=12, options={"directory": self._directory})
        self.members[name] = PartitionAssignor(app, replicas=0)

    def assign(self) -> dict[str, set[TP]]:
        cluster: Any = SimpleNamespace(partitions_for_topic=lambda topic: set(range(COUNTS[topic])))
        metadata = {name: assignor.metadata(set(COUNTS)) for name, assignor in self.members.items()}
        leader = next(iter(self.members.values()))
        assigned = leader.assign(cluster, metadata)
        found = {}
        for name, assignor in self.members.items():
            assignor.on_assignment(assigned[name])
            found[name] = {TP(topic, n) for topic, numbers in assigned[name].assignment for n in numbers}
        return found


async def test_a_changelog_partition_goes_where_its_source_goes_through_all_generations(tmp_path: Path) -> None:
    assigning = Assigning(tmp_path)
    everything = {TP(topic, number) for topic, count in COUNTS.items() for number in range(count)}
    former: dict[str, set[TP]] = {}
    for change in ("+a", "", "+b", "", "+c", "-a", "+d", "", "-b", "-c", "+a"):
        if change.startswith("+"):
            assigning.join(change[1:])
        elif change:
            del assigning.members[change[1:]]
        found = assigning.assign()
        assert set().union(*found.values()) == everything
        assert sum(map(len, found.values())) == len(everything)
        for assigned in found.values():
            changelog = {tp.partition for tp in assigned if tp.topic == "app-state-changelog"}
            assert {tp.partition for tp in assigned if tp.topic == "changes"} == changelog
        sizes = [sum(tp.topic == "changes" for tp in assigned) for assigned in found.values()]
        assert max(sizes) - min(sizes) <= 1
        if not change:
            assert found == former  # it stays where it is, if nobody came or went
        former = found
