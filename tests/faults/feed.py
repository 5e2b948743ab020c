"""Inventory Core under way: events of all kinds, good and bad, for as long as a round of the campaign lasts."""

import random
import threading
import time
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, Producer

from tests.pipeline.publishing import Publisher

from .difference import Unsettled
from .feed_events import Made, Maker

#: librdkafka never again sends to a partition that it has once seen without a leader (its issue 5430): what waits for
#: that is given up, and a new producer goes on. What lies in the topics is what counts.
_DELIVERY_MS = 30_000
_FLUSH_SECONDS = 90.0
_TICK_SECONDS = 0.01


class Feed:
    """Publishes in a thread of its own, `rate` events a second. Made anew, it goes on with new items.

    A broker that is away for a while only delays it: what was made waits and arrives once, in its order. What it makes
    follows from the seed; how much, from how long it runs.
    """

    def __init__(self, publisher: Publisher, seed: int, rate: float = 100.0, items: int = 40) -> None:
        self.rate = rate
        self._publisher = publisher
        self._random = random.Random(seed)
        self._maker = Maker(publisher, self._random, items)
        self._producer = self._new_producer()
        self._counts = {topic: source.partitions for topic, source in publisher.sources.items()}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures: list[BaseException] = []
        #: How many records it has handed to its producer, and how many of them that gave up on.
        self.made = self.undelivered = 0
        self._is_deaf = False

    def _new_producer(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._publisher.servers,
                "enable.idempotence": True,
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "message.timeout.ms": _DELIVERY_MS,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
            }
        )

    def start(self) -> Self:
        """Begin to publish."""
        assert self._thread is None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End, and wait until all that was made lies in the topics or is given up. Raises `Unsettled` if neither."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        until = time.monotonic() + _FLUSH_SECONDS
        while (left := self._producer.flush(1)) and time.monotonic() < until:
            pass
        assert not self._failures, self._failures
        if left:
            raise Unsettled(f"{left} records of the feed have not arrived {_FLUSH_SECONDS:.0f} s later")

    def _run(self) -> None:
        try:
            due, last = 0.0, time.monotonic()
            while not self._stop.wait(_TICK_SECONDS):
                now = time.monotonic()
                due, last = due + (now - last) * self.rate, now
                while due >= 1 and not self._stop.is_set():
                    due -= 1
                    self._send(self._maker.make())
                self._producer.poll(0)
        except BaseException as failure:
            self._failures.append(failure)

    def _send(self, made: Made) -> None:
        if self._is_deaf:
            self._is_deaf = False
            self._producer.flush(1)
            self._producer = self._new_producer()
        count = self._counts[made.topic]
        is_keyed = self._publisher.sources[made.topic].keyed_by_item or count is None
        partition = -1 if is_keyed or count is None else self._random.randrange(count)
        while True:
            try:
                self._producer.produce(
                    made.topic,
                    made.value,
                    made.key,
                    partition,
                    headers=dict(made.headers),
                    on_delivery=self._delivered,
                )
                self.made += 1
                return
            except BufferError:
                self._producer.poll(0.1)
                if self._stop.is_set():
                    return
            except KafkaException as failure:
                if not failure.args[0].fatal():
                    raise
                # What was on its way may be lost or there twice: either way, what lies in the topics is what counts.
                self._producer.flush(1)
                self._producer = self._new_producer()

    def _delivered(self, error: object, message: object) -> None:
        if error is not None:
            self.undelivered += 1
            self._is_deaf = True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
