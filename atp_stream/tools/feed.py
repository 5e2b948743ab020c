"""atp-stream feed: made-up events of Inventory Core into its topics, at a steady rate."""

import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from atp_stream.admin.kafka import connect, kafka_error, require_advertised
from atp_stream.admin.kafka_errors import BOOTSTRAP
from atp_stream.admin.topics import describe
from atp_stream.errors import EXIT_OK, DataError, UnavailableError
from atp_stream.settings import Settings, confluent_config
from atp_stream.tools.feed_core import InventoryCore
from atp_stream.tools.feed_events import FeedEvent
from atp_stream.tools.feed_progress import progress_on
from atp_stream.tools.feed_records import RecordMaker
from atp_stream.tools.feed_writers import open_writers
from atp_stream.tools.stopping import Stop, stop_signals

_FLUSH_SECONDS: Final = 10.0
_LONGEST_WAIT_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 1.0
"""A feed that has been held up for longer goes on at its rate from there, rather than catch up in one burst."""


class Schedule:
    """When the next event is due, at a rate in events per second. The clock tells seconds, from any beginning."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval: Final = 1 / rate
        self._clock: Final = clock
        self._due = clock()

    def wait(self) -> float:
        """Return for how many seconds to wait before the next event; 0 or less: it is due."""
        return self._due - self._clock()

    def sent(self) -> None:
        """Note that an event went out."""
        self._due = max(self._due, self._clock() - _LONGEST_DELAY_SECONDS) + self._interval


class Feed:
    """Publishes events of a made-up Inventory Core with an idempotent producer, and counts them.

    counts: what was handed over, by kind ("stock changes", "reservations", "releases", and of these "repeated", "late",
    "broken"). delivered, failed: what the broker has acknowledged, and what it never will.
    """

    def __init__(self, settings: Settings, *, rate: float, items: int, seed: int | None, bad_percent: float) -> None:
        """Nothing is sent yet. DataError: the topics or the schemas are not there; other AppError: not reached."""
        self.seed: Final = secrets.randbelow(1_000_000) if seed is None else seed
        self.counts: Counter[str] = Counter()
        self.sent = self.delivered = 0
        self.failed: Counter[str] = Counter()
        self._rate: Final = rate
        self._core: Final = InventoryCore(
            seed=self.seed, items=items, channels=settings.channels, bad_percent=bad_percent, clock=_epoch_ms
        )
        _require_topics(settings)
        self._maker: Final = RecordMaker(settings.topics.sources, open_writers(settings))
        self._producer: Final = _producer(settings)

    @property
    def waiting(self) -> int:
        """Number of events that the broker has not acknowledged yet."""
        return len(self._producer)

    def run(self, stop: Stop, count: int | None, progress: Callable[["Feed"], None] = lambda _: None) -> None:
        """Publish the opening stock at once, then events at the rate; until there are `count`, or a stop is asked for.

        progress: called after each event or wait.
        """
        limited = (lambda events: islice(events, count)) if count is not None else iter
        schedule = Schedule(self._rate)
        for made, opening in limited(self._events()):
            while not opening and not stop.asked and (left := schedule.wait()) > 0:
                self._producer.poll(0)
                progress(self)
                stop.wait(min(left, _LONGEST_WAIT_SECONDS))
            if stop.asked or not self._publish(made, stop):
                break
            if not opening:
                schedule.sent()
            progress(self)

    def release_all(self) -> None:
        """Publish the release of every reservation that is open, so that none stays for ever."""
        for made in self._core.closing():
            if not self._publish(made, Stop(), seconds=_FLUSH_SECONDS):
                break

    def close(self) -> None:
        """Wait for the broker's acknowledgements, but not for ever. UnavailableError: some are missing."""
        left = self._producer.flush(_FLUSH_SECONDS)
        if left or self.failed:
            raise UnavailableError(
                f"{left + self.failed.total()} of {self.sent} events were not delivered",
                cause=", ".join(f"{reason}: {number}" for reason, number in self.failed.items())
                or f"the broker did not acknowledge them within {_FLUSH_SECONDS:.0f} s",
                setting=BOOTSTRAP,
                fix="check that the broker runs: `atp-stream doctor`",
            )

    def _events(self) -> Iterator[tuple[FeedEvent, bool]]:
        """Yield events, and whether they are part of the opening."""
        opening: Iterable[tuple[FeedEvent, bool]] = ((made, True) for made in self._core.opening())
        return chain(opening, ((made, False) for made in self._core.events()))

    def _publish(self, made: FeedEvent, stop: Stop, seconds: float | None = None) -> bool:
        """Hand one event over to the producer; wait while it is full. False: it still was at the stop, or too long."""
        record = self._maker.make(made)
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            try:
                self._producer.produce(record.topic, record.value, record.key, on_delivery=self._on_delivery)
                break
            except BufferError:
                if stop.asked or (until is not None and time.monotonic() > until):
                    return False
                self._producer.poll(_LONGEST_WAIT_SECONDS)
        self._producer.poll(0)
        self.sent += 1
        self.counts[made.kind] += 1
        if made.special is not None:
            self.counts[made.special] += 1
        return True

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.failed[error.str()] += 1


def run_feed(
    settings: Settings, rate: float, items: int, seed: int | None, count: int | None, bad_percent: float
) -> int:
    """Publish made-up events until there are `count` or a signal comes; return 0.

    AppError: Kafka or the registry cannot be reached, topics are missing, or events were not delivered.
    """
    with stop_signals() as stop:
        feed = Feed(settings, rate=rate, items=items, seed=seed, bad_percent=bad_percent)
        began = time.monotonic()
        with progress_on(sys.stderr) as show:
            feed.run(stop, count, lambda feed: show(lambda: _state(feed, began)))
            seconds = time.monotonic() - began
            feed.close()
        print(_summary(feed, seconds))
    return EXIT_OK


def _state(feed: Feed, began: float) -> str:
    waiting = f", {feed.waiting} not acknowledged yet" if feed.waiting else ""
    return f"{feed.sent:,} events in {time.monotonic() - began:.0f} s{waiting}; Ctrl-C ends it"


def _summary(feed: Feed, seconds: float) -> str:
    kinds = ", ".join(f"{feed.counts[kind]:,} {kind}" for kind in FeedEvent.KINDS)
    special = ", ".join(f"{feed.counts[special]:,} {special}" for special in FeedEvent.SPECIALS)
    rate = feed.sent / seconds if seconds > 0 else 0
    return (
        f"sent {feed.sent:,} events in {seconds:.1f} s ({rate:,.1f}/s): {kinds}\n"
        f"of these {special}; the same again: --seed {feed.seed}"
    )


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000


def _require_topics(settings: Settings) -> None:
    """A topic that is missing would be created by the broker as it thinks best, and have the wrong partitions."""
    cluster = connect(settings.kafka)
    require_advertised(cluster, settings.kafka)
    missing = sorted(settings.topics.sources.keys() - describe(cluster.admin, settings.topics.sources).keys())
    if missing:
        raise DataError(
            f"{len(missing)} topics are missing", cause=", ".join(missing), fix="run `atp-stream topics apply`"
        )


def _producer(settings: Settings) -> Producer:
    config: dict[str, Any] = {
        **confluent_config(settings.kafka),
        "enable.idempotence": True,
        # As Java's clients do it, and as a topic that is keyed by item has to be.
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        "compression.type": "lz4",
        # What goes wrong for good comes with the delivery; in between it tries again by itself.
        "log_level": 0,
    }
    try:
        return Producer(config)
    except KafkaException as error:
        raise kafka_error(error, "Kafka's client cannot be built") from None
