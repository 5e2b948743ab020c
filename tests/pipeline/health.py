"""What a worker says of its health over HTTP, asked once or all the time."""

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .waiting import until
from .worker import WorkerProcess

_ASK_SECONDS = 2.0
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Answer:
    """One answer of `/health/ready`, and the status of `/health/live` just before it. at: monotonic seconds."""

    at: float
    live: int
    ready: int
    body: dict[str, Any]

    @property
    def state(self) -> str:
        return str(self.body["state"])

    @property
    def seconds(self) -> float:
        """For how long it has been so, by its own word."""
        return time.time() - float(self.body["since"]) / 1000


def port_of(worker: WorkerProcess) -> int | None:
    """The port that the worker says it takes; None: it has not said so yet."""
    found = re.search(r"web view: using port (\d+)", worker.log())
    return None if found is None else int(found[1])


def ask(worker: WorkerProcess) -> Answer | None:
    """Ask once. None: no answer."""
    port = port_of(worker)
    if port is None:
        return None
    try:
        live, _ = _get(port, "/health/live")
        ready, body = _get(port, "/health/ready")
    except (OSError, http.client.HTTPException):
        return None
    return Answer(time.monotonic(), live, ready, body)


def _get(port: int, path: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ASK_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def until_it_is(worker: WorkerProcess, *states: str) -> Answer:
    """Wait until the worker is in one of these states; return its answer."""
    last: list[Answer | None] = [None]

    def probe() -> Answer | None:
        last[0] = ask(worker)
        return last[0] if last[0] is not None and last[0].state in states else None

    found = until(f"{worker.name} is {states}", probe, lambda: f"{last[0]}\n{worker.shown()}")
    assert found is not None
    return found


@contextmanager
def asked(worker: WorkerProcess) -> Iterator[list[Answer]]:
    """Ask all the time while the block lasts; the list grows with the answers."""
    answers: list[Answer] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(_PAUSE_SECONDS):
            answer = ask(worker)
            if answer is not None:
                answers.append(answer)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()
