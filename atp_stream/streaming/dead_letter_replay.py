"""Dead letters sent back, each once: the record and the marker of its letter in one Kafka transaction.

All callers of an application share one transactional id. Starting the producer fences every other caller and ends its
transaction, one way or the other; the markers are read up to the end after that. So whoever commits has seen the
markers of everybody who committed before, and nobody commits who was overtaken (KIP-98). A commit whose outcome is not
known is not guessed: a new producer settles it, and the markers say how it ended.

A shared id keeps its producer id: what a broker has left hanging of an earlier transaction (KAFKA-20734) would share
the fate of the next one in that partition. So before each transaction, all that are open where it writes have to end.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from confluent_kafka import KafkaError, KafkaException, Message

from .cluster import Cluster
from .dead_letter_records import Letter, Marker, Place, marker_headers, read_record, returned_headers
from .errors import NoProgress
from .membership import NO_MEMBER
from .producer import Outcome, TransactionalProducer
from .records import Partition

_MOST_TRIES = 10
_PAUSE_SECONDS = 0.2

Consume = Callable[[Letter | Marker, int], None]
"""Takes a record, and how many offsets are still to come."""


class LetterLog:
    """The dead-letter topic. Reads committed records only, and waits for transactions that are open in it."""

    def __init__(self, cluster: Cluster, topic: str, partitions: int) -> None:
        self.topic = topic
        self._cluster = cluster
        self._partitions = [Partition(topic, number) for number in range(partitions)]

    def spans(self) -> dict[int, tuple[int, int]]:
        """Return by partition the first offset there is, and where it ends now."""
        return {partition.number: span for partition, span in self._cluster.ends(self._partitions).items()}

    def read(self, spans: Mapping[int, tuple[int, int]], consume: Consume) -> None:
        """Read the spans in offset order. What has expired meanwhile is passed over."""
        following = {number: first for number, (first, _) in spans.items()}

        def take(partition: Partition, messages: list[Message]) -> None:
            for message in messages:
                following[partition.number] = (message.offset() or 0) + 1
                consume(read_record(message), sum(end - following[number] for number, (_, end) in spans.items()))

        while True:
            left = {Partition(self.topic, n): (following[n], end) for n, (_, end) in spans.items()}
            try:
                return self._cluster.read(left, take)
            except KafkaException as failure:
                if failure.args[0].code() != KafkaError._AUTO_OFFSET_RESET:
                    raise
            for number, (first, _) in self.spans().items():
                if number in following:
                    following[number] = max(first, following[number])


class Markers:
    """The markers in the log, up to where it was last read."""

    def __init__(self, log: LetterLog, since: Mapping[int, int]) -> None:
        """`since`: by partition the offset to begin at; partitions that are not named are not looked at."""
        self._log = log
        self._following = dict(since)
        self.by_letter: dict[Place, Marker] = {}

    def read_on(self, tell: Callable[[int], None] = lambda _: None) -> None:
        """Read what has come since, up to where the log ends now. `tell`: how many offsets are still to come."""
        spans = {n: (self._following[n], end) for n, (_, end) in self._log.spans().items() if n in self._following}

        def take(record: Letter | Marker, left: int) -> None:
            tell(left)
            if isinstance(record, Marker):
                self.by_letter.setdefault(record.letter, record)

        self._log.read(spans, take)
        self._following.update({number: end for number, (_, end) in spans.items()})


@dataclass(frozen=True, slots=True)
class Return:
    """A letter as it is to be sent back."""

    letter: Letter
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    is_mended: bool


class Verdict(Enum):
    """What became of a letter."""

    SENT = "sent"
    #: By an earlier call, or by one at the same time.
    ALREADY_SENT = "already_sent"


class Replayer:
    """Sends letters back. `call` names this caller in the markers, and must be no other's.

    The `producer` has the transactional id that all callers share. `markers` begins before the letters to be sent.
    """

    def __init__(
        self, producer: TransactionalProducer, cluster: Cluster, log: LetterLog, markers: Markers, call: str
    ) -> None:
        self.markers = markers
        self._producer = producer
        self._cluster = cluster
        self._log = log
        self._call = call
        self._sent: set[Place] = set()

    def send(self, returns: Sequence[Return]) -> dict[Place, Verdict]:
        """Send these letters back, in one transaction, except for those that were sent back before.

        Raises `NoProgress` when no transaction commits, `ClusterUnreachable` also when another transaction hangs where
        they go, `NotPermitted`. Whatever is raised, the letters can be sent again: the markers say what became of them.
        """
        for attempt in range(_MOST_TRIES):
            if not self._producer.is_ready:
                time.sleep(self._pause(attempt))
                self._producer.start()
                self.markers.read_on()
            left = [each for each in returns if not self._is_done(each.letter.place)]
            if not left:
                break
            # Behind the start, so that no other caller can leave anything there any more without overtaking this one.
            self._cluster.await_settled(self._written_by(left))
            if self._transact(left) is Outcome.COMMITTED:
                self._sent.update(each.letter.place for each in left)
                break
            self._producer.close()
        else:
            raise NoProgress(
                f"{_MOST_TRIES} transactions in a row did not commit",
                cause="another call sends dead letters back at the same time, or the cluster does not take the records",
                fix="see the lines above, and run it again: what was sent back is not sent twice",
            )
        return {each.letter.place: self._verdict(each.letter.place) for each in returns}

    def close(self) -> None:
        """Give up the producer."""
        self._producer.close()

    def _written_by(self, returns: Collection[Return]) -> set[Partition]:
        places = (each.letter.place for each in returns)
        return {
            *(Partition(each.topic, each.partition) for each in returns),
            *(Partition(self._log.topic, place.partition) for place in places),
        }

    def _transact(self, returns: Collection[Return]) -> Outcome:
        self._producer.begin()
        for each in returns:
            letter = each.letter
            self._producer.produce(each.topic, each.value, each.key, returned_headers(letter), each.partition)
            # In the partition of its letter, behind it: it never expires before.
            headers = marker_headers(letter.place, each.topic, each.is_mended, self._call)
            self._producer.produce(self._log.topic, None, None, headers, letter.place.partition)
        return self._producer.commit([], NO_MEMBER)

    def _is_done(self, place: Place) -> bool:
        return place in self._sent or place in self.markers.by_letter

    def _verdict(self, place: Place) -> Verdict:
        marker = self.markers.by_letter.get(place)
        is_ours = place in self._sent or (marker is not None and marker.call == self._call)
        return Verdict.SENT if is_ours else Verdict.ALREADY_SENT

    def _pause(self, attempt: int) -> float:
        """Return how long to wait, so that two callers do not overtake each other for ever: each waits differently."""
        return attempt * _PAUSE_SECONDS * (0.5 + sum(self._call.encode()) % 16 / 16)
