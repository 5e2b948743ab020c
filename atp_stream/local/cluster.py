"""The local cluster: Kafka and schema registry in one directory, started, found again and stopped as one."""

import atexit
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import platformdirs

from atp_stream.errors import TemporaryError
from atp_stream.local.kafka import Kafka
from atp_stream.local.ports import free_port
from atp_stream.local.progress import Progress, Report, silent
from atp_stream.local.registry import Registry
from atp_stream.local.service import Service, ServiceStatus, await_serving
from atp_stream.local.software import fetch
from atp_stream.local.state import State, changing, forget, load, save

_KAFKA_PORT = 9092
_REGISTRY_PORT = 8081


def default_directory() -> Path:
    """Return the directory of data and logs: ATP_LOCAL_DIR, else in the user's data directory."""
    chosen = os.environ.get("ATP_LOCAL_DIR")
    return Path(chosen) if chosen else platformdirs.user_data_path("atp-stream") / "local"


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """State of the cluster, ready to be shown or encoded."""

    directory: str
    bootstrap_servers: str
    registry_url: str
    kafka: ServiceStatus
    registry: ServiceStatus


class LocalCluster:
    """Kafka and registry of one directory, from `start`, `running` or `find`. Leaving a `with` calls `close`."""

    def __init__(self, directory: Path, state: State, *, owned: bool = False) -> None:
        self.directory = directory
        self.kafka = Kafka(directory / "kafka", state.kafka, tied=owned, changed=self._save)
        self.registry = Registry(directory / "registry", state.registry, tied=owned, changed=self._save)
        self._owner = os.getpid() if owned else None

    @classmethod
    def start(cls, directory: Path | None = None, report: Report = silent, *, owned: bool = False) -> Self:
        """Return a cluster that serves: that of the directory, started as far as it does not run already.

        Ports are 9092 and 8081 where they are free, else any free ones; only this machine can connect. What is started
        outlives this process, unless it is owned: then it ends with `close`, at the latest with this process.
        UnavailableError: something cannot be fetched or does not start; what this call started is stopped again.
        TemporaryError: another process has been starting or stopping it for too long.
        """
        fetch(report)
        place = (directory or default_directory()).absolute()
        place.mkdir(parents=True, exist_ok=True)
        with changing(place, report):
            cluster = cls(place, load(place), owned=owned)
            try:
                cluster._start(report)
            except BaseException:
                cluster._stop_started()
                raise
        if owned:
            atexit.register(cluster.close)
        return cluster

    @classmethod
    def find(cls, directory: Path | None = None) -> Self | None:
        """Return the cluster of the directory if any part of it runs."""
        place = (directory or default_directory()).absolute()
        cluster = cls(place, load(place))
        return cluster if cluster.kafka.running or cluster.registry.running else None

    @classmethod
    def running(cls, directory: Path | None = None) -> Self | None:
        """Return the cluster of the directory if all of it runs."""
        cluster = cls.find(directory)
        return cluster if cluster and cluster.kafka.running and cluster.registry.running else None

    @classmethod
    def wipe(cls, directory: Path | None = None) -> None:
        """Delete topics, schemas and logs. TemporaryError: the cluster runs."""
        place = (directory or default_directory()).absolute()
        if not place.exists():
            return
        with changing(place):
            if cls.find(place):
                raise TemporaryError(
                    "the data of the local cluster is in use",
                    cause=f"the cluster in {place} runs",
                    fix="run `atp-stream local down --wipe`",
                )
            for part in ("kafka", "registry"):
                shutil.rmtree(place / part, ignore_errors=True)

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka clients connect."""
        return self.kafka.bootstrap_servers

    @property
    def registry_url(self) -> str:
        """The registry's Confluent-compatible API."""
        return self.registry.url

    def status(self) -> ClusterStatus:
        """Return what runs, and where."""
        return ClusterStatus(
            directory=str(self.directory),
            bootstrap_servers=self.bootstrap_servers,
            registry_url=self.registry_url,
            kafka=self.kafka.status(),
            registry=self.registry.status(),
        )

    def stop(self, *, wipe: bool = False) -> None:
        """End both processes, whoever started them, and with `wipe` delete their data."""
        atexit.unregister(self.close)
        with changing(self.directory):
            self.registry.stop()
            self.kafka.stop()
            forget(self.directory)
        if wipe:
            self.wipe(self.directory)

    def close(self) -> None:
        """Give the cluster up: an owned one ends, as far as it was started here; any other one stays."""
        atexit.unregister(self.close)
        if self._owner == os.getpid():  # a fork of the owner is not the owner
            self._stop_started()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, report: Report) -> None:
        # The registry first: it starts while Kafka's data directory is made.
        for service, preferred in ((self.registry, _REGISTRY_PORT), (self.kafka, _KAFKA_PORT)):
            if service.running:
                report(Progress(service.name, 1, 1, note=f"runs already, on port {service.port}"))
                continue
            wanted = service.port or preferred
            service.port = free_port(wanted, taken=[self.registry.port, self.kafka.port])
            if service.port != wanted:
                note = f"port {wanted} is taken, using {service.port}"
                report(Progress(f"starting {service.name}", 0, 1, note=note))
            service.launch(report)
        await_serving([self.registry, self.kafka], report, movable=True)

    def _stop_started(self) -> None:
        for service in self._services():
            if service.started_here:
                service.stop()

    def _services(self) -> tuple[Service, Service]:
        return self.registry, self.kafka

    def _save(self) -> None:
        save(self.directory, State(kafka=self.kafka.record(), registry=self.registry.record()))
