"""What is known of the cluster in a directory: who runs it, and who is changing that just now."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from atp_stream.errors import TemporaryError
from atp_stream.local.progress import Progress, Report, silent

_WAIT_SECONDS = 180


class Running(msgspec.Struct, frozen=True):
    """A process that was started. created: epoch seconds of its start, which tells it from a later one of that pid."""

    pid: int
    created: float
    port: int


class State(msgspec.Struct, frozen=True):
    """The content of the state file."""

    kafka: Running | None = None
    registry: Running | None = None


def load(directory: Path) -> State:
    """Return the state last saved; an empty one if there is none that can be read."""
    try:
        return msgspec.json.decode((directory / "cluster.json").read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return State()


def save(directory: Path, state: State) -> None:
    """Save the state in one step."""
    unfinished = directory / "cluster.json.unfinished"
    unfinished.write_bytes(msgspec.json.encode(state))
    unfinished.replace(directory / "cluster.json")


def forget(directory: Path) -> None:
    """Remove the state: nothing runs."""
    (directory / "cluster.json").unlink(missing_ok=True)


@contextmanager
def changing(directory: Path, report: Report = silent, *, seconds: float = _WAIT_SECONDS) -> Iterator[None]:
    """Be the only process that starts, stops or wipes the cluster in the directory.

    While another one does, its pid is reported and waited for. TemporaryError: it takes longer than the given seconds.
    """
    lock = FileLock(directory / "changing.lock")
    holder = directory / "changing.pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = _read(holder)
        report(Progress(f"waiting for process {pid}, which is starting or stopping the local cluster", 0, 1))
        try:
            lock.acquire(timeout=seconds)
        except Timeout as error:
            raise TemporaryError(
                "the local cluster is being started or stopped by another process",
                cause=f"process {pid} holds {directory / 'changing.lock'}",
                fix=f"wait for process {pid} or end it, then run the command again",
            ) from error
    try:
        holder.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        lock.release()


def _read(holder: Path) -> str:
    try:
        return holder.read_text(encoding="ascii").strip() or "(unknown)"
    except OSError:
        return "(unknown)"
