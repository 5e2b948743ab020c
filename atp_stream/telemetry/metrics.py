"""Every metric of a worker: the one place where its name, labels, unit and meaning stand (docs/metrics.md lists them).

Base units: seconds, bytes, records. Labels take few values that are known beforehand: no item, reservation or tenant
is one. What is counted of events is counted when their transaction has committed, so an aborted one counts nothing but
itself, and what is read again is not counted twice.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, ProcessCollector

from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.contracts.errors import ErrorClass
from atp_stream.domain.decide import Outcome
from atp_stream.domain.events import ShortageReason
from atp_stream.streaming.health import State

#: Seconds of a step of a transaction. 0.15 is the service level of a commit.
STEP_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
#: Seconds from an input's timestamp to its commit. 10 is the service level of freshness.
AGE_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 3600)
#: Seconds of a request. 0.2 is the service level of a query.
REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)
#: Records of a transaction.
RECORDS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 20000)


class Metrics:
    """The metrics of one worker, in a registry of their own. They are written in the worker's event loop only."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()

        # --- events and what became of them, counted at the commit ---

        self.events_in = Counter(
            "atp_events_in",
            "Input events taken in, by the topic that they were read from: Core's topics are ingested, the changes "
            "log is decided, so an event counts once in each.",
            ["topic", "event"],
            registry=registry,
        )
        self.events_out = Counter("atp_events_out", "Output events published.", ["event"], registry=registry)
        self.decisions = Counter(
            "atp_decisions",
            "Inputs decided, by what became of them. Stale and duplicate inputs are outcomes: they change nothing.",
            ["outcome"],
            registry=registry,
        )
        self.denials = Counter(
            "atp_denials", "Reservations denied, by the constraint that bound.", ["reason"], registry=registry
        )
        self.dead_letters = Counter(
            "atp_dead_letters",
            "Inputs refused as bad and set aside, by the class of their error.",
            ["error"],
            registry=registry,
        )
        self.age = Histogram(
            "atp_input_age_seconds",
            "Age of the oldest record of a transaction when it was committed and written, by the record's own "
            "timestamp; of each partition, the first counts as its oldest. One observation per transaction and stage: "
            "ingest is the way from Core's topic to the changes log, decide from there to the outputs; end to end is "
            "both.",
            ["stage"],
            buckets=AGE_SECONDS,
            registry=registry,
        )

        # --- transactions ---

        self.batch = Histogram(
            "atp_transaction_records", "Records of a committed transaction.", buckets=RECORDS, registry=registry
        )
        self.step = Histogram(
            "atp_transaction_step_seconds",
            "Time of each step of a committed transaction: processing (both stages), committing, writing (local).",
            ["step"],
            buckets=STEP_SECONDS,
            registry=registry,
        )
        self.transaction = Histogram(
            "atp_transaction_seconds",
            "Time of a committed transaction, all steps.",
            buckets=STEP_SECONDS,
            registry=registry,
        )
        self.aborted = Counter(
            "atp_transactions_aborted",
            "Transactions that did not commit. Their records are read again.",
            registry=registry,
        )
        self.dropped = Counter(
            "atp_records_dropped",
            "Records fetched and not processed, as partitions moved or a transaction did not commit. They are read "
            "again, here or elsewhere.",
            registry=registry,
        )
        self.last_commit = Gauge(
            "atp_last_commit_timestamp_seconds",
            "Epoch seconds of the last commit; 0: none since the start.",
            registry=registry,
        )

        # --- what is still to be done ---

        self.lag = Gauge(
            "atp_lag_records",
            "Records of a partition that lie at the broker and were not taken from it, as of the last fetch: offsets, "
            "so that the end of each transaction in the changes log counts too. Only partitions that are read now.",
            ["topic", "partition"],
            registry=registry,
        )
        self.fetch_age = Gauge(
            "atp_fetch_age_seconds",
            "Time since a fetch last brought an answer for a partition, even an empty one. Where it grows on one "
            "partition alone, its lag is not known any more.",
            ["topic", "partition"],
            registry=registry,
        )
        self.waiting = Gauge(
            "atp_waiting_records",
            "Records taken from the broker that are in no transaction yet; one counts once more for each KiB of its "
            "value.",
            registry=registry,
        )

        # --- partitions, restores, health ---

        self.partitions = Gauge(
            "atp_topic_partitions", "Partitions of a source topic, all workers' together.", ["topic"], registry=registry
        )
        self.assigned = Gauge(
            "atp_assigned_partitions",
            "Partitions of a source topic that this worker has.",
            ["topic"],
            registry=registry,
        )
        self.rebalances = Counter("atp_rebalances", "Rebalances of the group that this worker saw.", registry=registry)
        self.recoveries = Counter(
            "atp_recoveries",
            "Times that this worker got ready: after a rebalance, or after a transaction that did not commit.",
            registry=registry,
        )
        self.restore_partitions = Gauge(
            "atp_restore_partitions", "Partitions whose local state is still to be restored.", registry=registry
        )
        self.restore_records = Gauge(
            "atp_restore_records", "Changelog records still to be restored, at most.", registry=registry
        )
        self.restore_left = Gauge(
            "atp_restore_left_seconds",
            "Estimated time until the restore in hand ends; 0: none is, or not known yet.",
            registry=registry,
        )
        self.health = Enum(
            "atp_health_state",
            "What the worker is doing: 1 for the state it is in (docs/operations.md, Health).",
            states=[state.value for state in State],
            registry=registry,
        )
        self.ready = Gauge(
            "atp_ready", "1 while events are processed as far as there are any, else 0.", registry=registry
        )
        self.watchdog_still = Gauge(
            "atp_watchdog_still_seconds",
            "For how long nothing has moved that should have; at the limit the watchdog ends the worker.",
            registry=registry,
        )
        self.watchdog_limit = Gauge(
            "atp_watchdog_limit_seconds", "The watchdog's limit; 0: there is no watchdog.", registry=registry
        )
        self.state_bytes = Gauge(
            "atp_state_bytes", "Size of the local state: files on disk and what is not flushed.", registry=registry
        )
        self.state_entries = Gauge(
            "atp_state_entries", "Entries of the local state, items and reservations: an estimate.", registry=registry
        )

        # --- the web server ---

        self.requests = Counter(
            "atp_http_requests",
            "Requests answered, by the pattern of their route.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "atp_http_request_seconds",
            "Time until a request was answered. Streams are not in it: they last.",
            ["route"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self.forwarded = Counter(
            "atp_http_forwarded",
            "Queries passed on to the worker that owns the item, by what came of it: answered or unreachable.",
            ["outcome"],
            registry=registry,
        )
        self.streams = Gauge("atp_http_streams", "Event streams that are open now.", registry=registry)
        self.refused = Counter(
            "atp_http_connections_refused", "Connections refused, as too many were open and busy.", registry=registry
        )

        # --- the process ---

        self.build = Info("atp_build", "Version of the program and of Python.", registry=registry)
        ProcessCollector(namespace="atp", registry=registry)

        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show every value of a label that is known beforehand from the start: an increase from nothing is not seen."""
        for counter, values in (
            (self.events_out, OUTPUT_TOPICS),
            (self.decisions, (each for each in Outcome if each is not Outcome.OUT_OF_RANGE)),  # that is a dead letter
            (self.denials, ShortageReason),
            (self.dead_letters, ErrorClass),
            (self.forwarded, ("answered", "unreachable")),
        ):
            for value in values:
                counter.labels(value)
