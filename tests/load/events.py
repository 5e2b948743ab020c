"""A process that publishes events at a steady rate, and hears when what they bring about can be read."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.pipeline.core import STOCK, Core
from tests.pipeline.oracle import AVAILABILITY, OUTPUTS
from tests.pipeline.publishing import Publisher, Source

from .latencies import Latencies

_TICK_SECONDS = 0.005
#: What was published last may take so long to come out.
_REST_SECONDS = 10.0
_ASK_SECONDS = 30.0


@dataclass(frozen=True)
class Feed:
    """What to publish where. ids: the schema ids of the sources. seconds: for how long; rate: events a second.

    first: the number of the first event, behind those of earlier feeds: ids and timestamps follow from it.
    """

    servers: str
    sources: Mapping[str, Source]
    ids: Mapping[tuple[str, bool], int]
    tenant: str
    items: int
    rate: float
    seconds: float
    first: int


@dataclass
class _Measured:
    due: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


def run(feed: Feed, told: Connection) -> None:
    """Publish stock changes, each of which changes its item's availability; send the `Latencies`."""
    measured, published = _Measured(), threading.Event()
    consumer = _at_the_end(feed.servers)
    listener = threading.Thread(target=_listen, args=(consumer, measured, published))
    listener.start()
    publisher = Publisher(feed.servers, feed.sources, feed.tenant, linger_ms=0)
    publisher.schema_ids.update(feed.ids)
    publisher.core = Core(feed.tenant, made=feed.first)
    topic = publisher.source(STOCK)
    began, count = time.monotonic(), 0
    while (now := time.monotonic()) < began + feed.seconds:
        while count < (now - began) * feed.rate:
            event = publisher.core.stock(f"item-{count % feed.items}", _on_hand(feed.first + 7 * count))
            measured.due[event.fields["eventId"]] = began + count / feed.rate
            publisher.raw(topic, publisher.value(event, topic), None, count % (feed.sources[topic].partitions or 1))
            count += 1
        time.sleep(_TICK_SECONDS)
    publisher.flush()
    published.set()
    listener.join()
    told.send(Latencies.of(measured.seconds or [0.0], failed=len(measured.due)))


def _on_hand(number: int) -> str:
    """A quantity that is another than the one before it of the same item."""
    return f"{number % 9973 + 1}.{number % 89:02d}"


def _at_the_end(servers: str) -> Consumer:
    topic = OUTPUTS[AVAILABILITY]
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "load",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 5,
        }
    )
    found = consumer.list_topics(topic, timeout=_ASK_SECONDS).topics[topic].partitions
    ends = [
        TopicPartition(topic, number, consumer.get_watermark_offsets(TopicPartition(topic, number), _ASK_SECONDS)[1])
        for number in found
    ]
    consumer.assign(ends)
    return consumer


def _listen(consumer: Consumer, measured: _Measured, published: threading.Event) -> None:
    last = time.monotonic()
    while not published.is_set() or (measured.due and time.monotonic() < last + _REST_SECONDS):
        for message in consumer.consume(500, 0.05):
            now = time.monotonic()
            headers: Any = dict(message.headers() or [])
            due = measured.due.pop(headers["causation-id"].decode(), None)  # each cause counts once
            if due is not None:
                measured.seconds.append(now - due)
                last = now
    consumer.close()
