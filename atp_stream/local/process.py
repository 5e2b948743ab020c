"""A process of the local cluster or the demo: in a session of its own, known by pid and start time, ended for sure."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

#: Two readings of one process's start time may differ by this much (the clock was set in between).
_SAME_START_SECONDS = 2.0
_POLL_SECONDS = 0.02

#: All that a server sees of the environment: settings meant for other Java programs (JAVA_TOOL_OPTIONS, QUARKUS_...)
#: must not change what runs, nor secrets live on in it.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}

#: Becomes the program it names, which then ends when the thread that started it does (Linux; 1 is PR_SET_PDEATHSIG).
_TIED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""

#: Started by us and perhaps outliving us: held so that they are reaped, and are not taken for forgotten ones.
_children: dict[int, subprocess.Popen[bytes]] = {}


class Process:
    """A running (or ended) process. pid, created: its number and the epoch seconds of its start."""

    def __init__(self, pid: int, created: float) -> None:
        self.pid = pid
        self.created = created
        self.exit_code: int | None = None
        """How it ended, once `alive` has found a child of this process ended; negative: by that signal."""

    @classmethod
    def start(
        cls,
        command: Sequence[str | Path],
        directory: Path,
        log: Path,
        *,
        tied: bool,
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> "Process":
        """Start the command in the directory, with its output in the log file and nothing else in its environment.

        tied: it must not outlive this process, however that ends (on systems other than Linux, save a kill).
        """
        arguments = [str(part) for part in command]
        # The kernel ties a child to the thread that started it; only the main thread lives as long as the process.
        if tied and sys.platform == "linux" and threading.current_thread() is threading.main_thread():
            arguments = [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *arguments]
        with log.open("wb") as output:
            child = subprocess.Popen(  # the command is ours  # noqa: S603  # nosec B603
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the one who started it, who then ends it in order
            )
        _children[child.pid] = child
        return cls(child.pid, psutil.Process(child.pid).create_time())

    def alive(self) -> bool:
        """Whether the process runs; another one that has got its pid since does not count."""
        child = _children.get(self.pid)
        if child is not None:
            if child.poll() is None:
                return True
            del _children[self.pid]
            self.exit_code = child.returncode
            return False
        try:
            found = psutil.Process(self.pid)
            if abs(found.create_time() - self.created) > _SAME_START_SECONDS:
                return False
            # Ended and not yet waited for by its parent; while threads are left, it still holds its ports and files.
            return found.status() != psutil.STATUS_ZOMBIE or found.num_threads() > 1
        except psutil.NoSuchProcess:
            return False

    def listens(self, port: int) -> bool:
        """Whether the process itself (and not another one) accepts connections on the TCP port."""
        try:
            connections = psutil.Process(self.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        return any(found.status == psutil.CONN_LISTEN and found.laddr.port == port for found in connections)

    def memory(self) -> int:
        """Return the resident memory in bytes, 0 if it does not run."""
        try:
            return psutil.Process(self.pid).memory_info().rss if self.alive() else 0
        except psutil.NoSuchProcess:
            return 0

    def end(self, seconds: float) -> None:
        """Ask the process to end, and kill it if it still runs after so many seconds. Returns when it is gone."""
        self._signal(signal.SIGTERM)
        if not self._gone(seconds):
            self.kill()

    def kill(self) -> None:
        """End the process at once (SIGKILL) and return when it is gone."""
        self._signal(signal.SIGKILL)
        self._gone(10)

    def _signal(self, number: signal.Signals) -> None:
        if self.alive():
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                return

    def _gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True
