"""A Faust worker that runs the engine: one app, one table, one agent, and how it ends.

The only place that knows how the parts of this package hang together.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faust
from faust.types import StreamT
from mode.supervisors import CrashingSupervisor
from typing_extensions import override

from .activity import Activity
from .cluster import Cluster, KafkaConfig
from .consumer import Transport
from .dead_letters import FloodGuard
from .engine import Engine, Source
from .gate import Gate
from .health_check import HealthCheck, Registry, watch
from .inspection import Inspection
from .membership import check_format
from .origins import Origins, describe_topics, establish
from .producer import TransactionalProducer
from .recovery import TableManager
from .restoration import Restoration
from .store import StateTable
from .transactional_ids import KeptIds, SharedId, TransactionalIds

log = logging.getLogger(__name__)

_FETCH_BYTES = 4 << 20


@dataclass(frozen=True)
class Options:
    """What a worker needs to know. Times in seconds; `kafka` is for confluent-kafka, `credentials` for aiokafka."""

    group: str
    kafka: KafkaConfig = field(repr=False)  # may hold a password
    credentials: faust.SASLCredentials | faust.SSLCredentials | None = field(repr=False)
    data_dir: Path
    table: str
    partitions: int
    dead_letters: str
    origins: str
    web_host: str = "127.0.0.1"
    web_port: int = 6066
    #: How others reach this worker, as the group knows it; None: host and port.
    web_url: str | None = None
    web_ssl: ssl.SSLContext | None = field(default=None, repr=False)
    most_records: int = 5_000
    dead_letters_per_minute: int = 1_000
    session_timeout: float = 6.0
    transaction_timeout: float = 5.0
    deadline: float = 120.0
    #: Topics that are written beside the changelog and the dead letters; that they are missing makes a worker unready.
    outputs: tuple[str, ...] = ()
    #: A worker that could go on and has not for so long is ended; 0: never.
    watchdog: float = 60.0


class Worker:
    """One worker process: prepares, runs until it is stopped or something ends it, and says what did.

    `loop` must be the current event loop: Faust binds what it makes to that, and everything runs in it.
    """

    def __init__(
        self,
        options: Options,
        sources: Mapping[str, Source],
        loop: asyncio.AbstractEventLoop,
        registry: Registry | None = None,
    ) -> None:
        self.options = options
        self.failure: BaseException | None = None
        self._loop = loop
        gate, activity = Gate(), Activity()
        self.app = self._app(gate, sources, activity)
        self.table = self._table()
        self.engine = Engine(
            sources=sources,
            gate=gate,
            producer=self._producer(KeptIds(options.data_dir, options.group)),
            changelog=self.changelog,
            dead_letters=options.dead_letters,
            flood=FloodGuard(options.dead_letters_per_minute, time.monotonic),
            most_records=options.most_records,
            activity=activity,
        )
        self.inspection = Inspection(self.app, self.engine, options.partitions)
        self._wire(sources)
        self._watch(registry)

    @property
    def changelog(self) -> str:
        """Name of the table's changelog topic, as Faust derives it."""
        return f"{self.options.group}-{self.options.table}-changelog"

    def _app(self, gate: Gate, sources: Mapping[str, Source], activity: Activity) -> faust.App:
        options = self.options
        app = faust.App(
            options.group,
            loop=self._loop,
            broker=[f"kafka://{server}" for server in str(options.kafka["bootstrap.servers"]).split(",")],
            broker_credentials=options.credentials,
            datadir=str(options.data_dir),
            store="memory://",
            TableManager=TableManager,
            Table=StateTable,
            topic_partitions=options.partitions,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            broker_max_poll_records=max(1, options.most_records // 4),
            consumer_max_fetch_size=_FETCH_BYTES,
            broker_session_timeout=options.session_timeout,
            broker_heartbeat_interval=min(1.0, options.session_timeout / 4),
            # Not shorter than the session: who is left out of a rebalance has lost its lease by then (lease.py).
            broker_rebalance_timeout=max(10.0, options.session_timeout),
            broker_request_timeout=60.0,
            broker_max_poll_interval=300.0,
            stream_wait_empty=False,
            stream_recovery_delay=0,
            web_bind=options.web_host,
            web_host=options.web_host,
            web_port=options.web_port,
            web_ssl_context=options.web_ssl,
            canonical_url=options.web_url,
            worker_redirect_stdouts=False,
        )
        app.transport = Transport(
            app.conf.broker,
            app,
            sources=list(sources),
            gate=gate,
            most_waiting=options.most_records,
            fail=self._fail,
            activity=activity,
            topics=sorted({*sources, *options.outputs, self.changelog, options.dead_letters, options.origins}),
        )
        return app

    def _table(self) -> StateTable:
        options = self.options
        raw: faust.Schema[bytes, bytes] = faust.Schema(
            key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        changelog = describe_topics(options.kafka, [self.changelog], options.deadline)[self.changelog]
        table = self.app.Table(
            options.table,
            partitions=options.partitions,
            schema=raw,
            # The id of the changelog is part of the path: state of another cluster, or of a changelog since
            # recreated, is never taken for this one's.
            options={"directory": options.data_dir / f"state-{changelog.topic_id}"},
        )
        assert isinstance(table, StateTable)
        return table

    def _producer(self, ids: TransactionalIds) -> TransactionalProducer:
        options = self.options
        return TransactionalProducer(
            options.kafka, ids, options.group, int(options.transaction_timeout * 1000), options.deadline
        )

    def _wire(self, sources: Mapping[str, Source]) -> None:
        options, app = self.options, self.app
        cluster = Cluster(options.kafka, options.group, options.deadline)
        check_format(options.kafka, options.group)
        tables = app.tables
        assert isinstance(tables, TableManager)
        tables.table, tables.engine, tables.fail = self.table, self.engine, self._fail

        def establish_origins() -> Origins:
            producer = self._producer(SharedId(f"{options.group}-origins"))
            facts = describe_topics(options.kafka, sources, options.deadline)
            return establish(cluster, producer, options.origins, facts)

        stateful = [topic for topic, source in sources.items() if source.stateful]
        tables.restoration = Restoration(cluster, self.changelog, stateful, establish_origins, establish_origins())
        self.engine.on_lost = tables.recovery.again
        untouched = _Untouched(key_type=bytes, value_type=bytes)
        topic = app.topic(*sources, schema=untouched, acks=False)

        @app.agent(topic, name=f"{options.group}.transactions", supervisor_strategy=CrashingSupervisor)
        async def transactions(stream: StreamT[Any]) -> None:
            try:
                await self.engine.run(stream)
            except Exception as failure:
                await self._fail(failure)

        @app.on_partitions_revoked.connect
        async def finish(*_: Any, **__: Any) -> None:
            """Let the transaction in hand end before the partitions go: a planned hand-over loses no work."""
            tables.recovery.give_way()
            async with self.engine.lock:
                pass

    def _watch(self, registry: Registry | None) -> None:
        tables = self.app.tables
        assert isinstance(tables, TableManager)
        self.check = HealthCheck(
            self.app,
            self.engine,
            tables.restoration,
            registry,
            has_failed=lambda: self.failure is not None,
            limit=self.options.watchdog,
        )
        self.watchdog = watch(self.check, self._loop)

    async def _fail(self, failure: BaseException) -> None:
        if self.failure is None:
            self.failure = failure
            self.engine.gate.close()
            await self.app.crash(failure)

    def run(self) -> BaseException | None:
        """Run until stopped by a signal. Returns what ended the worker otherwise, None after an orderly stop."""
        worker = faust.Worker(self.app, loglevel=None, loop=self._loop, override_logging=False)
        worker.spinner = None
        self.watchdog.start()
        try:
            worker.execute_from_commandline()
        except SystemExit as end:
            if end.code and self.failure is None:
                # Faust turns what kept it from starting into an exit code; the cause hangs on that.
                self.failure = end.__context__ or RuntimeError(f"Faust ended with exit code {end.code}")
        return self.failure


class _Untouched(faust.Schema[bytes, bytes]):
    """Hands a message over as it is: the records in it are decoded by the stages, where bad input has a place to go."""

    @override
    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.key

    @override
    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value
