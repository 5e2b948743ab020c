"""Asked for everything, all the time, during rebalances: the right answer or 503, never a wrong or an old one."""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from tests.pipeline.deployment import Deployment
from tests.pipeline.fixtures import Deploy
from tests.pipeline.health import port_of
from tests.pipeline.oracle import by_item
from tests.pipeline.questions import ATP, Asker, Reply, all_complete, receive, send
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess

ITEMS = [f"item-{number}" for number in range(24)]
SESSION_SECONDS = 6.0
_SECONDS = 3.0


@dataclass
class Watch:
    """Asks all workers for all items, and stops at the first answer that may not be.

    The stock of an item goes up by one with each event, so that its quantity is the number of its last event, and an
    answer with less than one before was true of a moment that is over.
    """

    deployment: Deployment
    workers: list[WorkerProcess]
    seen: dict[str, int] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, worker: WorkerProcess, items: Sequence[str], between: Callable[[], None] = lambda: None) -> None:
        """Ask for these items at once, do what is to be done, then look at the answers.

        What was seen before the questions were asked is what the answers must not be behind.
        """
        port = port_of(worker)
        if port is None:
            return
        with self._lock:
            before = {item: self.seen.get(item, 0) for item in items}
        headers, asked = {"X-Tenant-ID": self.deployment.core.tenant}, {}
        for item in items:
            with suppress(OSError):
                asked[item] = send(port, f"{ATP}/availability?itemId={item}&channel=ECOM", headers, seconds=_SECONDS)
        between()
        for item, connection in asked.items():
            try:
                reply = receive(connection)
            except (OSError, http.client.HTTPException):
                self.answers["none"] += 1
                continue
            wrong = self._wrong(reply, item, before[item])
            with self._lock:
                self.answers[str(reply.status)] += 1
                if wrong:
                    self.failures.append(f"{worker.name}, {item}: {wrong}; {reply}")
                elif reply.status == 200:
                    self.seen[item] = max(self.seen.get(item, 0), reply.position)

    def _wrong(self, reply: Reply, item: str, before: int) -> str | None:
        if reply.status == 503:
            return None if int(reply.headers.get("retry-after", "0")) >= 1 else "no Retry-After"
        if reply.status != 200:
            return f"status {reply.status}"
        if reply.position < before:
            return f"older than what was answered before, {before}"
        if reply.body["available"] != Decimal(reply.position):
            return "available and position do not belong together"
        return None

    @contextmanager
    def watching(self, seed: int) -> Iterator[None]:
        """Ask all the time while the block lasts."""
        stop = threading.Event()

        def run(number: int) -> None:
            choose = random.Random(seed * 100 + number)
            while not stop.is_set():
                self.ask(choose.choice(self.workers), [choose.choice(ITEMS)])

        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def told(self) -> str:
        return f"{self.answers}\n{self.failures[:5]}\n{self.deployment.shown()}"


@contextmanager
def rising(deployment: Deployment) -> Iterator[None]:
    """Raise the stock of every item by one, over and over, while the block lasts."""
    stop = threading.Event()

    def run() -> None:
        level = 1
        while not stop.is_set():
            level += 1
            deployment.publish_changes(*(deployment.core.stock(item, f"{level}.00", "ECOM") for item in ITEMS))
            stop.wait(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def all_answered(watch: Watch, workers: list[WorkerProcess]) -> None:
    """Wait until each of these workers answers for all items."""
    asker = Asker(watch.deployment.core.tenant)

    def answered() -> bool:
        try:
            return all(asker.availability(one, item, "ECOM").status == 200 for one in workers for item in ITEMS)
        except (OSError, http.client.HTTPException):
            return False

    until("everybody answers for everything", lambda: all(map(port_of, workers)) and answered(), watch.told)


def added(watch: Watch) -> None:
    worker = watch.deployment.worker("w4").start()
    watch.workers.append(worker)
    worker.ready()


def stopped(watch: Watch) -> None:
    watch.workers[1].stop()


def killed(watch: Watch) -> None:
    watch.workers[1].kill()


def paused(watch: Watch) -> None:
    """Paused for so long that the group gives its partitions to others, and continued."""
    worker, others = watch.workers[1], [watch.workers[0], watch.workers[2]]
    worker.pause()
    began = time.monotonic()
    all_answered(watch, others)
    assert time.monotonic() - began > SESSION_SECONDS / 2  # it had something, and that has moved
    for other in others:
        watch.ask(other, ITEMS)
    # Questions wait for it when it goes on, with the state of before the pause: it has to know that its time is over.
    watch.ask(worker, ITEMS, worker.resume)
    asker = Asker(watch.deployment.core.tenant)
    until("it takes part again", lambda: asker.items(worker, limit=1).status == 200, watch.told)


@pytest.mark.parametrize("happens", [added, stopped, killed, paused])
def test_given_questions_all_the_time_when_workers_come_and_go_then_no_answer_is_wrong_or_old(
    deploy: Deploy, happens: Callable[[Watch], None]
) -> None:
    deployment = deploy(partitions=12)
    first = deployment.worker("w1").start().ready()
    workers = [first, *(deployment.worker(f"w{number}").start() for number in (2, 3))]
    for worker in workers:
        until("the worker says its port", lambda worker=worker: port_of(worker))  # type: ignore[misc]
    watch = Watch(deployment, [*workers])
    deployment.publish_changes(*(deployment.core.stock(item, "1.00", "ECOM") for item in ITEMS))
    all_answered(watch, workers)
    all_complete(workers, Asker(deployment.core.tenant))
    with rising(deployment), watch.watching(seed=len(happens.__name__)):
        happens(watch)
        left = [worker for worker in watch.workers if worker.runs]
        all_answered(watch, left)
    assert not watch.failures, watch.told()
    assert watch.answers["200"] > 200, watch.told()
    assert watch.seen.keys() == set(ITEMS), watch.told()
    deployment.verify()
    found = by_item(deployment.outputs())
    asker = Asker(deployment.core.tenant)
    for item in ITEMS:
        last = found[f"{deployment.core.tenant}/{item}".encode()][-1]
        for worker in left:
            reply = asker.availability(worker, item, "ECOM")
            assert (reply.status, reply.position, reply.body["available"]) == (
                200,
                last["sequence"],
                last["available"],
            ), watch.told()
