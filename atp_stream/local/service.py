"""What Kafka and the registry have in common: one Java process with a directory, a port and a log."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from atp_stream.errors import UnavailableError
from atp_stream.local.ports import free_port, is_free
from atp_stream.local.process import Process
from atp_stream.local.progress import Progress, Report, silent
from atp_stream.local.software import Software, fetch
from atp_stream.local.state import Running

_START_SECONDS = 120
_POLL_SECONDS = 0.05
_STOP_SECONDS = 15
_LOG_LINES = 12

#: Measured: the quick compiler and the serial collector halve both the start and the CPU used in the first minutes.
_JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true")


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """State of one service. memory: resident, bytes. since: epoch milliseconds of its start."""

    running: bool
    port: int
    pid: int
    memory: int
    since: int
    directory: str
    log: str


class Service(ABC):
    """A Java process that serves on one loopback port.

    directory: everything it writes. record: what was saved of it when it was started, None if it never was. tied: what
    is started here must end with this process. changed: called when a process was started.
    """

    name: ClassVar[str]
    heap: ClassVar[str]

    def __init__(
        self,
        directory: Path,
        record: Running | None,
        *,
        tied: bool,
        changed: Callable[[], None],
    ) -> None:
        self.directory = directory
        self.port = record.port if record else 0
        self.process = Process(record.pid, record.created) if record else None
        self.started_here = False
        self._tied = tied
        self._changed = changed

    @property
    def log(self) -> Path:
        """The log file of the present run; that of the run before lies beside it, with `.1` added."""
        return self.directory / f"{self.name.lower()}.log"

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.alive()

    def record(self) -> Running | None:
        """Return what finds the process again."""
        process = self.process
        return Running(process.pid, process.created, self.port) if process else None

    def status(self) -> ServiceStatus:
        """Return what it is doing and where."""
        process = self.process
        return ServiceStatus(
            running=self.running,
            port=self.port,
            pid=process.pid if process else 0,
            memory=process.memory() if process else 0,
            since=round(process.created * 1000) if process else 0,
            directory=str(self.directory),
            log=str(self.log),
        )

    def launch(self, report: Report = silent) -> None:
        """Start the process without waiting for it to serve."""
        software = fetch()
        temporary = self.directory / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        report(Progress(f"starting {self.name}", 0, 1))
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        java = (software.java, f"-Xmx{self.heap}", *_JAVA_OPTIONS, f"-Djava.io.tmpdir={temporary}")
        command = self._command(software, java)
        self.process = Process.start(command, self.directory, self.log, tied=self._tied)
        self.started_here = True
        self._changed()

    def start(self, report: Report = silent) -> None:
        """Start it on its port and return when it serves. UnavailableError: it does not."""
        self.launch(report)
        await_serving([self], report)

    def stop(self) -> None:
        """End the process, in order if it still can."""
        if self.process is not None:
            self.process.end(_STOP_SECONDS)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self.process is not None:
            self.process.kill()

    def restart(self) -> None:
        """Stop it, if it runs, and start it again on the same port with the same data."""
        self.stop()
        self.start()

    @abstractmethod
    def _command(self, software: Software, java: Sequence[str | Path]) -> Sequence[str | Path]:
        """Return the command to run in the directory, `java` being its beginning; prepare the files it needs.

        Paths in settings are relative to the directory: in some of them a comma or a semicolon has a meaning.
        """

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it answers by its own protocol and is ready for work."""

    def _move_if_port_was_taken(self, report: Report) -> None:
        """Between the choice of a port and its use lie seconds, in which another cluster may start and take it."""
        if self.running or not self.started_here or is_free(self.port):
            return
        taken, self.port = self.port, free_port()
        report(Progress(f"starting {self.name}", 0, 1, note=f"port {taken} was taken meanwhile, using {self.port}"))
        self.launch(report)

    def _serves(self) -> bool:
        assert self.process is not None
        if not self.process.alive():
            raise self._failure(f"{self.name} ended while it was starting")
        return self.process.listens(self.port) and self._answers()

    def _failure(self, message: str) -> UnavailableError:
        lines = self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []
        telling = [line for line in lines if line.strip() and not line.startswith("\t")]  # no stack frames
        end = "\n  ".join(telling[-_LOG_LINES:])
        return UnavailableError(
            message,
            cause=f"the last lines of its log:\n  {end}" if end else "its log is empty",
            fix=f"see {self.log}; when its data is damaged, `atp-stream local down --wipe` starts afresh",
        )


def await_serving(services: Sequence[Service], report: Report = silent, *, movable: bool = False) -> None:
    """Return when all of them serve. UnavailableError: one of them ended, or does not serve in time.

    movable: a service that finds its port taken by another program since it was chosen is started on another one.
    """
    deadline = time.monotonic() + _START_SECONDS
    waiting = list(services)
    while waiting:
        if movable:
            for service in waiting:
                service._move_if_port_was_taken(report)
        for service in [found for found in waiting if found._serves()]:
            waiting.remove(service)
            if service.started_here:
                report(Progress(f"starting {service.name}", 1, 1))
        if time.monotonic() > deadline:
            raise waiting[0]._failure(f"{waiting[0].name} was started {_START_SECONDS} s ago and does not serve yet")
        if waiting:
            time.sleep(_POLL_SECONDS)
