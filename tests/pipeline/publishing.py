"""The part of Inventory Core: its topics, its schemas, and what it publishes."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from .core import Core, Event, schema_named
from .waiting import until

_SECONDS = 30.0
_FEED_PAUSE_SECONDS = 0.008


@dataclass(frozen=True)
class Source:
    """An input topic. partitions None: as many as the product makes it."""

    event: str
    partitions: int | None = None
    encoding: str = "avro"
    keyed_by_item: bool = False


class Publisher:
    """Publishes events of one tenant to the `sources`, by topic name."""

    changes: str

    def __init__(self, servers: str, sources: Mapping[str, Source], tenant: str, linger_ms: int = 20) -> None:
        self.servers, self.sources, self.core = servers, dict(sources), Core(tenant)
        #: Schemas that Core's records may have, by id.
        self.schemas: dict[int, Any] = {}
        #: The schema id by topic and whether it is Core's plain one.
        self.schema_ids: dict[tuple[str, bool], int] = {}
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "linger.ms": linger_ms,
                "partitioner": "murmur2_random",
                "log_level": 0,
            }
        )
        self.published = 0

    def source(self, event: str) -> str:
        """The topic of an event type."""
        return next(topic for topic, source in self.sources.items() if source.event == event)

    def value(self, event: Event, topic: str) -> bytes:
        """The event as Core writes it to the topic."""
        if self.sources[topic].encoding == "json":
            return event.json()
        plain = event.is_plain
        return event.avro(self.schema_ids[topic, plain], None if plain else schema_named(event.kind))

    def publish(self, *events: Event, partition: int | None = None, headers: Mapping[str, bytes] | None = None) -> None:
        """Publish as Core does: keys that mean nothing here, all over the partitions. Returns when all is there."""
        for event in events:
            self.send(event, partition, headers)
        self.flush()

    def send(self, event: Event, partition: int | None = None, headers: Mapping[str, bytes] | None = None) -> None:
        """Publish one event, without waiting."""
        topic = self.source(event.kind)
        key = event.key if self.sources[topic].keyed_by_item else f"core-{self.published}"
        self.raw(topic, self.value(event, topic), key.encode(), partition, headers)

    def raw(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """Publish any bytes, without waiting."""
        self.published += 1
        if partition is None:
            count = self.sources[topic].partitions if topic in self.sources else None
            keyed = topic not in self.sources or self.sources[topic].keyed_by_item
            partition = -1 if keyed or count is None else self.published % count
        self._producer.produce(topic, value, key, partition, headers=dict(headers or {}))
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until everything published has arrived."""
        until("everything is published", lambda: self._producer.flush(1) == 0)

    def look_again(self, topic: str) -> None:
        """Let the producer see partitions that were added to the topic."""
        self._producer.list_topics(topic, timeout=30)

    def publish_changes(self, *events: Event) -> None:
        """Write straight to the changes log, where the order of an item's events is what it is here."""
        producer = Producer({"bootstrap.servers": self.servers, "partitioner": "murmur2_random"})
        for event in events:
            producer.produce(self.changes, self.value(event, self.source(event.kind)), event.key.encode())
        assert producer.flush(_SECONDS) == 0

    @contextmanager
    def feeding(self, seed: int, items: int = 12) -> Iterator[None]:
        """Publish made-up events, a hundred or so per second, while the block lasts."""
        stop = threading.Event()
        failures: list[BaseException] = []

        def feed() -> None:
            try:
                for event in self.core.feed(seed, items):
                    self.send(event)
                    if stop.wait(_FEED_PAUSE_SECONDS):
                        return
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.flush()
        assert not failures, failures
