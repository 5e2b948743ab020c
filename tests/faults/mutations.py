"""Guards of design section 5, each of which can be taken out of a worker: a campaign that does not notice is too weak.

Each says which faults should bring the lack of it to light. Installed in the worker's process, see worker.py.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .replacing import replace


@dataclass(frozen=True)
class Mutation:
    """A guard that is taken out: what then goes on, and by which faults of the catalogue it is found out."""

    guard: str
    install: Callable[[], None]
    faults: Sequence[str]


def _offsets_before_they_are_stable() -> None:
    from atp_stream.streaming import cluster

    replace(cluster, _STABLE={**cluster._STABLE, "isolation.level": "read_uncommitted"})


def _last_stable_offset_for_high_watermark() -> None:
    from atp_stream.streaming.cluster import Cluster

    client = Cluster._client

    def committed_only(self: Cluster, **options: Any) -> Any:
        return client(self, **{**options, "isolation.level": "read_committed"})

    replace(Cluster, _client=committed_only)


def _offsets_sent_as_no_member() -> None:
    from atp_stream.streaming import producer
    from atp_stream.streaming.membership import NO_MEMBER, group_metadata

    replace(producer, group_metadata=lambda group, _: group_metadata(group, NO_MEMBER))


def _watermark_not_compared() -> None:
    from atp_stream.streaming import restoration

    replace(restoration, check_watermark=lambda *_: None)


def _no_gate() -> None:
    """As Faust and aiokafka have it: fetches begin at the assignment, where aiokafka finds the group to be."""
    from atp_stream.streaming.consumer_thread import ConsumerThread
    from atp_stream.streaming.membership import Membership

    async def open_without_seeking(self: ConsumerThread, membership: Membership, _: object) -> bool:
        async def in_thread() -> bool:
            if not membership.is_valid or self.membership() != membership:
                return False
            self.gate.open(membership)
            return True

        return bool(await self.call_thread(in_thread))

    replace(ConsumerThread, hold=lambda self, _: self.gate.close(), open_gate=open_without_seeking)


def _refused_batch_sent_again() -> None:
    """A batch that was refused is sent once more, under whatever membership the worker has by then."""
    from atp_stream.streaming.engine import Batch, Engine
    from atp_stream.streaming.gate import Opening
    from atp_stream.streaming.producer import Outcome, TransactionalProducer

    transact, commit = Engine._transact, TransactionalProducer.commit
    ended: list[Outcome] = []

    def noting(self: TransactionalProducer, *arguments: Any) -> Outcome:
        ended.append(commit(self, *arguments))
        return ended[-1]

    async def again(self: Engine, batch: Batch, opening: Opening) -> None:
        ended.clear()
        await transact(self, batch, opening)
        if ended and ended[-1] is Outcome.ABORTED:
            while self.gate.opening is None:  # noqa: ASYNC110  (until it is a member again, of whatever generation)
                await asyncio.sleep(0.01)
            await again(self, batch, self.gate.opening)

    replace(TransactionalProducer, commit=noting)
    replace(Engine, _transact=again)


def _lost_batch_forgotten() -> None:
    """After a transaction that did not commit, the worker goes on with what comes next."""
    from atp_stream.streaming.engine import Engine

    transact = Engine._transact

    async def going_on(self: Engine, *arguments: Any) -> None:
        close, lost = self.gate.close, self.on_lost
        replace(self.gate, close=lambda: None)
        self.on_lost = lambda: None
        try:
            await transact(self, *arguments)
        finally:
            replace(self.gate, close=close)
            self.on_lost = lost
        if not self.producer.is_ready:
            await asyncio.to_thread(self.producer.start)

    replace(Engine, _transact=going_on)


def _unknown_outcome_taken_for(outcome: str) -> Callable[[], None]:
    def install() -> None:
        from atp_stream.streaming.producer import Outcome, TransactionalProducer

        commit = TransactionalProducer.commit

        def guessing(self: TransactionalProducer, *arguments: Any) -> Outcome:
            found = commit(self, *arguments)
            return Outcome(outcome) if found is Outcome.UNKNOWN else found

        replace(TransactionalProducer, commit=guessing)

    return install


def _same_producer_after_a_slow_commit() -> None:
    from atp_stream.streaming.producer import TransactionalProducer

    replace(TransactionalProducer, _end=lambda self, _: self._poll(0))


def _restore_of_uncommitted_records() -> None:
    from atp_stream.streaming.cluster import Cluster

    client = Cluster._client

    def everything(self: Cluster, **options: Any) -> Any:
        if options.get("isolation.level") == "read_committed" and "enable.partition.eof" in options:
            options["isolation.level"] = "read_uncommitted"
        return client(self, **options)

    replace(Cluster, _client=everything)


def _sources_read_uncommitted() -> None:
    import aiokafka

    consumer = aiokafka.AIOKafkaConsumer.__init__

    def reading(self: Any, *topics: Any, **options: Any) -> None:
        consumer(self, *topics, **{**options, "isolation_level": "read_uncommitted"})

    replace(aiokafka.AIOKafkaConsumer, __init__=reading)


def _state_written_before_the_commit() -> None:
    from atp_stream.streaming.engine import Batch, Engine
    from atp_stream.streaming.partition_state import PartitionState
    from atp_stream.streaming.transaction import Transaction

    fill = Engine._fill

    async def early(self: Engine, batch: Batch) -> Transaction:
        transaction = await fill(self, batch)
        for changes in transaction.touched.values():
            offset = changes.state.offset
            PartitionState.write(changes.state, changes.changed, -1 if offset is None else offset)
        return transaction

    replace(Engine, _fill=early)


_KILLS = ("kill at a step", "kill at a step, state lost", "two owners killed")
_PAUSES = ("zombie between offsets and commit", "zombie before its offsets", "pause beyond all time-outs")

MUTATIONS: Mapping[str, Mutation] = {
    "stable offsets": Mutation(
        "the group's offsets are read once they are stable",
        _offsets_before_they_are_stable,
        ("zombie between offsets and commit",),
    ),
    "high watermark": Mutation(
        "the changelog is restored to its high watermark, not to the last stable offset",
        _last_stable_offset_for_high_watermark,
        ("two owners killed",),
    ),
    "frozen membership": Mutation(
        "offsets are sent under the membership that the batch was fetched under",
        _offsets_sent_as_no_member,
        ("zombie before its offsets",),
    ),
    "watermark record": Mutation(
        "at assignment the watermark record equals the group's offset",
        _watermark_not_compared,
        ("offsets moved",),
    ),
    "gate": Mutation(
        "nothing is fetched before the gate opens, and opening it seeks to the stable offsets",
        _no_gate,
        ("zombie before its offsets", "commit never arrives"),
    ),
    "discard on refusal": Mutation(
        "a refused batch is never sent again under a newer membership",
        _refused_batch_sent_again,
        ("zombie before its offsets",),
    ),
    "read again": Mutation(
        "after a transaction that did not commit, its records are read again",
        _lost_batch_forgotten,
        ("commit never arrives",),
    ),
    "unknown is not committed": Mutation(
        "an unknown outcome is not taken for a commit",
        _unknown_outcome_taken_for("committed"),
        ("commit never arrives", *_PAUSES),
    ),
    "new producer after a slow commit": Mutation(
        "a commit that was slow, or whose connection broke, is the last of its producer (KAFKA-17754)",
        _same_producer_after_a_slow_commit,
        ("commit held, its retry passes",),
    ),
    "committed records only (restore)": Mutation(
        "a restore reads committed records only", _restore_of_uncommitted_records, _KILLS
    ),
    "committed records only (sources)": Mutation("sources are read committed only", _sources_read_uncommitted, _KILLS),
    "state after commit": Mutation(
        "the local state is written after the commit", _state_written_before_the_commit, ("kill at a step", *_PAUSES)
    ),
}
