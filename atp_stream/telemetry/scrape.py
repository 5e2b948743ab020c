"""The text that Prometheus reads: what was counted, and what is true of the worker at the moment it asks."""

import platform
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from prometheus_client import Counter, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

from atp_stream.streaming.store import StateStore
from atp_stream.streaming.worker import Worker
from atp_stream.telemetry.metrics import Metrics
from atp_stream.web.server import Web


class Scrape:
    """Brings the metrics of a worker up to date and writes them down. To be used in the worker's event loop.

    `passed_on`: how many queries were passed on to other workers, by what came of it.
    """

    def __init__(self, metrics: Metrics, worker: Worker, web: Web, passed_on: Mapping[str, int]) -> None:
        self._metrics = metrics
        self._worker = worker
        self._web = web
        self._passed_on = passed_on
        self._counted: dict[Counter, int] = {}
        metrics.build.info({"version": version("atp-stream"), "python": platform.python_version()})
        metrics.watchdog_limit.set(worker.options.watchdog)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type: OpenMetrics if `accept` (the header) asks for it, else text."""
        self._refresh()
        encode, content_type = choose_encoder(accept)
        return encode(_WithoutCreated(self._metrics)), content_type

    def _refresh(self) -> None:
        metrics, worker = self._metrics, self._worker
        health, facts = worker.check.health()
        metrics.health.state(health.state.value)
        metrics.ready.set(health.is_ready)
        metrics.waiting.set(facts.waiting)
        left = facts.left
        metrics.restore_partitions.set(left.partitions if left else 0)
        metrics.restore_records.set(left.records if left else 0)
        metrics.restore_left.set(left.seconds or 0 if left else 0)
        metrics.watchdog_still.set(worker.watchdog.still)
        counters = worker.engine.counters
        self._advance(metrics.aborted, counters.aborted)
        self._advance(metrics.dropped, counters.dropped)
        self._advance(metrics.recoveries, worker.engine.activity.readied)
        self._advance(metrics.rebalances, worker.app.rebalancing_count)
        self._advance(metrics.refused, self._web.connections_refused)
        for outcome, count in self._passed_on.items():
            self._advance(metrics.forwarded.labels(outcome), count)
        metrics.streams.set(self._web.guard.streams)
        self._look_at_partitions()
        if worker.engine.gate.opening is not None:  # else a thread may be at it
            self._look_at_state(worker.table.store)

    def _look_at_partitions(self) -> None:
        metrics, thread, now = self._metrics, self._worker.check.thread, time.time()
        for gauge in (metrics.lag, metrics.fetch_age, metrics.partitions, metrics.assigned):
            gauge.clear()
        if thread is None:
            return
        for (topic, number), lag in thread.lag.items():
            metrics.lag.labels(topic, str(number)).set(lag.records)
            metrics.fetch_age.labels(topic, str(number)).set(max(0.0, now - lag.answered))
        assigned = [tp.topic for tp in thread.assignment()]
        for topic, count in thread.counts.items():
            metrics.partitions.labels(topic).set(count)
            metrics.assigned.labels(topic).set(assigned.count(topic))

    def _look_at_state(self, store: StateStore) -> None:
        sizes = [state.size() for state in store.partitions.values()]
        self._metrics.state_bytes.set(sum(size.size_bytes for size in sizes))
        self._metrics.state_entries.set(sum(size.entries for size in sizes))

    def _advance(self, counter: Counter, total: int) -> None:
        """Bring a counter up to what is counted elsewhere."""
        counter.inc(total - self._counted.get(counter, 0))
        self._counted[counter] = total


class _WithoutCreated(Collector):
    """The metrics without the time at which each series began: Prometheus has no use for it, and twice the series."""

    def __init__(self, metrics: Metrics) -> None:
        self._registry = metrics.registry

    @override
    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
