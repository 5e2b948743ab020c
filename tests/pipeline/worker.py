"""A worker process, as a person or a supervisor would run it, and the signals it may get."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .waiting import until

_LINES_SHOWN = 60
_LAST_WORDS = 8


def die_with_parent() -> None:
    """In a process that is about to become another program: see to it that this ends with the one that started it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class WorkerProcess:
    """One worker with a data directory of its own. Started again, it is the same worker: same directory, same log."""

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str], command: Sequence[str]) -> None:
        self.name = name
        self.data = directory / name
        self._log = directory / f"{name}.log"
        self._environment = dict(environment)
        self._command = [sys.executable, *command, "--data-dir", str(self.data)]
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, **environment: str) -> "WorkerProcess":
        """Start it (again), with more variables for this run."""
        assert not self.runs
        self._began = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parents[2],
                env={**self._environment, **environment},
                preexec_fn=die_with_parent,
            )
        return self

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended last; negative: the signal. None: it runs, or was never started."""
        return None if self._process is None else self._process.poll()

    def last_words(self) -> str:
        """What it gave as the reason of its end, else the last that it said."""
        lines = self.log().splitlines()
        reasons = [line for line in lines if line.startswith(("error:", "cause:"))]
        return "\n".join(reasons or lines[-_LAST_WORDS:])

    def log(self) -> str:
        """What it has said since it was started last."""
        with self._log.open("rb") as file:
            file.seek(self._began)
            return file.read().decode(errors="replace")

    def shown(self) -> str:
        """The end of its log, for a failed test."""
        lines = self._log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:] if self._log.exists() else []
        state = "runs" if self.runs else f"ended with {self._process.returncode if self._process else 'no start'}"
        return "\n".join([f"--- worker {self.name} ({state})", *lines])

    def ready(self, times: int = 1) -> "WorkerProcess":
        """Wait until it has begun to work, for the n-th time since its start."""

        def probe() -> bool:
            if self.log().count("ready after") >= times:
                return True
            assert self.runs, f"it ended before it was ready\n{self.shown()}"
            return False

        until(f"worker {self.name} is ready", probe, self.shown)
        return self

    def says(self, text: str) -> None:
        """Wait until its log holds the text."""
        until(f"worker {self.name} says {text!r}", lambda: text in self.log(), self.shown)

    def ends(self) -> int:
        """Wait for its end; return the exit code."""
        process = self._process
        assert process is not None
        until(f"worker {self.name} ends", lambda: process.poll() is not None, self.shown)
        return process.returncode

    def stop(self) -> int:
        """Ask it to end in order (SIGTERM); return the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.ends()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait()

    def pause(self) -> None:
        """Let it do nothing, heartbeats neither."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)
