"""The dead letters of an application, for the commands that show them and send them back."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from confluent_kafka.admin import AdminClient

from atp_stream.admin.kafka import connect, require_advertised
from atp_stream.admin.topics import describe
from atp_stream.errors import AppError, DataError, UsageError
from atp_stream.settings import Settings, confluent_config
from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.dead_letter_records import Letter, Marker, Place
from atp_stream.streaming.dead_letter_replay import LetterLog, Markers, Replayer
from atp_stream.streaming.producer import TransactionalProducer
from atp_stream.streaming.transactional_ids import SharedId
from atp_stream.tools.feed_progress import Show

DEADLINE_SECONDS: Final = 30.0
_TRANSACTION_TIMEOUT_MS: Final = 5_000
_WIDEST_GAP: Final = 10_000  # offsets
_ID: Final = re.compile(r"(?:(\d{1,9}):)?(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant. error: their code; topic: where they came from; since, until: epoch ms, until excluded.

    None: any. is_open: only those that were not sent back.
    """

    error: str | None = None
    topic: str | None = None
    since: int | None = None
    until: int | None = None
    is_open: bool = True

    def includes(self, letter: Letter, marker: Marker | None) -> bool:
        """Return whether a letter, with the marker of its having been sent back, is meant."""
        return (
            (self.error is None or self.error == letter.code)
            and (self.topic is None or (letter.source is not None and letter.source.topic == self.topic))
            and (self.since is None or letter.time >= self.since)
            and (self.until is None or letter.time < self.until)
            and not (self.is_open and marker is not None)
        )


class DeadLetters:
    """The dead-letter topic of an application, connected."""

    def __init__(self, settings: Settings, admin: AdminClient, partitions: int) -> None:
        self.settings: Final = settings
        self.admin: Final = admin
        self._kafka: Final = confluent_config(settings.kafka)
        self._cluster: Final = Cluster(self._kafka, settings.worker.application_id, DEADLINE_SECONDS)
        self.log: Final = LetterLog(self._cluster, settings.topics.dead_letters, partitions)

    def get(self, places: Iterable[Place]) -> list[Letter]:
        """Return these letters, in their order in the topic. DataError: one is not there, and why not."""
        wanted, spans = set(places), self.log.spans()
        found: dict[Place, Letter] = {}

        def take(record: Letter | Marker, _left: int) -> None:
            if isinstance(record, Letter) and record.place in wanted:
                found[record.place] = record

        for run in _runs(sorted(wanted)):
            number = run[0].partition
            first, end = spans.get(number, (0, 0))
            self.log.read({number: (max(first, run[0].offset), min(end, run[-1].offset + 1))}, take)
        for place in sorted(wanted - found.keys()):
            raise _missing(place, *spans.get(place.partition, (0, 0)), self.log.topic)
        return [found[place] for place in sorted(found)]

    def markers_of(self, places: Iterable[Place]) -> Markers:
        """Return the markers that there are now of these letters, and of later ones."""
        begin: dict[int, int] = {}
        for place in places:
            begin[place.partition] = min(place.offset, begin.get(place.partition, place.offset))
        markers = Markers(self.log, begin)
        markers.read_on()
        return markers

    def each(self, take: Callable[[Letter, Marker | None], None], progress: Show) -> Markers:
        """Give on each letter, with its marker if it was sent back, in their order; return all markers.

        Two readings: whether a letter was sent back is only known at the end of the topic.
        """
        spans = self.log.spans()
        total = sum(end - first for first, end in spans.values())

        def tell(what: str, left: int) -> None:
            progress(lambda: f"{self.log.topic}: {what}: {total - left:,} of {total:,}")

        markers = Markers(self.log, {number: first for number, (first, _) in spans.items()})
        markers.read_on(partial(tell, "what was sent back"))

        def of_letter(record: Letter | Marker, left: int) -> None:
            tell("letters", left)
            if isinstance(record, Letter):
                take(record, markers.by_letter.get(record.place))

        self.log.read(spans, of_letter)
        return markers

    def replayer(self, markers: Markers, call: str) -> Replayer:
        """Return what sends letters back, under the name `call`, which must be new."""
        group = self.settings.worker.application_id
        producer = TransactionalProducer(
            self._kafka, SharedId(f"{group}-dead-letters"), group, _TRANSACTION_TIMEOUT_MS, DEADLINE_SECONDS
        )
        return Replayer(producer, self._cluster, self.log, markers, call)


def open_letters(settings: Settings) -> DeadLetters:
    """Connect. AppError: Kafka cannot be reached, or the topic is missing."""
    cluster = connect(settings.kafka)
    require_advertised(cluster, settings.kafka)
    topic = settings.topics.dead_letters
    found = describe(cluster.admin, [topic])
    if topic not in found:
        raise DataError(
            f"there is no topic {topic}",
            cause="it is where dead letters lie, and it was not created yet, or has another name",
            setting="topics.dead_letters",
            fix="run `atp-stream topics apply`, or correct topics.dead_letters",
        )
    return DeadLetters(settings, cluster.admin, found[topic].partitions)


def parse_id(text: str) -> Place:
    """Return the letter that a person means: PARTITION:OFFSET, or OFFSET for partition 0. UsageError: neither."""
    match = _ID.fullmatch(text)
    if match is None:
        raise UsageError(
            f"not the id of a dead letter: {text!a}",
            cause="an id is PARTITION:OFFSET in the dead-letter topic, such as 0:17",
            fix="take it from `atp-stream dead-letters list`",
        )
    return Place(int(match[1] or 0), int(match[2]))


def _runs(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Yield sorted places in runs that are worth one reading from end to end."""
    run: list[Place] = []
    for place in places:
        if run and (place.partition != run[-1].partition or place.offset - run[-1].offset > _WIDEST_GAP):
            yield run
            run = []
        run.append(place)
    if run:
        yield run


def _missing(place: Place, first: int, end: int, topic: str) -> AppError:
    if place.offset >= end:
        cause = f"{topic}[{place.partition}] ends before it"
    elif place.offset < first:
        cause = f"it has expired: the oldest record of {topic}[{place.partition}] is now {place.partition}:{first}"
    else:
        cause = "what lies there is no letter: the note that one was sent back, or the end of a transaction"
    return DataError(
        f"there is no dead letter {place}", cause=cause, fix="see `atp-stream dead-letters list` for those there are"
    )
