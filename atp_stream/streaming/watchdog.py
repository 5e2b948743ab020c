"""The watchdog: ends a worker that could go on and does not. A thread, as the event loop may be what hangs.

It counts its own ticks instead of reading a clock: a process that was paused, or a machine that slept, has not hung.
Whoever waits for something outside is left to the deadlines of that. It ends the process as a crash would, which loses
nothing and doubles nothing (docs/guarantees.md), since an orderly end may need just what hangs.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from .activity import Activity
from .bounded import Hung, bounded
from .health import Health, State
from .stacks import stacks

log = logging.getLogger(__name__)

EXIT_CODE = 70
_TICK_SECONDS = 1.0
_TICKS = 10  # at least so many before it fires
#: An order to end is followed even by what waits for a broker, by its time-outs; longer than this it hangs.
_ENDING_SECONDS = 150.0
_LOG_SECONDS = 5.0

#: Returns an event loop while it has to run, None while it has not.
Loop = Callable[[], asyncio.AbstractEventLoop | None]


@dataclass(frozen=True)
class Known:
    """What a worker was ending with when it hung. code: the exit code for that. told: for people."""

    code: int
    told: str


class _Ping:
    """Asks an event loop to run something small, and counts for how long it has not."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.silent = 0.0
        self._answered = True

    def tick(self, seconds: float) -> None:
        loop = self.loop()
        if loop is None or self._answered:
            self.silent = 0.0
        else:
            self.silent += seconds
        if loop is None or not self._answered:
            return
        self._answered = False
        try:
            loop.call_soon_threadsafe(self._answer)
        except RuntimeError:
            return  # closed: nobody will answer

    def _answer(self) -> None:
        self._answered = True


class Watchdog:
    """Looks at a worker once per tick. `seconds` without progress end it; 0: it only looks.

    `loops` have to run, by the name to tell them by. `examine` says how the worker is. `end` is called with the reason,
    and does not return in the program. `known` says what the worker is ending with, None: nothing but an order to.
    """

    def __init__(
        self,
        seconds: float,
        loops: Mapping[str, Loop],
        examine: Callable[[], Health],
        activity: Activity,
        end: Callable[[str], None] | None = None,
    ) -> None:
        self.seconds = seconds
        self.tick_seconds = min(_TICK_SECONDS, seconds / _TICKS) if seconds else _TICK_SECONDS
        self._pings = {name: _Ping(loop) for name, loop in loops.items()}
        self._examine = examine
        self._activity = activity
        self._end = end or self._end_process
        self.known: Callable[[], Known | None] = lambda: None
        self._moves = activity.moves
        self._still = self._ending = 0.0
        self._confused = self._fired = False

    def silent(self, name: str) -> float:
        """Return for how many seconds that loop has not run; 0: it does, or need not."""
        return self._pings[name].silent

    @property
    def still(self) -> float:
        """For how many seconds nothing has moved, or a loop has not run, that should have: at `seconds` it fires."""
        return max([self._still, *(ping.silent for ping in self._pings.values())])

    def start(self) -> None:
        """Begin to look, in a thread that goes on until the process has ended: its last steps may hang too."""
        threading.Thread(target=self._run, daemon=True, name="watchdog").start()

    def _run(self) -> None:
        while not self._fired:
            time.sleep(self.tick_seconds)
            self.tick()

    def tick(self) -> None:
        """Look once."""
        for ping in self._pings.values():
            ping.tick(self.tick_seconds)
        health = self._examined()
        self._ending = self._ending + self.tick_seconds if health.state is State.ENDING else 0.0
        moved = self._activity.moves != self._moves
        self._moves = self._activity.moves
        self._still = self._still + self.tick_seconds if health.is_own and not moved else 0.0
        if not self.seconds:
            return
        if self._ending:  # the loops end now, one after the other
            if self._ending >= max(self.seconds, _ENDING_SECONDS):
                self._fire(f"the worker was to end {self._ending:.0f} s ago, and has not")
            return
        for name, ping in self._pings.items():
            if ping.silent >= self.seconds:
                self._fire(f"{name} has not run for {ping.silent:.0f} s")
                return
        if self._still >= self.seconds:
            self._fire(f"{health.reason or 'no progress: input waits'}, for {self._still:.0f} s")

    def _fire(self, why: str) -> None:
        self._fired = True
        self._end(why)

    def _examined(self) -> Health:
        try:
            return self._examine()
        except Exception:
            if not self._confused:
                self._confused = True
                log.exception("the worker's health cannot be worked out")
            return Health(State.STARTING)

    def _end_process(self, why: str) -> None:
        code = EXIT_CODE

        def tell_reason() -> None:
            log.critical(
                "%s (%s): the watchdog ends the worker; nothing that was committed is lost, and what was not is read "
                "again",
                why,
                self._activity.told(),
            )

        def tell_known() -> None:
            nonlocal code
            known = self.known()
            if known is not None:
                code = known.code
                log.critical("what the worker was ending with: %s", known.told)

        def tell_stacks() -> None:
            loops = [loop for ping in self._pings.values() if (loop := ping.loop()) is not None]
            log.critical("report that it hung, with these stacks:\n%s", stacks(loops))

        try:
            for tell in (tell_reason, tell_known, tell_stacks):
                _attempt(tell)
        finally:
            os._exit(code)


def _attempt(tell: Callable[[], None]) -> None:
    """Log something, whatever comes of it: the log itself may be what hangs, and a worker in pieces hard to tell of."""

    def telling() -> None:
        try:
            tell()
        except Exception:
            log.exception("%s failed", tell.__name__)

    with suppress(Hung):
        bounded(telling, _LOG_SECONDS)
