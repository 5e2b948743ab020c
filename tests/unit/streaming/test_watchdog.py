"""The watchdog counts its own ticks, and ends what could go on and does not: nothing else."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from atp_stream.streaming.activity import Activity
from atp_stream.streaming.health import Health, State
from atp_stream.streaming.watchdog import Watchdog

SECONDS = 30.0
STUCK = Health(State.STUCK, "no progress: input waits", 0.0, is_own=True)
OUTSIDE = Health(State.WAITING_FOR_BROKER, "a broker")


@dataclass
class Loop:
    """An event loop that runs what it is asked to, or hangs, or is closed."""

    runs: bool = True
    closed: bool = False
    asked: list[Callable[[], Any]] = field(default_factory=list)

    def call_soon_threadsafe(self, call: Callable[[], Any]) -> None:
        if self.closed:
            raise RuntimeError("Event loop is closed")
        self.asked.append(call)
        self.run()

    def run(self) -> None:
        while self.runs and self.asked:
            self.asked.pop()()


@dataclass
class Watched:
    """A watchdog over a worker of the test's making. now: what the clock shows, which may jump."""

    seconds: float = SECONDS
    health: Health = field(default_factory=lambda: Health(State.IDLE))
    main: Loop = field(default_factory=Loop)
    consumer: Loop | None = field(default_factory=Loop)
    now: float = 0.0
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.activity = Activity(lambda: self.now)
        loops: dict[str, Callable[[], Any]] = {"the event loop": lambda: self.main, "the thread": lambda: self.consumer}
        self.dog = Watchdog(self.seconds, loops, self.examine, self.activity, self.ended.append)

    def examine(self) -> Health:
        return self.health

    def tick(self, seconds: float) -> list[str]:
        """Let so many seconds of ticks pass, or as many as it takes to fire."""
        for _ in range(round(seconds / self.dog.tick_seconds)):
            self.now += self.dog.tick_seconds
            self.dog.tick()
            if self.ended:
                break
        return self.ended


@pytest.mark.parametrize("health", [Health(State.IDLE), OUTSIDE, Health(State.RESTORING), Health(State.REBALANCING)])
def test_given_nothing_to_do_or_something_outside_to_wait_for_when_hours_pass_then_it_lets_go_on(
    health: Health,
) -> None:
    assert Watched(health=health).tick(3 * 3600) == []


def test_given_a_worker_that_could_go_on_when_it_does_not_then_it_is_ended_at_the_limit() -> None:
    watched = Watched(health=STUCK)
    assert watched.tick(SECONDS - 2) == []
    assert watched.tick(3) == ["no progress: input waits, for 30 s"]


def test_given_a_worker_that_moves_now_and_then_then_it_lets_go_on() -> None:
    watched = Watched(health=STUCK)
    for _ in range(100):
        watched.tick(SECONDS - 2)
        watched.activity.move()
    assert watched.ended == []


def test_given_a_wait_that_was_outside_in_between_then_it_counts_anew() -> None:
    watched = Watched(health=STUCK)
    watched.tick(SECONDS - 2)
    watched.health = OUTSIDE
    watched.tick(1)
    watched.health = STUCK
    assert watched.tick(SECONDS - 2) == []
    assert watched.tick(3)


def test_given_an_event_loop_that_hangs_then_it_is_ended_and_said_which() -> None:
    for name in ("main", "consumer"):
        watched = Watched()
        watched.tick(10)
        getattr(watched, name).runs = False
        assert watched.tick(SECONDS - 2) == []
        assert watched.tick(5) == [{"main": "the event loop", "consumer": "the thread"}[name] + " has not run for 30 s"]


def test_given_a_loop_that_hangs_for_a_while_when_it_runs_again_then_it_lets_go_on() -> None:
    watched = Watched()
    for _ in range(10):
        watched.main.runs = False
        watched.tick(SECONDS - 2)
        watched.main.runs = True
        watched.main.run()
        watched.tick(2)
    assert watched.ended == []


def test_given_a_thread_that_has_died_then_its_closed_loop_counts_as_one_that_hangs() -> None:
    watched = Watched()
    watched.tick(1)
    assert watched.consumer is not None
    watched.consumer.closed = True
    assert watched.tick(SECONDS + 2)
    assert watched.dog.silent("the thread") >= SECONDS


