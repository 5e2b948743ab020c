"""What a fault can get at: brokers, a registry, workers with a lane of their own, the feed. And a supervisor's part."""

import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psutil

from atp_stream.local.ports import free_port
from atp_stream.local.registry import Registry
from tests.pipeline.core import CREATED, RELEASED, STOCK
from tests.pipeline.deployment import Deployment
from tests.pipeline.oracle import Policy
from tests.pipeline.proxy import Proxy
from tests.pipeline.publishing import Source
from tests.pipeline.worker import WorkerProcess

from .brokers import Brokers
from .disk import Disk
from .evict import evict, members
from .hanging import end_hanging
from .kafka_proxy import Lane
from .worker import MUTATIONS, NAME, ORDER, Order, Step

#: Counts that neither fit each other nor the state's, as Core's do not.
SOURCES = {"stock": Source(STOCK, 3), "created": Source(CREATED, 3), "released": Source(RELEASED, 2)}
PARTITIONS = 6
#: Rules of every kind, so that every kind of denial comes about.
POLICY = Policy(
    version="campaign-1",
    safety_stock=Policy().safety_stock + 5,
    protected={"POS": Policy().safety_stock + 10},
    limit={"ECOM": Policy().safety_stock + 60},
)
SESSION_SECONDS, TRANSACTION_SECONDS = 6.0, 5.0

#: Three brokers that all start again on a busy machine take their time.
_SERVING_SECONDS = 240.0

_LATE_SECONDS = 4.0
EX_TEMPFAIL = 75

_TEST_BUILD = ("-m", "tests.faults.worker")


class Member:
    """A worker of the campaign: its process, its lane to the brokers, its disk, and what it can be told."""

    def __init__(self, process: WorkerProcess, lane: Lane, disk: Disk) -> None:
        self.process, self.lane, self.disk = process, lane, disk
        self.name = process.name
        self.order_path = process.data.parent / f"{self.name}.order"
        self.environment = {
            NAME: self.name,
            ORDER: str(self.order_path),
            "ATP_KAFKA__BOOTSTRAP_SERVERS": lane.servers,
            "ATP_KAFKA__START_TIMEOUT_SECONDS": "180",
        }
        #: Whether the supervisor is to start it again when it has ended.
        self.is_wanted = True
        #: Exit codes that what is being done to it allows for.
        self.may_end_with: set[int] = set()
        #: How many flipped bits on its disk it has not come upon yet: that may be long after they were flipped.
        self.flipped = 0

    def start(self, **environment: str) -> None:
        self.order_path.unlink(missing_ok=True)
        self.is_wanted = True
        self.process.start(**self.environment, **environment)

    def order(self, step: Step, what: str, seconds: float = 0.0, times: int = 1) -> None:
        """Have it do something at a step of its cycle."""
        Order(step, what, seconds, times).give(self.order_path)  # type: ignore[arg-type]

    def kill(self) -> None:
        """End it as a crash would; the supervisor is not to start it again by itself."""
        self.is_wanted = False
        self.process.kill()

    def stop(self) -> int:
        """Ask it to end in order, and wait for that; the supervisor is not to start it again by itself."""
        self.is_wanted = False
        return self.process.stop() if self.process.runs else 0

    def lose_state(self) -> None:
        """Remove everything it has on disk."""
        self.flipped = 0
        for path in self.process.data.iterdir() if self.process.data.exists() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    @property
    def is_paused(self) -> bool:
        return bool(psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED)


