"""How far the consumer is behind, partition by partition, as its own fetches tell. Read in the consumer's thread."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import aiokafka

from .records import Partition


class Lag(NamedTuple):
    """What is known of one partition that is read.

    records: offsets between its position and the last stable one that fetches have told of, the ends of transactions
    among them; what is held back by an open transaction does not count, as nobody can read it yet. answered: epoch
    seconds of the last fetch that brought an answer for this partition, with or without records.
    """

    records: int
    answered: float


def lag_of(consumer: aiokafka.AIOKafkaConsumer, sources: frozenset[str]) -> dict[Partition, Lag]:
    """Return the lag of each partition of `sources` that has been fetched from; paused ones are not."""
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    if assignment is None or not assignment.active:
        return {}
    states = {tp: assignment.state_value(tp) for tp in assignment.tps if tp.topic in sources}
    return {
        Partition(tp.topic, tp.partition): Lag(max(0, state.lso - state.position), state.timestamp / 1000)
        for tp, state in states.items()
        if state.lso is not None and state.has_valid_position and not state.paused
    }


def partition_counts(client: Any, topics: frozenset[str]) -> Mapping[str, int]:
    """Return how many partitions each of the topics has, as far as the client of the consumer knows."""
    return {topic: len(found) for topic in topics if (found := client.cluster.partitions_for_topic(topic))}
