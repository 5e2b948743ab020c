"""How far behind a partition is told to be, by what its fetches have told."""

from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition

from atp_stream.streaming.lag import Lag, lag_of, partition_counts
from atp_stream.streaming.records import Partition

SOURCES = frozenset({"source"})


def fetched(lso: int | None = 30, position: int = 10, *, paused: bool = False, positioned: bool = True) -> Any:
    return SimpleNamespace(
        lso=lso, highwater=50, position=position, paused=paused, has_valid_position=positioned, timestamp=1500
    )


def consumer(states: dict[TopicPartition, Any] | None, *, active: bool = True) -> Any:
    assignment: Any = None
    if states is not None:
        assignment = SimpleNamespace(tps=states.keys(), active=active, state_value=states.__getitem__)
    return SimpleNamespace(_subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)))


def test_given_fetches_then_what_can_be_read_and_was_not_taken_is_the_lag() -> None:
    found = lag_of(consumer({TopicPartition("source", 3): fetched()}), SOURCES)
    assert found == {Partition("source", 3): Lag(20, 1.5)}


def test_given_a_partition_that_is_held_back_or_was_never_fetched_then_nothing_is_told_of_it() -> None:
    states = [fetched(paused=True), fetched(lso=None), fetched(positioned=False), fetched()]
    found = lag_of(consumer({TopicPartition("source", at): state for at, state in enumerate(states)}), SOURCES)
    assert found.keys() == {Partition("source", 3)}


def test_given_a_position_past_what_the_last_fetch_told_then_nothing_is_behind() -> None:
    assert lag_of(consumer({TopicPartition("source", 0): fetched(lso=5)}), SOURCES) == {
        Partition("source", 0): Lag(0, 1.5)
    }


def test_given_a_changelog_or_no_assignment_then_nothing_is_told() -> None:
    assert lag_of(consumer({TopicPartition("changelog", 0): fetched()}), SOURCES) == {}
    assert lag_of(consumer({TopicPartition("source", 0): fetched()}, active=False), SOURCES) == {}
    assert lag_of(consumer(None), SOURCES) == {}
    assert lag_of(SimpleNamespace(_subscription=SimpleNamespace(subscription=None)), SOURCES) == {}


def test_topics_that_the_client_does_not_know_have_no_count() -> None:
    known = {"source": {0, 1, 2}, "gone": None}
    client = SimpleNamespace(cluster=SimpleNamespace(partitions_for_topic=known.get))
    assert partition_counts(client, frozenset(known)) == {"source": 3}
