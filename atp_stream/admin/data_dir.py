"""The worker's data directory: one worker at a time, held by a file lock that ends with the process."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from platformdirs import user_data_path

from atp_stream.errors import AppError, PermissionDeniedError, TemporaryError

_LOCK = "lock"
_HOLDER = "holder.json"


def workers_root() -> Path:
    """Return the directory in which workers without a configured data directory keep theirs."""
    return user_data_path("atp-stream") / "workers"


def demo_root() -> Path:
    """Return the directory of the demo; that of its worker is `worker` in it."""
    return user_data_path("atp-stream") / "demo"


def note_url(directory: Path, url: str) -> None:
    """Leave word in a data directory, which this process holds, of where its worker answers."""
    path = directory / _HOLDER
    known = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**known, "url": url}), encoding="utf-8")


def url_of_a_worker(configured: Path | None) -> str | None:
    """Return where a worker of this machine answers; None: none runs.

    configured: `worker.data_dir`, which is looked into first; then the directories of workers that have none, and the
    demo's.
    """
    others = sorted(workers_root().glob("[0-9]*"), key=lambda path: (len(path.name), path.name))
    for directory in (*([configured.expanduser()] if configured else []), *others, demo_root() / "worker"):
        try:
            known = json.loads((directory / _HOLDER).read_text(encoding="utf-8"))
            # Not by the lock: whoever tries it holds it for a moment, in which a worker could not start.
            if psutil.pid_exists(known["pid"]):
                return str(known["url"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # none runs, or it has just been started
    return None


def holder(directory: Path) -> str | None:
    """Describe who holds a data directory (process, host, since); None: nobody does."""
    if not directory.is_dir():
        return None
    lock = FileLock(directory / _LOCK, timeout=0)
    try:
        with lock:
            return None
    except Timeout:
        return _described(directory)


@contextmanager
def held(configured: Path | None) -> Iterator[Path]:
    """Hold a data directory while the block runs, and yield it.

    configured: `worker.data_dir`; None: the first free one of <user data directory>/workers/1, 2, ... Errors:
    TemporaryError (the configured one is held by another worker), PermissionDeniedError (it cannot be written).
    """
    if configured is not None:
        directory = configured.expanduser().resolve()
        lock = _locked(directory)
        if lock is None:
            raise TemporaryError(
                f"data directory {directory} is in use",
                cause=f"it is held by {_described(directory)}",
                setting="worker.data_dir",
                fix="stop that worker, or leave worker.data_dir unset: a free directory is then chosen",
            )
    else:
        number = 1
        while (lock := _locked(directory := workers_root() / str(number))) is None:
            number += 1
    try:
        yield directory
    finally:
        (directory / _HOLDER).unlink(missing_ok=True)
        lock.release()


def _locked(directory: Path) -> FileLock | None:
    """Take the lock and say who has it; None: another process has it."""
    lock = FileLock(directory / _LOCK, timeout=0)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        since = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        (directory / _HOLDER).write_text(text, encoding="utf-8")
    except Timeout:
        return None
    except OSError as error:
        raise _unwritable(directory, error) from None
    return lock


def _unwritable(directory: Path, error: OSError) -> AppError:
    return PermissionDeniedError(
        f"data directory {directory} cannot be written",
        cause=error.strerror or str(error),
        setting="worker.data_dir",
        fix="let this user write there, or set worker.data_dir (ATP_WORKER__DATA_DIR) to another directory",
    )


def _described(directory: Path) -> str:
    try:
        data = json.loads((directory / _HOLDER).read_text(encoding="utf-8"))
        return f"process {data['pid']} on {data['host']} since {data['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