def test_given_a_thread_that_is_not_started_yet_then_it_is_not_missed() -> None:
    assert Watched(consumer=None).tick(3600) == []


def test_given_a_process_that_was_paused_for_an_hour_then_it_does_not_fire() -> None:
    watched = Watched(health=STUCK)
    watched.tick(SECONDS / 2)
    watched.now += 3600  # the clock went on, the ticks did not
    assert watched.tick(SECONDS / 2 - 2) == []


def test_given_a_worker_that_was_told_to_end_then_it_has_longer_and_then_is_ended() -> None:
    watched = Watched(health=Health(State.ENDING))
    watched.main.runs = False  # Faust blocks it while threads end
    assert watched.tick(140) == []
    assert watched.tick(20) == ["the worker was to end 150 s ago, and has not"]


def test_given_no_limit_then_it_looks_and_never_fires() -> None:
    watched = Watched(seconds=0.0, health=STUCK)
    watched.main.runs = False
    assert watched.tick(3600) == []
    assert watched.dog.silent("the event loop") > 3500


def test_given_health_that_cannot_be_worked_out_then_it_says_so_once_and_still_watches_the_loops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Confused(Watched):
        def examine(self) -> Health:
            raise ZeroDivisionError

    watched = Confused()
    watched.main.runs = False
    assert watched.tick(SECONDS + 2)
    assert caplog.text.count("cannot be worked out") == 1


def test_given_real_loops_when_one_is_blocked_then_the_thread_fires_from_outside() -> None:
    fired: list[str] = []
    loop = asyncio.new_event_loop()
    blocked = asyncio.Event()

    def end(why: str) -> None:
        fired.append(why)
        loop.call_soon_threadsafe(blocked.set)

    async def hang() -> None:
        dog.start()
        while not fired:  # never gives way
            pass
        await blocked.wait()

    dog = Watchdog(0.2, {"the event loop": lambda: loop}, lambda: Health(State.IDLE), Activity(), end)
    loop.run_until_complete(hang())
    loop.close()
    assert fired[0].startswith("the event loop has not run")


SCRIPT = """
import asyncio, logging, sys, threading
from atp_stream.streaming import watchdog
from atp_stream.streaming.activity import Activity
from atp_stream.streaming.health import Health, State

class Hanging(logging.Handler):
    def emit(self, record):
        threading.Event().wait()

case = sys.argv[1]
logging.getLogger().addHandler(Hanging() if "log_hangs" in case else logging.StreamHandler())
watchdog._LOG_SECONDS = 0.5

async def blocked():
    threading.Event().wait()

def broken(*_):
    raise ZeroDivisionError

if "no_stacks" in case:
    watchdog.stacks = broken
loop = asyncio.new_event_loop()
dog = watchdog.Watchdog(0.3, {"the event loop": lambda: loop}, lambda: Health(State.IDLE), Activity())
if "known" in case:
    dog.known = lambda: watchdog.Known(65, "offsets and state do not belong together")
if "unknown" in case:
    dog.known = broken
dog.start()
loop.run_until_complete(blocked())
"""
REASON = "the event loop has not run"
STACKS = ("in blocked", "thread MainThread")


@pytest.mark.parametrize(
    ("case", "code", "told"),
    [
        ("plain", 70, (REASON, *STACKS)),
        ("log_hangs", 70, ()),
        ("no_stacks", 70, (REASON, "tell_stacks failed", "ZeroDivisionError")),
        ("known", 65, (REASON, "ending with: offsets and state do not belong together", *STACKS)),
        ("known, log_hangs", 65, ()),
        ("unknown", 70, (REASON, "tell_known failed", *STACKS)),
    ],
)
def test_given_a_blocked_process_then_it_ends_with_the_code_known_or_70_and_as_much_in_the_log_as_can_be_told(
    case: str, code: int, told: tuple[str, ...]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, case], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == code
    for each in told:
        assert each in ended.stderr


def test_given_a_worker_that_stands_still_or_a_loop_that_hangs_then_it_tells_for_how_long() -> None:
    watched = Watched()
    assert watched.dog.still == 0
    watched.health = STUCK
    watched.tick(5)
    assert watched.dog.still == 5
    watched.activity.move()
    watched.tick(1)
    assert watched.dog.still == 0
    watched.health, watched.main.runs = Health(State.IDLE), False
    watched.tick(5)
    assert watched.dog.still == 4  # the first tick asks, the others count
