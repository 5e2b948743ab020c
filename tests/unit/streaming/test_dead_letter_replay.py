"""Sent back once: what the markers say decides, and a commit's outcome is not guessed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from atp_stream.streaming.cluster import Cluster, ShouldStop, never
from atp_stream.streaming.dead_letter_records import REPLAY_OF, REPLAYED, Letter, Marker, Place
from atp_stream.streaming.dead_letter_replay import Consume, LetterLog, Markers, Replayer, Return, Verdict
from atp_stream.streaming.errors import ClusterUnreachable, NoProgress
from atp_stream.streaming.membership import NO_MEMBER, Membership
from atp_stream.streaming.producer import Outcome
from atp_stream.streaming.records import Partition

from .samples import WritingProducer


class Log(LetterLog):
    """A dead-letter topic of one partition in memory."""

    def __init__(self) -> None:
        self.topic = "letters"
        self.records: list[Letter | Marker] = []
        self.reads: list[tuple[int, int]] = []

    def spans(self) -> dict[int, tuple[int, int]]:
        return {0: (0, len(self.records))}

    def read(self, spans: Any, consume: Consume) -> None:
        first, end = spans[0]
        self.reads.append((first, end))
        for offset in range(first, end):
            consume(self.records[offset], end - offset - 1)

    def mark(self, place: Place, call: str) -> None:
        self.records.append(Marker(place, 0, "source", False, call))


class Producer(WritingProducer):
    """Its start makes it ready; what it commits, known or not, lies in the log."""

    log: Log
    settled: "Settled"
    call = "ours"
    #: Outcomes of commits that did happen, whatever is said of them.
    lands: bool = True

    def start(self, should_stop: ShouldStop = never) -> None:
        self.calls.append("start")
        self.ready = True

    def close(self) -> None:
        super().close()
        self.ready = False

    def commit(self, offsets: Sequence[TopicPartition], membership: Membership) -> Outcome:
        outcome = super().commit(offsets, membership)
        if outcome is Outcome.COMMITTED or (outcome is Outcome.UNKNOWN and self.lands):
            for each in self.produced:
                if each.topic == "letters":
                    self.log.mark(Place(0, int((dict(each.headers or ())[REPLAYED] or b"").split(b"/")[1])), self.call)
        self.produced_at_commit = list(self.produced)
        self.produced.clear()
        return outcome


def letter(offset: int) -> Letter:
    return Letter(Place(0, offset), 0, Partition("source", 1), 5, "X", "", frozenset(), b"k", b"v", [("own", b"x")])


def a_return(offset: int) -> Return:
    return Return(letter(offset), "source", 1, b"k", b"v", False)


class Settled(Cluster):
    """Writes down, among the producer's calls, where transactions had to end; may say that one hangs."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.asked: list[set[Partition]] = []
        self.hangs = False

    def await_settled(self, partitions: Iterable[Partition], should_stop: ShouldStop = never) -> None:
        assert self.producer.ready
        self.asked.append(set(partitions))
        if self.hangs:
            raise ClusterUnreachable("a transaction hangs")


def made(*outcomes: Outcome, letters: int = 2) -> tuple[Replayer, Producer, Log]:
    log, producer = Log(), Producer(outcomes=list(outcomes), ready=False)
    log.records.extend(letter(offset) for offset in range(letters))
    producer.log = log
    markers = Markers(log, {0: 0})
    markers.read_on()
    producer.settled = Settled(producer)
    return Replayer(producer, producer.settled, log, markers, producer.call), producer, log


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atp_stream.streaming.dead_letter_replay.time.sleep", lambda _: None)


def test_given_letters_when_they_are_sent_then_record_and_marker_lie_in_one_transaction() -> None:
    replayer, producer, _ = made()
    assert replayer.send([a_return(0), a_return(1)]) == {Place(0, 0): Verdict.SENT, Place(0, 1): Verdict.SENT}
    assert producer.calls == ["start", "begin", "commit"]
    assert producer.committed == [([], NO_MEMBER)]
    first, marker = producer.produced_at_commit[:2]
    assert (first.topic, first.partition, first.key, first.value) == ("source", 1, b"k", b"v")
    assert first.headers == [(REPLAY_OF, b"0/0"), ("own", b"x")]
    assert (marker.topic, marker.partition, marker.key, marker.value) == ("letters", 0, None, None)
    assert dict(marker.headers or ())[REPLAYED] == b"0/0"


