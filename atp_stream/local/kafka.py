"""Apache Kafka: one node that is broker and controller (KRaft), for one machine."""

import base64
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from atp_stream.errors import UnavailableError
from atp_stream.local.ports import HOST, free_port
from atp_stream.local.process import ENVIRONMENT
from atp_stream.local.service import Service
from atp_stream.local.software import Software

_DATA = "data"
_CONFIGURATION = "server.properties"
_FORMAT_SECONDS = 60
_ANSWER_SECONDS = 2

#: One node can hold one replica. The rest makes a small machine quick: no pause before a group starts, small internal
#: topics, transactions of dead producers cleaned up within a second, and a broker that crashed let in again after 6 s
#: (until its session ends the controller takes it for a second broker; with a shorter one a busy machine puts out a
#: broker that lives). A topic that nobody planned is an error.
_SINGLE_NODE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "10",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "10",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}

_LOGGING = {
    "appender.out.type": "Console",
    "appender.out.name": "out",
    "appender.out.layout.type": "PatternLayout",
    "appender.out.layout.pattern": "%d %p %m (%c)%n",
    "rootLogger.level": "WARN",
    "rootLogger.appenderRef.out.ref": "out",
}


class Kafka(Service):
    """The broker. Its data survives a restart."""

    name = "Kafka"
    heap = "512m"

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"{HOST}:{self.port}"

    def _command(self, software: Software, java: Sequence[str | Path]) -> Sequence[str | Path]:
        (self.directory / "log4j2.properties").write_text(_properties(_LOGGING), encoding="ascii")
        kafka = [*java, "-Dlog4j2.configurationFile=log4j2.properties", "-cp", f"{software.kafka_jars}/*"]
        if not (self.directory / _DATA).exists():
            self._format(kafka)
        self._configure(_DATA)
        return [*kafka, "kafka.Kafka", _CONFIGURATION]

    def _configure(self, data: str) -> None:
        controller = free_port(taken=[self.port])
        properties = _SINGLE_NODE | {
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "log.dirs": data,
        }
        (self.directory / _CONFIGURATION).write_text(_properties(properties), encoding="ascii")

    def _format(self, kafka: Sequence[str | Path]) -> None:
        """Make an empty data directory. It gets its name when it is complete, so that half of one is never used."""
        unfinished = self.directory / f"{_DATA}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._configure(unfinished.name)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "--config"]
        done = subprocess.run(  # the command is ours  # noqa: S603  # nosec B603
            [*kafka, *tool, _CONFIGURATION],
            cwd=self.directory,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=_FORMAT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise UnavailableError(
                "the data directory of Kafka cannot be made",
                cause=(done.stderr or done.stdout).strip(),
                fix=f"check that {self.directory} can be written to and has space",
            )
        unfinished.rename(self.directory / _DATA)

    def _answers(self) -> bool:
        """Whether the broker serves every partition it has (after a crash it first recovers them)."""
        client = AdminClient(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "log_level": 0,
                "reconnect.backoff.max.ms": 100,
                "enable.metrics.push": False,
            }
        )
        try:
            metadata = client.list_topics(timeout=_ANSWER_SECONDS)
        except KafkaException:
            return False
        partitions = (found for topic in metadata.topics.values() for found in topic.partitions.values())
        return bool(metadata.brokers) and all(found.leader >= 0 for found in partitions)


def _properties(values: Mapping[str, str]) -> str:
    """Return the text of a Java properties file."""
    return "".join(f"{key}={value}\n" for key, value in values.items())
