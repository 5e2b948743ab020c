"""The blocking work of a recovery: stable offsets, the restore of the local state, the comparison of both.

Each method is one of the numbered steps of recovery.py, and is called in a thread. All of them raise `Superseded` once
`should_stop()` is true, `ClusterUnreachable` after the deadline, and `StateMismatch` where going on would be a wrong
number.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Message

from .cluster import Cluster, ShouldStop
from .errors import StateMismatch
from .origins import Origins
from .partition_state import WATERMARK_KEY
from .progress import Progress
from .records import Partition
from .store import StateStore
from .watermark import check_watermark, decode_watermark

_OFFSET_TRIES = 5
_OFFSET_PAUSE_SECONDS = 1.0


@dataclass
class Restoration:
    """Brings offsets and local state of the assigned partitions together.

    `stateful` are the source topics whose records change the table; `establish` gives partitions without an origin one.
    """

    cluster: Cluster
    changelog: str
    stateful: Sequence[str]
    establish: Callable[[], Origins]
    origins: Origins
    #: How far the restore in hand has come; None: none is in hand.
    progress: Progress | None = None

    def settle(self, sources: set[Partition], should_stop: ShouldStop) -> dict[Partition, int]:
        """Return the group's offsets once they are stable. A missing one is never replaced by a guess."""
        cluster = self.cluster
        found = cluster.stable_offsets(sources, should_stop)
        if any(offset is None and not self.origins.has(partition) for partition, offset in found.items()):
            self.origins = self.establish()  # partitions were added while the workers ran
            found = cluster.stable_offsets(sources, should_stop)
        for _ in range(_OFFSET_TRIES):  # a coordinator that is only just loading may know of none for a moment
            if None not in found.values():
                break
            time.sleep(_OFFSET_PAUSE_SECONDS)
            found = cluster.stable_offsets(sources, should_stop)
        ends = cluster.ends(sources, should_stop)
        wrong = []
        for partition, offset in sorted(found.items()):
            first, end = ends[partition]
            if offset is None:
                wrong.append(f"{partition.topic}[{partition.number}]: none")
            elif not first <= offset <= end:
                wrong.append(f"{partition.topic}[{partition.number}]: {offset}, the log goes from {first} to {end}")
        if wrong:
            raise StateMismatch(
                "the group's offsets do not lie in the source topics",
                cause="; ".join(wrong),
                fix="offsets expired or were deleted, records were deleted before they were read, or a topic was "
                'recreated: see docs/operations.md, "offsets"',
            )
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def restore(self, store: StateStore, numbers: set[int], should_stop: ShouldStop) -> None:
        """Bring the local state up to the high watermark of the changelog."""
        cluster, changelog = self.cluster, self.changelog
        states = {Partition(changelog, number): store.partition(number) for number in numbers}
        ends = cluster.ends(states, should_stop)
        spans = {}
        for partition, state in states.items():
            first, end = ends[partition]
            start = 0 if state.offset is None else state.offset + 1
            if first > start:
                raise StateMismatch(
                    f"the beginning of {changelog}[{partition.number}] is gone",
                    cause=f"it is needed from offset {start} on, and begins at {first}",
                    fix="records were deleted, or its retention was changed; a changelog is compacted only: see "
                    'docs/operations.md, "a fresh start"',
                )
            if state.offset is not None and state.offset >= end:
                raise StateMismatch(
                    f"the local state of {changelog}[{partition.number}] is ahead of its changelog",
                    cause=f"it holds offset {state.offset}, the changelog ends at {end}",
                    fix="records of the changelog were lost (an unclean leader election): see docs/operations.md",
                )
            spans[partition] = (start, end)
        progress = self.progress = Progress(spans)

        def consume(partition: Partition, messages: list[Message]) -> None:
            last = messages[-1].offset()
            assert last is not None
            states[partition].write(((_key(m), m.value()) for m in messages), last)
            progress.reach(partition, last + 1, len(messages))

        try:
            cluster.read(spans, consume, should_stop)
        finally:
            self.progress = None
        for partition, state in states.items():
            if ends[partition][1] > 0:
                state.write({}, ends[partition][1] - 1)
        progress.end()

    def check(
        self, store: StateStore, numbers: set[int], committed: Mapping[Partition, int]
    ) -> dict[int, Mapping[str, int]]:
        """Compare watermark records with the group's offsets, and return them."""
        watermarks: dict[int, Mapping[str, int]] = {}
        for number in numbers:
            found = decode_watermark(store.partition(number).get(WATERMARK_KEY))
            origin = {topic: self.origins.start(topic, number) for topic in self.stateful}
            check_watermark(number, found, origin, {t: committed[Partition(t, number)] for t in self.stateful})
            watermarks[number] = found
        return watermarks


def _key(message: Message) -> bytes:
    """Return the key of a changelog record; one without a key is not of our making."""
    found = message.key()
    if not isinstance(found, bytes):
        raise StateMismatch(
            f"a record without a key in the changelog {message.topic()}[{message.partition()}]",
            cause=f"offset {message.offset()}",
            fix="nothing but this application may write to its changelog",
        )
    return found
