"""Counts what a committed transaction did. Called on the event loop after each: per event it adds to plain numbers."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from atp_stream.domain.events import ReservationDenied
from atp_stream.stages.notes import Decided, Ingested
from atp_stream.streaming.committed import Committed
from atp_stream.telemetry.metrics import Metrics


class CommitCounts:
    """An observer of commits that keeps the metrics of events and transactions.

    `stateful`: the source topics whose records are decided; all others are ingested. `clock` gives epoch seconds.
    """

    def __init__(self, metrics: Metrics, stateful: frozenset[str], clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._stateful = stateful
        self._clock = clock
        steps = metrics.step.labels
        self._processing, self._committing, self._writing = steps("processing"), steps("committing"), steps("writing")
        self._ingest, self._decide = metrics.age.labels("ingest"), metrics.age.labels("decide")
        self._children: dict[tuple[Any, ...], Any] = {}

    def __call__(self, told: Committed) -> None:
        """Count one transaction."""
        metrics, now = self._metrics, self._clock()
        processing, committing, writing = told.seconds_processing, told.seconds_committing, told.seconds_writing
        self._processing.observe(processing)
        self._committing.observe(committing)
        self._writing.observe(writing)
        metrics.transaction.observe(processing + committing + writing)
        metrics.last_commit.set(now)
        oldest: dict[bool, int] = {}
        size = 0
        for (topic, _), records in told.batch.items():
            size += len(records)
            is_decided, timestamp = topic in self._stateful, records[0].timestamp
            oldest[is_decided] = min(timestamp, oldest.get(is_decided, timestamp))
        metrics.batch.observe(size)
        for is_decided, timestamp in oldest.items():
            if timestamp < 0:
                continue  # a record without one
            (self._decide if is_decided else self._ingest).observe(max(0.0, now - timestamp / 1000))
        self._count_notes(told)
        for _, error in told.refused:
            self._add(metrics.dead_letters, 1, error)

    def _count_notes(self, told: Committed) -> None:
        events: defaultdict[tuple[str, str], int] = defaultdict(int)
        outcomes: defaultdict[str, int] = defaultdict(int)
        outputs: defaultdict[str, int] = defaultdict(int)
        denials: defaultdict[str, int] = defaultdict(int)
        for note in told.notes:
            if isinstance(note, Decided):
                outcomes[note.outcome] += 1
                for output in note.outputs:
                    fact = output.fact
                    outputs[fact.kind] += 1
                    if isinstance(fact, ReservationDenied):
                        denials[fact.reason] += 1
            elif not isinstance(note, Ingested):
                continue
            events[note.record.topic, note.event.kind] += 1
        metrics = self._metrics
        for (topic, kind), count in events.items():
            self._add(metrics.events_in, count, topic, kind)
        for counter, counts in (
            (metrics.decisions, outcomes),
            (metrics.events_out, outputs),
            (metrics.denials, denials),
        ):
            for value, count in counts.items():
                self._add(counter, count, value)

    def _add(self, counter: Any, count: int, *labels: str) -> None:
        """Add to a labelled counter; looking its child up by the library's own way takes longer than adding."""
        key = (counter, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = counter.labels(*labels)
        child.inc(count)