class Scene:
    """Everything of one campaign. `random` decides what is done; what it decided is in the campaign's report."""

    def __init__(
        self, directory: Path, seed: int, brokers: int, mutations: Iterable[str] = (), workers: int = 3
    ) -> None:
        self.directory, self.broker_count, self.workers_count = directory, brokers, workers
        self.random = random.Random(seed)
        self.mutations = tuple(mutations)
        self.members: list[Member] = []
        #: What nobody asked for: ends of workers, tampering that was not noticed.
        self.wrong: list[str] = []
        #: Transactions that brokers left hanging (KAFKA-20734), and that were ended.
        self.hanging: list[str] = []
        self._items = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        names = [f"w{number}" for number in range(1, self.workers_count + 2)]  # one more than usual: it comes and goes
        try:
            self.broker_disk = self._stack.enter_context(Disk(self._folder("broker-disk"), megabytes=4096))
            last = {self.broker_count: self.broker_disk.path / "data"}
            self.brokers = self._stack.enter_context(
                Brokers(self.directory / "kafka", self.broker_count, names, data=last)
            )
            self.registry = self._registry()
            deployment = Deployment(
                self.brokers.servers,
                f"http://127.0.0.1:{self.registry_gate.port}{urlsplit(self.registry.url).path}",
                "campaign",
                self._folder("workers"),
                sources=SOURCES,
                partitions=PARTITIONS,
                policy=POLICY,
                replication=self.broker_count,
            )
            self.deployment = self._stack.enter_context(deployment)
            for name in names:
                disk = self._stack.enter_context(Disk(self._folder("workers") / name, megabytes=256))
                process = self.deployment.worker(name, _TEST_BUILD)
                member = Member(process, self.brokers.lane(name), disk)
                member.environment[MUTATIONS] = ",".join(self.mutations)
                self.members.append(member)
            self.spare = self.members[-1]
            self.spare.is_wanted = False
            for member in self.members[:-1]:
                member.start()
            for member in self.members[:-1]:
                member.process.ready()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _folder(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _registry(self) -> Registry:
        registry = Registry(self.directory / "registry", None, tied=True, changed=lambda: None)
        registry.port = free_port()
        registry.start()
        self._stack.callback(registry.kill)
        self.registry_gate = self._stack.enter_context(Proxy("127.0.0.1", registry.port))
        return registry

    # --- what faults choose from ---

    @property
    def running(self) -> list[Member]:
        return [member for member in self.members if member.process.runs]

    def any_member(self) -> Member:
        """One of the workers that run, of those that are at work if there are any in a while."""
        self.until(lambda: bool(self.tend_working()), 3.0)
        return self.random.choice(self.tend_working() or self.running)

    def tend_working(self) -> list[Member]:
        """Those that have begun to work since they were started, after a look at all of them."""
        self.tend()
        return [member for member in self.running if "ready after" in member.process.log()]

    def two_members(self) -> tuple[Member, Member]:
        """Two different ones that run."""
        self.tend()
        assert self.until(lambda: len(self.running) > 1, 5.0), self.shown()
        first, second = self.random.sample(self.running, 2)
        return first, second

    def between(self, least: float, most: float) -> float:
        return self.random.uniform(least, most)

    # --- time and the supervisor ---

    def wait(self, seconds: float) -> None:
        """Let time pass, with the supervisor at work."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.tend()
            time.sleep(min(left, 0.1))

    def until(self, probe: Callable[[], bool], seconds: float) -> bool:
        """Wait until something has happened, for so long at most; whether it has."""
        end = time.monotonic() + seconds
        while not (found := probe()) and time.monotonic() < end:
            time.sleep(0.01)
        return found

    def tend(self) -> None:
        """Start again what ended by itself, as a supervisor does, and note that it did."""
        for member in self.members:
            if member.is_wanted and not member.process.runs:
                self.note_end(member)
                member.start()

    def note_end(self, member: Member) -> None:
        """Note how a worker ended that was not told to, unless what was done to it allows for that."""
        code = member.process.exit_code
        if not member.is_wanted or code is None or code in member.may_end_with:
            return
        if code == EX_TEMPFAIL and member.flipped and "damaged" in member.process.last_words():
            member.flipped -= 1
            return
        self.wrong.append(f"{member.name} ended with {code}: {member.process.last_words()}")

    @contextmanager
    def may_end(self, member: Member, code: int) -> Iterator[None]:
        """Let a worker end with a code because of what the block does to it, or soon after."""
        member.may_end_with.add(code)
        yield
        self.until(
            lambda: not member.process.runs, _LATE_SECONDS
        )  # what failed in the block may take that long to end it
        self.tend()
        member.may_end_with.discard(code)

    def kill(self, member: Member, lose_state: bool = False) -> None:
        """Kill a worker; it is started again by `revive` or at the end of the fault."""
        member.kill()
        if lose_state:
            member.lose_state()

    def kill_at(self, member: Member, step: Step, seconds: float = 0.0) -> bool:
        """Have a worker die at a step; kill it where it is if it does not get there soon. Whether it got there."""
        member.is_wanted = False
        member.order(step, "kill", seconds)
        reached = self.until(lambda: not member.process.runs, 4.0)
        member.process.kill()
        return reached

    def pause_at(self, member: Member, step: Step) -> bool:
        """Have a worker stop at a step; stop it where it is if it does not get there soon. Whether it got there."""
        member.order(step, "pause")
        reached = self.until(lambda: not member.process.runs or member.is_paused, 4.0)
        if not reached:
            member.order_path.unlink(missing_ok=True)
            if member.process.runs:
                member.process.pause()
        return reached

    def evict(self, member: Member) -> None:
        """Take a worker out of the group at once, as the end of its session would later."""
        servers, group = self.brokers.servers, self.deployment.name
        evict(servers, group, *(each.member_id for each in members(servers, group) if each.client_id == member.name))

    def heal(self) -> None:
        """Undo every fault: lanes, brokers, registry, disks, paused and missing workers."""
        for name in [member.name for member in self.members] + (["between"] if self.broker_count > 1 else []):
            self.brokers.lane(name).clear()
        self.broker_disk.free()
        for broker in self.brokers.ids:
            self.brokers.resume(broker)
            if not self.brokers.running(broker):
                self.brokers.start(broker, wait=False)
        self.end_hanging()
        if not self.registry_gate.is_open:
            self.registry_gate.open()
        for member in self.members:
            member.disk.free()
            if member.process.runs:
                member.process.resume()
            member.order_path.unlink(missing_ok=True)
        if self.spare.process.runs:
            self.spare.stop()
        for member in self.members[:-1]:
            if not member.process.runs:
                self.note_end(member)
                member.start()

    def end_hanging(self) -> None:
        """Wait for the brokers, and end what they left hanging, as an operator does (docs/operations.md)."""
        self.brokers.await_serving(_SERVING_SECONDS)
        self.hanging += map(str, end_hanging(self.brokers.servers))

    # --- all workers at once ---

    def stop_all(self) -> None:
        """Stop all workers in order: the group is empty afterwards."""
        for member in self.members:
            if member.process.runs:
                member.stop()

    def crash_all(self) -> None:
        """Kill all workers. The group is empty afterwards."""
        for member in self.running:
            member.kill()
        for member in self.members:
            self.evict(member)

    def start_all(self) -> None:
        for member in self.members[:-1]:
            if not member.process.runs:
                member.start()

    def start_refused(self, code: int) -> bool:
        """Start one worker. Whether it ends with `code` rather than begin to work."""
        member = self.members[0]
        member.start()
        member.is_wanted = False
        self.until(lambda: not member.process.runs or "ready after" in member.process.log(), 60.0)
        return member.process.exit_code == code

    def new_item(self) -> str:
        """The name of an item that no event has named yet."""
        self._items += 1
        return f"item-of-a-fault-{self._items}"

    def shown(self) -> str:
        return self.deployment.shown()

    def stores(self) -> dict[str, Path]:
        """Where each worker that runs has its local state."""
        return {member.name: member.process.data for member in self.members if member.process.runs}
