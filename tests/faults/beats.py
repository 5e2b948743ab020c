"""A beat per partition of the state, and how long none of it is heard at the other end: the silence of a fault."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise

from confluent_kafka import Consumer, TopicPartition

from atp_stream.streaming.partitioner import partition_of
from tests.pipeline.core import STOCK, Core
from tests.pipeline.deployment import Deployment
from tests.pipeline.oracle import AVAILABILITY, OUTPUTS
from tests.pipeline.publishing import Publisher
from tests.pipeline.waiting import answered

_PAUSE_SECONDS = 0.1


@dataclass
class Heard:
    """When the beats of each item came out, in monotonic seconds."""

    times: dict[bytes, list[float]] = field(default_factory=dict)

    def longest_silence(self, since: float, until: float) -> float:
        """The longest time within the span in which some partition gave no sign, in seconds."""
        longest = 0.0
        for times in list(self.times.values()):
            within = [since, *(each for each in list(times) if since < each < until), until]
            longest = max(longest, *(later - earlier for earlier, later in pairwise(within)))
        return longest

    def forget(self, before: float) -> None:
        """Drop what lies before: a campaign may take hours."""
        for key, times in self.times.items():
            self.times[key] = [each for each in times if each >= before]


class Beats:
    """Publishes a stock change for each partition ten times a second, and listens for what comes of it."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._items = _items(deployment)
        self._core = Core(deployment.core.tenant)
        self._count = 0

    @contextmanager
    def beating(self) -> Iterator[Heard]:
        """Beat while the block lasts; go on from there the next time, so that no beat is older than one before."""
        heard, stop = Heard({key.encode(): [] for key in self._items}), threading.Event()
        threads = [
            threading.Thread(target=self._publish, args=(stop,), daemon=True),
            threading.Thread(target=self._listen, args=(heard, stop), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            yield heard
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _publish(self, stop: threading.Event) -> None:
        deployment = self._deployment
        publisher = Publisher(deployment.servers, deployment.sources, deployment.core.tenant)
        publisher.core = self._core
        publisher.schema_ids.update(deployment.schema_ids)
        topic = deployment.source(STOCK)
        partitions = deployment.sources[topic].partitions or 1
        while not stop.wait(_PAUSE_SECONDS):
            self._count += 1
            for number, item in enumerate(self._items.values()):
                event = publisher.core.stock(item, f"{self._count % 1000 + 1}.00", location="beat")
                # An item's beats lie in one partition, and so in order.
                publisher.raw(topic, publisher.value(event, topic), item.encode(), number % partitions)
        with suppress(AssertionError):  # those of a partition that the client has given up
            publisher.flush()

    def _listen(self, heard: Heard, stop: threading.Event) -> None:
        topic = OUTPUTS[AVAILABILITY]
        consumer = Consumer(
            {
                "bootstrap.servers": self._deployment.servers,
                "group.id": "listener",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "latest",
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )
        partitions = answered("the topic is known", lambda: consumer.list_topics(topic, timeout=30)).topics[topic]
        consumer.assign([TopicPartition(topic, number) for number in partitions.partitions])
        while not stop.is_set():
            messages = consumer.consume(1000, 0.02)
            now = time.monotonic()
            for message in messages:
                key = message.key()
                if message.error() is None and isinstance(key, bytes) and key in heard.times:
                    heard.times[key].append(now)
        consumer.close()


def _items(deployment: Deployment) -> dict[str, str]:
    """An item for each partition of the state, by its key."""
    found: dict[int, tuple[str, str]] = {}
    number = 0
    while len(found) < deployment.partitions:
        item, number = f"beat-{number}", number + 1
        key = f"{deployment.core.tenant}/{item}"
        found.setdefault(partition_of(key.encode(), deployment.partitions), (key, item))
    return dict(found.values())
