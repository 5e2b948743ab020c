"""A transaction as the stages see it."""

from pathlib import Path

import pytest
import rocksdict
from confluent_kafka import KafkaError

from atp_stream.streaming.dead_letters import FloodGuard
from atp_stream.streaming.errors import DeadLetterFlood
from atp_stream.streaming.partition_state import WATERMARK_KEY, PartitionState
from atp_stream.streaming.transaction import StateChanges, Transaction

from .samples import Consumed, Produced, WritingProducer, delivered


@pytest.fixture
def state(tmp_path: Path) -> PartitionState:
    state = PartitionState(tmp_path / "state", rocksdict.Cache(1 << 20))
    state.write({b"known": b"committed"}, 10)
    return state


def begun(producer: WritingProducer, state: PartitionState, per_minute: int = 10) -> Transaction:
    return Transaction(producer, lambda _: state, "dead-letters", FloodGuard(per_minute, lambda: 0.0))


def test_given_a_change_then_the_transaction_sees_it_and_the_store_does_not(state: PartitionState) -> None:
    changes = StateChanges(state)
    assert changes.get(b"known") == b"committed"
    assert changes.get(b"unknown") is None
    changes.put(b"known", b"changed")
    changes.put(b"unknown", b"")
    assert changes.get(b"known") == b"changed"
    assert changes.get(b"unknown") == b""
    assert state.get(b"known") == b"committed"
    assert state.get(b"unknown") is None


@pytest.mark.parametrize("key", [b"/", b"/offset", b"/watermark", b"/anything"])
def test_given_a_key_of_the_engine_when_put_then_it_is_refused(state: PartitionState, key: bytes) -> None:
    changes = StateChanges(state)
    with pytest.raises(ValueError, match="the engine's own"):
        changes.put(key, b"")
    assert changes.changed == {}


def test_given_a_delivery_report_then_the_offset_is_known_and_one_of_a_failure_says_nothing(
    state: PartitionState,
) -> None:
    changes = StateChanges(state)
    changes.delivered(KafkaError(KafkaError._MSG_TIMED_OUT), delivered(5))
    assert changes.offset is None
    changes.delivered(None, delivered(77))
    assert changes.offset == 77


def test_given_a_partition_asked_for_twice_then_its_changes_are_the_same(state: PartitionState) -> None:
    transaction = begun(WritingProducer(), state)
    transaction.state(3).put(b"a", b"1")
    assert transaction.state(3).get(b"a") == b"1"
    assert set(transaction.touched) == {3}


def test_given_changes_when_the_changelog_is_written_then_each_key_comes_once_and_the_watermark_last(
    state: PartitionState,
) -> None:
    producer = WritingProducer()
    transaction = begun(producer, state)
    for value in (b"1", b"2"):
        transaction.state(0).put(b"a", value)
    transaction.state(0).put(b"b", b"3")
    transaction.state(1)  # touched, nothing changed
    transaction.write_changelog("changelog", {0: {"source": 8}, 1: {"source": 9}})
    assert producer.produced == [
        Produced("changelog", b"2", b"a", None, 0),
        Produced("changelog", b"3", b"b", None, 0),
        Produced("changelog", b'{"source":8}', WATERMARK_KEY, None, 0),
        Produced("changelog", b'{"source":9}', WATERMARK_KEY, None, 1),
    ]
    assert transaction.touched[1].changed == {WATERMARK_KEY: b'{"source":9}'}
    assert transaction.watermarks == {0: {"source": 8}, 1: {"source": 9}}


def test_given_bad_input_then_it_goes_to_the_dead_letters_of_the_same_transaction(state: PartitionState) -> None:
    producer = WritingProducer()
    begun(producer, state).refuse(Consumed(value=b"\x00", key=b"k"), "NOT_AVRO", "no")
    (letter,) = producer.produced
    assert (letter.topic, letter.value, letter.key, letter.partition) == ("dead-letters", b"\x00", b"k", -1)
    assert ("dead-letter-error", b"NOT_AVRO") in (letter.headers or ())


def test_given_more_bad_input_than_allowed_then_the_transaction_is_not_filled_any_further(
    state: PartitionState,
) -> None:
    producer = WritingProducer()
    transaction = begun(producer, state, per_minute=1)
    transaction.refuse(Consumed(), "CODE", "")
    with pytest.raises(DeadLetterFlood):
        transaction.refuse(Consumed(), "CODE", "")
    assert len(producer.produced) == 1
