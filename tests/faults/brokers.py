"""Real brokers to be killed and paused: one that is its own controller, or three beside a controller nobody touches.

Each broker listens directly (for whoever must not be faulted), and once for each lane, where it names the lane's proxy
as its address. With three, they reach each other through the lane `BETWEEN`.
"""

import contextlib
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from aiokafka.protocol.coordination import FindCoordinatorRequest_v1
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.pipeline.waiting import until

from .jvm import Node, format_data
from .kafka_proxy import HOST, KafkaProxy, Lane, port_of, reserved_port
from .raw import ask

BETWEEN = "between"

_CONTROLLER = 100
_START_SECONDS = 90.0
_ANSWER_SECONDS = 2.0
_GROUP, _TRANSACTION = 0, 1

#: As `atp_stream.local.kafka` sets them, for the same reasons, and what would otherwise make faults long.
_COMMON = {
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "5000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "controller.listener.names": "CONTROLLER",
    "controlled.shutdown.enable": "false",
}


@dataclass(frozen=True)
class _Plan:
    """Where a broker listens: the ports of its own, by listener name, and the address it gives for each."""

    listeners: Mapping[str, int]
    advertised: Mapping[str, int]


class Brokers:
    """A cluster for faults. Leaving the `with` kills everything; so does the end of this process.

    directory: for everything they write. count: 1 or 3. lanes: names of the ways through the proxy. data: directories
    of brokers whose data is to lie elsewhere (a small file system). settings: more settings of the brokers.
    """

    def __init__(
        self,
        directory: Path,
        count: int,
        lanes: Sequence[str],
        *,
        data: Mapping[int, Path] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.ids = list(range(1, count + 1))
        self._names = [*lanes, *([BETWEEN] if count > 1 else [])]
        self._holders = {
            (node, name): reserved_port()
            for node in [*self.ids, _CONTROLLER]
            for name in ("DIRECT", "CONTROLLER", *(self._listener(lane) for lane in self._names))
        }
        self._ports = {key: port_of(holder) for key, holder in self._holders.items()}
        self.proxy = KafkaProxy(
            {lane: {node: self._ports[node, self._listener(lane)] for node in self.ids} for lane in self._names}
        )
        self._settings = dict(settings or {})
        self._nodes = {
            node: Node(directory / f"broker-{node}", (data or {}).get(node, directory / f"broker-{node}" / "data"))
            for node in self.ids
        }
        self._controller = None if count == 1 else Node(directory / "controller", directory / "controller" / "data")
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        nodes = {**self._nodes, **({_CONTROLLER: self._controller} if self._controller else {})}
        for number, node in nodes.items():
            node.configure(self._properties(number))
        format_data(nodes)
        for node in nodes.values():
            node.start()
        self.await_serving()

    def _listener(self, lane: str) -> str:
        return f"LANE{self._names.index(lane)}"

    def _properties(self, node: int) -> dict[str, str]:
        alone = len(self.ids) == 1
        is_controller = node == _CONTROLLER or alone
        listeners = {"CONTROLLER": self._ports[node, "CONTROLLER"]} if is_controller else {}
        advertised: dict[str, int] = {}
        if node != _CONTROLLER:
            advertised["DIRECT"] = listeners["DIRECT"] = self._ports[node, "DIRECT"]
            for lane in self._names:
                listeners[self._listener(lane)] = self._ports[node, self._listener(lane)]
                advertised[self._listener(lane)] = self.proxy.lane(lane).ports[node]
        voter = node if alone else _CONTROLLER
        copies, most_needed = len(self.ids), min(2, len(self.ids))
        names = ["CONTROLLER", "DIRECT", *(self._listener(lane) for lane in self._names)]
        properties = {
            **_COMMON,
            "node.id": str(node),
            "process.roles": "broker,controller" if alone else "controller" if node == _CONTROLLER else "broker",
            "controller.quorum.voters": f"{voter}@{HOST}:{self._ports[voter, 'CONTROLLER']}",
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in names),
            "listeners": _addresses(listeners),
        }
        for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
            properties[f"{topic}.replication.factor"] = str(copies)
        for prefix in ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"):
            properties[prefix] = str(most_needed)
        properties["default.replication.factor"] = str(copies)
        if node != _CONTROLLER:
            properties["advertised.listeners"] = _addresses(advertised)
            properties["inter.broker.listener.name"] = "DIRECT" if alone else self._listener(BETWEEN)
        return {**properties, **self._settings}

    @property
    def servers(self) -> str:
        """The brokers' direct addresses (bootstrap.servers), which no fault is injected into."""
        return ",".join(self.direct(node) for node in self.ids)

    def direct(self, node: int) -> str:
        """Return the direct address of one broker."""
        return f"{HOST}:{self._ports[node, 'DIRECT']}"

    def lane(self, name: str) -> Lane:
        """Return the way through the proxy that has the name."""
        return self.proxy.lane(name)

    def log(self, node: int) -> Path:
        """Return the log file of the broker's present run."""
        return self._nodes[node].log

    def create_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        """Create a topic that has a copy on every broker, and return when it is there."""
        with _client(self.servers) as client:
            topic = NewTopic(name, partitions, len(self.ids), config=settings)
            client.create_topics([topic])[name].result(_START_SECONDS)

    def kill(self, node: int) -> None:
        """End the broker at once; its data stays."""
        self._nodes[node].kill()

    def start(self, node: int, *, wait: bool = True) -> None:
        """Start a broker that was killed, on the same ports with the same data. Returns when it serves."""
        self._nodes[node].start()
        if wait:
            self.await_serving()

    def pause(self, node: int) -> None:
        """Stop the broker's process where it is (SIGSTOP)."""
        self._nodes[node].send(signal.SIGSTOP)
        until("the broker has stopped", lambda: not self.running(node))

    def resume(self, node: int) -> None:
        """Let a paused broker go on."""
        self._nodes[node].send(signal.SIGCONT)
        until("the broker goes on", lambda: self.running(node))

    def running(self, node: int) -> bool:
        """Whether the broker's process is there and not paused."""
        process = self._nodes[node].process
        return process is not None and process.alive() and psutil.Process(process.pid).status() != psutil.STATUS_STOPPED

    def await_serving(self, seconds: float = _START_SECONDS) -> None:
        """Return when all brokers that run serve: known to each other and, if all run, with a leader everywhere."""
        until("the brokers serve", self._serve, self._logs, seconds)

    def _serve(self) -> bool:
        running = [node for node in self.ids if self.running(node)]
        for node in running:
            with _client(self.direct(node)) as client:
                try:
                    metadata = client.list_topics(timeout=_ANSWER_SECONDS)
                except KafkaException:
                    return False
            if not set(running) <= set(metadata.brokers):
                return False
            partitions = [found for topic in metadata.topics.values() for found in topic.partitions.values()]
            if running == self.ids and any(found.leader < 0 for found in partitions):
                return False
        return bool(running)

    def _logs(self) -> str:
        nodes = [*self._nodes.values(), *([self._controller] if self._controller else [])]
        return "\n".join(f"{node.log}:\n{node.last_lines()}" for node in nodes)

    def leader(self, topic: str, partition: int) -> int:
        """Return the broker that leads the partition; waits for one."""

        def found() -> int | None:
            with contextlib.suppress(KafkaException), _client(self._running_servers()) as client:
                leader: int = (
                    client.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions[partition].leader
                )
                return leader if leader in self.ids else None
            return None

        return int(until(f"{topic}[{partition}] has a leader", found) or 0)

    def group_coordinator(self, group: str) -> int:
        """Return the broker that coordinates the consumer group; waits for one."""
        return self._coordinator(group, _GROUP)

    def transaction_coordinator(self, transactional_id: str) -> int:
        """Return the broker that coordinates the producer's transactions; waits for one."""
        return self._coordinator(transactional_id, _TRANSACTION)

    def _coordinator(self, key: str, kind: int) -> int:
        def found() -> int | None:
            for node in self.ids:
                if self.running(node):
                    with contextlib.suppress(OSError):
                        answer = ask(self.direct(node), FindCoordinatorRequest_v1(key, kind))
                        if answer.error_code == 0:
                            return int(answer.coordinator_id)
            return None

        return int(until(f"{key} has a coordinator", found) or 0)

    def _running_servers(self) -> str:
        return ",".join(self.direct(node) for node in self.ids if self.running(node))

    def close(self) -> None:
        """Kill all processes and end the proxy."""
        for node in [*self._nodes.values(), *([self._controller] if self._controller else [])]:
            node.kill()
        self.proxy.close()
        for holder in self._holders.values():
            holder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())


@contextlib.contextmanager
def _client(servers: str) -> Iterator[AdminClient]:
    yield AdminClient(
        {
            "bootstrap.servers": servers,
            "log_level": 0,
            "reconnect.backoff.max.ms": 100,
            "enable.metrics.push": False,
        }
    )
