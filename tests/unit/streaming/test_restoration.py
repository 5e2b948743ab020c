"""Offsets and local state are brought together, or the worker stops: no guess, no gap."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import rocksdict
from confluent_kafka import Message

from atp_stream.streaming import restoration as module
from atp_stream.streaming.cluster import Cluster, ShouldStop, never
from atp_stream.streaming.errors import StateMismatch
from atp_stream.streaming.origins import Origin, Origins
from atp_stream.streaming.partition_state import PartitionState
from atp_stream.streaming.records import Partition
from atp_stream.streaming.restoration import Restoration
from atp_stream.streaming.store import StateStore
from atp_stream.streaming.watermark import encode_watermark

IN0, IN1, CHANGELOG = Partition("in", 0), Partition("in", 1), Partition("changelog", 0)


@dataclass
class Answers(Cluster):
    """A cluster that answers what it is told: offsets in turn, the last one again and again."""

    offsets: list[dict[Partition, int | None]] = field(default_factory=list)
    logs: dict[Partition, tuple[int, int]] = field(default_factory=dict)
    records: list[Message] = field(default_factory=list)
    asked: int = 0
    read_from: list[Mapping[Partition, tuple[int, int]]] = field(default_factory=list)

    def stable_offsets(
        self, partitions: Iterable[Partition], should_stop: ShouldStop = never
    ) -> dict[Partition, int | None]:
        self.asked += 1
        return self.offsets.pop(0) if len(self.offsets) > 1 else self.offsets[0]

    def ends(
        self, partitions: Iterable[Partition], should_stop: ShouldStop = never
    ) -> dict[Partition, tuple[int, int]]:
        return self.logs

    def read(
        self,
        spans: Mapping[Partition, tuple[int, int]],
        consume: Callable[[Partition, list[Message]], None],
        should_stop: ShouldStop = never,
    ) -> None:
        self.read_from.append(spans)
        if self.records:
            consume(CHANGELOG, self.records)


class Store(StateStore):
    """One partition's real local state, without Faust around it."""

    def __init__(self, only: PartitionState) -> None:
        self.only = only

    def partition(self, number: int) -> PartitionState:
        return self.only


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OFFSET_PAUSE_SECONDS", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return Store(PartitionState(tmp_path / "0", rocksdict.Cache(1 << 20)))


def restoration(cluster: Answers, later: Origins | None = None) -> Restoration:
    origins = Origins({"in": Origin("id", (0,))})
    return Restoration(cluster, "changelog", ["in"], lambda: later or origins, origins)


def test_given_offsets_within_the_log_when_settled_then_they_are_where_to_go_on() -> None:
    cluster = Answers(offsets=[{IN0: 7}], logs={IN0: (3, 7)})
    assert restoration(cluster).settle({IN0}, never) == {IN0: 7}


def test_given_a_coordinator_that_knows_of_none_for_a_moment_when_settled_then_it_is_asked_again() -> None:
    cluster = Answers(offsets=[{IN0: None}, {IN0: None}, {IN0: 7}], logs={IN0: (0, 9)})
    assert restoration(cluster).settle({IN0}, never) == {IN0: 7}


@pytest.mark.parametrize(
    ("offset", "log", "said"),
    [(None, (0, 9), "in[0]: none"), (2, (3, 9), "in[0]: 2, the log goes from 3 to 9"), (10, (3, 9), "in[0]: 10, ")],
)
def test_given_an_offset_that_is_lost_or_outside_the_log_when_settled_then_the_worker_stops(
    offset: int | None, log: tuple[int, int], said: str
) -> None:
    with pytest.raises(StateMismatch) as stopped:
        restoration(Answers(offsets=[{IN0: offset}], logs={IN0: log})).settle({IN0}, never)
    assert said in stopped.value.cause


def test_given_a_partition_that_was_added_when_settled_then_reading_of_it_begins() -> None:
    cluster = Answers(offsets=[{IN0: 7, IN1: None}, {IN0: 7, IN1: 0}], logs={IN0: (0, 9), IN1: (0, 4)})
    later = Origins({"in": Origin("id", (0, 0))})
    begun = restoration(cluster, later)
    assert begun.settle({IN0, IN1}, never) == {IN0: 7, IN1: 0}
    assert begun.origins is later


def test_given_no_local_state_when_restored_then_the_whole_changelog_is_read(store: StateStore) -> None:
    cluster = Answers(logs={CHANGELOG: (0, 12)}, records=[Message("changelog", 0, 9, key=b"a", value=b"1")])
    restoration(cluster).restore(store, {0}, never)
    assert cluster.read_from == [{CHANGELOG: (0, 12)}]
    assert (store.partition(0).get(b"a"), store.partition(0).offset) == (b"1", 11)


def test_given_local_state_when_restored_then_only_what_follows_is_read(store: StateStore) -> None:
    store.partition(0).write({b"a": b"1"}, 7)
    cluster = Answers(logs={CHANGELOG: (0, 12)})
    restoration(cluster).restore(store, {0}, never)
    assert cluster.read_from == [{CHANGELOG: (8, 12)}]


@pytest.mark.parametrize(
    ("held", "log", "said"),
    [(None, (1, 12), "the beginning of"), (7, (9, 12), "the beginning of"), (12, (0, 12), "ahead")],
)
def test_given_a_changelog_that_does_not_reach_the_local_state_when_restored_then_the_worker_stops(
    store: StateStore, held: int | None, log: tuple[int, int], said: str
) -> None:
    if held is not None:
        store.partition(0).write({}, held)
    with pytest.raises(StateMismatch, match=said):
        restoration(Answers(logs={CHANGELOG: log})).restore(store, {0}, never)


def test_given_a_watermark_that_agrees_when_checked_then_it_is_returned(store: StateStore) -> None:
    store.partition(0).write({b"/watermark": encode_watermark({"in": 7})}, 3)
    assert restoration(Answers()).check(store, {0}, {IN0: 7}) == {0: {"in": 7}}


def test_given_a_watermark_that_differs_when_checked_then_the_worker_stops(store: StateStore) -> None:
    store.partition(0).write({b"/watermark": encode_watermark({"in": 7})}, 3)
    with pytest.raises(StateMismatch, match="do not belong together"):
        restoration(Answers()).check(store, {0}, {IN0: 6})
