"""One deployment of the application for one test: topics, schemas, settings and workers under names of their own."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import rocksdict
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from atp_stream.admin import topics
from atp_stream.admin.registry import register
from atp_stream.admin.topics_apply import apply
from atp_stream.settings.load import load_settings
from tests.cluster import create_topic
from tests.cluster import register as register_schema

from .core import CREATED, RELEASED, STOCK, schema_named, writer_schema
from .log import Entry, Log, Offsets, read
from .oracle import OUTPUTS, Item, Policy, check, replay
from .publishing import Publisher, Source
from .waiting import answered, until
from .worker import WorkerProcess

#: What a worker of the tests is set to, apart from names and addresses.
CONFIG = Path(__file__).parents[2] / "config" / "test.toml"

_SECONDS = 30.0

#: Small, and with counts that neither fit each other nor the state's.
SOURCES = {"stock": Source(STOCK, 3), "created": Source(CREATED, 3), "released": Source(RELEASED, 2)}


class Deployment(Publisher):
    """Everything of one application. Leaving the `with` kills what is left of its workers."""

    def __init__(
        self,
        servers: str,
        registry_url: str,
        name: str,
        directory: Path,
        *,
        sources: Mapping[str, Source] = SOURCES,
        partitions: int = 4,
        policy: Policy | None = None,
        settings: Mapping[str, str] | None = None,
        replication: int = 1,
    ) -> None:
        super().__init__(servers, {f"{name}.{suffix}": source for suffix, source in sources.items()}, name)
        self.registry_url, self.name, self.directory = registry_url, name, directory
        self.partitions, self.policy, self.replication = partitions, policy or Policy(), replication
        self.changes, self.dead_letters = f"{name}.changes", f"{name}.dead-letters"
        self.changelog, self.origins = f"{name}-state-changelog", f"{name}-origins"
        self.internal = [self.changes, self.changelog]
        self.workers: list[WorkerProcess] = []
        self.environment = {**self._settings(), **(settings or {})}
        self.settings = load_settings(CONFIG, (), environment=self.environment).settings
        self.admin = AdminClient({"bootstrap.servers": servers})
        self._group = Consumer(
            {"bootstrap.servers": servers, "group.id": name, "enable.auto.commit": False, "log_level": 0}
        )

    def _settings(self) -> dict[str, str]:
        sources = {
            topic: {"event": source.event, "encoding": source.encoding, "keyed_by_item": source.keyed_by_item}
            for topic, source in self.sources.items()
        }
        rules: dict[str, dict[str, str]] = {}
        for code, amount in self.policy.protected.items():
            rules.setdefault(code, {})["protected"] = str(amount)
        for code, amount in self.policy.limit.items():
            rules.setdefault(code, {})["limit"] = str(amount)
        return {
            "ATP_KAFKA__BOOTSTRAP_SERVERS": self.servers,
            "ATP_REGISTRY__URL": self.registry_url,
            "ATP_TOPICS__CHANGES": self.changes,
            "ATP_TOPICS__DEAD_LETTERS": self.dead_letters,
            "ATP_TOPICS__STATE_PARTITIONS": str(self.partitions),
            "ATP_TOPICS__SOURCES": json.dumps(sources),
            "ATP_CHANNELS": ",".join(self.policy.channels),
            "ATP_POLICY__VERSION": self.policy.version,
            "ATP_POLICY__SAFETY_STOCK": str(self.policy.safety_stock),
            "ATP_POLICY__CHANNELS": json.dumps(rules),
            "ATP_WORKER__APPLICATION_ID": self.name,
            "ATP_CONFIG": str(CONFIG),
        }

    # --- before the start ---

    def prepare(self) -> Self:
        """Create Core's topics and schemas as Core has them, then by the product's own functions what is missing."""
        for topic, source in self.sources.items():
            if source.partitions is not None:
                create_topic(self.servers, topic, source.partitions, self.replication)
            if source.encoding == "avro":
                for plain in (False, True):
                    schema = writer_schema(source.event) if plain else schema_named(source.event)
                    self.schema_ids[topic, plain] = register_schema(self.registry_url, f"{topic}-value", schema)
                    self.schemas[self.schema_ids[topic, plain]] = schema
        self.apply_topics()
        register(self.settings)
        with Log(self.servers, OUTPUTS.values()) as log:
            self.began: Offsets = log.ends()
        return self

    def apply_topics(self) -> None:
        """Create what is missing, by the product's own function."""
        planned = topics.plan(self.admin, topics.specs(self.settings), topics.any_count(self.settings))
        apply(self.admin, planned, self.replication)

    def worker(self, name: str = "w1", command: Iterable[str] = ("-m", "atp_stream", "worker")) -> WorkerProcess:
        """Return a worker, not started yet."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ATP_")}
        worker = WorkerProcess(name, self.directory, {**inherited, **self.environment}, list(command))
        self.workers.append(worker)
        return worker

    def require_workers(self) -> None:
        """Fail at once, rather than after a long wait, if none of the workers runs any more."""
        assert any(worker.runs for worker in self.workers), self.shown()

    def shown(self) -> str:
        """The logs of all workers, for a failed test."""
        return "\n".join(worker.shown() for worker in self.workers)

    # --- out ---

    def committed(self, names: Iterable[str]) -> dict[tuple[str, int], int | None]:
        """The group's committed offsets of these topics; None: none."""
        wanted = [TopicPartition(topic, number) for topic in names for number in self._numbers(topic)]
        found = answered("the group's offsets are known", lambda: self._group.committed(wanted, timeout=_SECONDS))
        return {(each.topic, each.partition): each.offset if each.offset >= 0 else None for each in found}

    def held_back(self) -> dict[tuple[str, int], int]:
        """Internal partitions with records that are neither committed nor aborted: where the visible ones end."""
        with Log(self.servers, self.internal) as stable:
            ends = stable.ends()
        with Log(self.servers, self.internal, isolation="read_uncommitted") as written:
            return {place: ends[place] for place, end in written.ends().items() if ends[place] != end}

    def _numbers(self, topic: str) -> range:
        return range(len(self._group.list_topics(topic, timeout=_SECONDS).topics[topic].partitions))

    def log(self, topic: str) -> list[Entry]:
        """What a consumer sees in the topic now."""
        return read(self.servers, [topic])

    def outputs(self) -> list[Entry]:
        """What consumers of the output topics see now of this deployment's tenant."""
        prefix = f"{self.core.tenant}/".encode()
        found = read(self.servers, OUTPUTS.values(), self.began)
        return [entry for entry in found if entry.key is not None and entry.key.startswith(prefix)]

    def settled(self) -> list[Entry]:
        """Wait until all that was published is processed and committed; return what was decided on.

        In the order of each log; those of topics keyed by item come before the changes log.
        """
        sources = list(self.sources)
        with Log(self.servers, sources) as log:

            def left() -> dict[tuple[str, int], tuple[int | None, int]]:
                self.require_workers()
                log.to_end()
                committed = self.committed(sources)
                # Behind the last record, that is: the marker of a transaction (a replayed dead letter's) is no record.
                return {at: (committed[at], end) for at, end in log.reached.items() if (committed[at] or 0) < end}

            until("the sources are read to their ends", lambda: not left() or None, lambda: f"{left()}\n{self.shown()}")
        with Log(self.servers, [self.changes]) as log:
            reached = {(e.topic, e.partition): e.offset + 1 for e in log.to_end()}

            def decided_up_to() -> dict[tuple[str, int], int | None]:
                self.require_workers()
                committed = self.committed([self.changes])
                return {place: committed[place] for place in reached}

            until(
                f"the changes log is decided up to {reached}",
                lambda: decided_up_to() == reached,
                lambda: f"{self.committed([self.changes])}\n{self.shown()}",
            )
            decided = [*log.entries]
        keyed = [topic for topic, source in self.sources.items() if source.keyed_by_item]
        return [*(read(self.servers, keyed) if keyed else []), *decided]

    def verify(self) -> dict[bytes, Item]:
        """Wait until all is quiet, then hold outputs and changelog against the oracle; return what it worked out."""
        items = replay(self.settled(), self.schemas, self.policy)
        try:
            check(items, self.outputs())
            self._check_state(items)
        except AssertionError as wrong:
            raise AssertionError(f"{wrong}\n{self.shown()}") from wrong
        return items

    def _check_state(self, items: Mapping[bytes, Item]) -> None:
        state = {key: value for part in self.state().values() for key, value in part.items()}
        for key, item in items.items():
            if not item.places and not item.expected:
                continue
            value = state[key]
            sequence, _, reserved, emitted, changed = msgspec.msgpack.decode(value[1:])
            assert sequence == len(item.expected)
            assert changed == item.changed
            ours = {channel: amount for channel, amount in reserved.items() if amount}
            assert ours == {code: int(item.reserved(code) * 100) for code in item.emitted if item.reserved(code)}
            theirs = {code: [int(amount * 100) for amount in pair] for code, pair in item.emitted.items()}
            assert emitted == theirs

    def state(self) -> dict[int, dict[bytes, bytes]]:
        """The changelog, folded into a table: by partition, the last value of each key, the watermark's too."""
        found: dict[int, dict[bytes, bytes]] = {number: {} for number in range(self.partitions)}
        for entry in self.log(self.changelog):
            assert entry.key is not None
            assert entry.value is not None
            found[entry.partition][entry.key] = entry.value
        return found

    def stored(self, worker: WorkerProcess) -> dict[int, dict[bytes, bytes]]:
        """What the local store of a stopped worker holds, by partition, without its note of how far it reaches."""
        assert not worker.runs
        found: dict[int, dict[bytes, bytes]] = {}
        for path in worker.data.glob("state-*/*.rocksdb"):
            number = int(path.name.removesuffix(".rocksdb").rpartition("-")[2])
            store = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
            entries: Any = store.items()
            found[number] = {key: value for key, value in entries if key != b"/offset"}
            store.close()
        return found

    def __enter__(self) -> Self:
        return self.prepare()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.kill()
        self._group.close()
        shutil.rmtree(self.directory, ignore_errors=True)