def test_given_a_letter_that_another_call_sent_meanwhile_when_it_is_sent_then_only_the_others_are() -> None:
    replayer, producer, log = made()
    log.mark(Place(0, 0), "another")  # after the first look, before the start
    assert replayer.send([a_return(0), a_return(1)]) == {Place(0, 0): Verdict.ALREADY_SENT, Place(0, 1): Verdict.SENT}
    assert len(producer.produced_at_commit) == 2


def test_given_letters_that_were_all_sent_when_they_are_sent_then_there_is_no_transaction() -> None:
    replayer, producer, log = made()
    log.mark(Place(0, 0), "another")
    assert replayer.send([a_return(0)]) == {Place(0, 0): Verdict.ALREADY_SENT}
    assert producer.calls == ["start"]
    assert log.reads == [(0, 2), (2, 3)]  # nothing is read twice


@pytest.mark.parametrize("lands", [True, False])
def test_given_an_unknown_outcome_when_it_is_settled_then_the_markers_say_how_it_ended(lands: bool) -> None:
    replayer, producer, log = made(Outcome.UNKNOWN)
    producer.lands = lands
    assert replayer.send([a_return(0)]) == {Place(0, 0): Verdict.SENT}
    again = [] if lands else ["begin", "commit"]
    assert producer.calls == ["start", "begin", "commit", "close", "start", *again]
    assert sum(isinstance(record, Marker) for record in log.records) == 1


def test_given_an_unknown_outcome_when_another_call_has_sent_it_then_it_was_not_this_one() -> None:
    replayer, producer, _ = made(Outcome.UNKNOWN)
    producer.call = "another"
    assert replayer.send([a_return(0)]) == {Place(0, 0): Verdict.ALREADY_SENT}


def test_given_an_aborted_transaction_when_it_is_sent_then_it_is_tried_again_and_at_last_given_up() -> None:
    replayer, producer, _ = made(Outcome.ABORTED)
    assert replayer.send([a_return(0)]) == {Place(0, 0): Verdict.SENT}
    assert producer.calls == ["start", "begin", "commit", "close", "start", "begin", "commit"]
    replayer, producer, log = made(*[Outcome.ABORTED] * 100)
    with pytest.raises(NoProgress):
        replayer.send([a_return(0)])
    assert sum(isinstance(record, Marker) for record in log.records) == 0


def test_given_the_same_letter_again_from_the_same_call_then_it_is_not_sent_again() -> None:
    replayer, producer, _ = made()
    replayer.send([a_return(0)])
    replayer.send([a_return(0)])
    assert producer.calls == ["start", "begin", "commit"]


def test_given_any_transaction_when_it_is_to_begin_then_none_is_open_where_it_writes() -> None:
    replayer, producer, _ = made(Outcome.ABORTED)
    replayer.send([a_return(0)])
    replayer.send([a_return(1)])
    assert producer.calls == ["start", "begin", "commit", "close", "start", "begin", "commit", "begin", "commit"]
    assert producer.settled.asked == [{Partition("source", 1), Partition("letters", 0)}] * 3


def test_given_a_transaction_that_hangs_where_a_letter_goes_when_it_is_sent_then_nothing_is_written() -> None:
    replayer, producer, _ = made()
    producer.settled.hangs = True
    with pytest.raises(ClusterUnreachable):
        replayer.send([a_return(0)])
    assert producer.calls == ["start"]


class Expiring(Cluster):
    """A cluster whose topic loses its first records between the question for its ends and the reading."""

    def __init__(self) -> None:
        self.first = 0

    def ends(
        self, partitions: Iterable[Partition], should_stop: ShouldStop = never
    ) -> dict[Partition, tuple[int, int]]:
        return dict.fromkeys(partitions, (self.first, 5))

    def read(
        self,
        spans: Mapping[Partition, tuple[int, int]],
        consume: Callable[[Partition, list[Message]], None],
        should_stop: ShouldStop = never,
    ) -> None:
        ((partition, (first, end)),) = spans.items()
        if not self.first:
            consume(partition, [Message(topic="letters", partition=0, offset=0)])
            self.first = 3
        if first < self.first:
            raise KafkaException(KafkaError(KafkaError._AUTO_OFFSET_RESET))
        consume(partition, [Message(topic="letters", partition=0, offset=offset) for offset in range(first, end)])


def place_of(record: Letter | Marker) -> Place:
    assert isinstance(record, Letter)
    return record.place


def test_given_letters_that_expire_while_they_are_read_then_the_others_are_read_once() -> None:
    log = LetterLog(Expiring(), "letters", 1)
    found: list[tuple[Place, int]] = []
    log.read(log.spans(), lambda record, left: found.append((place_of(record), left)))
    assert found == [(Place(0, 0), 4), (Place(0, 3), 1), (Place(0, 4), 0)]
