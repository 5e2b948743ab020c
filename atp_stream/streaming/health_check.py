"""Gathers the facts that a worker's health is worked out from. May be asked in any thread."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from faust.types import AppT

from .consumer import Consumer
from .consumer_thread import ConsumerThread
from .engine import Engine
from .health import Facts, Health, State, assess
from .restoration import Restoration
from .watchdog import Watchdog

#: How long nothing may move before that is told, unless the watchdog is to act sooner.
_PATIENCE_SECONDS = 10.0


class Registry(Protocol):
    """What stages wait for outside of Kafka. outage: why it cannot be asked at the moment, None: it can."""

    outage: str | None


@dataclass
class HealthCheck:
    """Asks each part of a worker for what it knows.

    `has_failed` says whether something has ended the worker; `silent` how long the consumer's thread has not run;
    `limit`, in seconds, is the watchdog's, 0: there is none.
    """

    app: AppT
    engine: Engine
    restoration: Restoration
    registry: Registry | None
    has_failed: Callable[[], bool]
    limit: float
    silent: Callable[[], float] = lambda: 0.0
    _state: State | None = None
    _since: float = 0.0

    @property
    def thread(self) -> ConsumerThread | None:
        """The consumer's thread, once it has been started."""
        consumer = self.app._consumer  # type: ignore[attr-defined]  # the property would make one
        if not isinstance(consumer, Consumer) or not consumer.thread.is_under_way:
            return None
        return consumer.thread

    @property
    def is_ending(self) -> bool:
        """Whether the worker was told to end, or has failed."""
        return self.has_failed() or bool(self.app.should_stop)

    def facts(self) -> Facts:
        """Return what is known now."""
        engine, thread = self.engine, self.thread
        opening = engine.gate.opening
        progress = self.restoration.progress
        return Facts(
            now=time.monotonic(),
            moved=engine.activity.moved,
            steps=dict(engine.activity.steps),
            patience=min(_PATIENCE_SECONDS, self.limit / 2) if self.limit else _PATIENCE_SECONDS,
            is_ending=self.is_ending,
            has_been_ready=engine.activity.readied > 0,
            is_member=thread is not None and thread.is_member,
            is_open=opening is not None,
            waiting=opening.waiting if opening is not None else 0,
            behind=thread.behind if thread is not None else 0,
            silent=self.silent(),
            broker=thread.reach.trouble if thread is not None else None,
            outage=self.registry.outage if self.registry is not None else None,
            missing=thread.reach.missing if thread is not None else (),
            left=progress.left if progress is not None else None,
        )

    def health(self) -> tuple[Health, Facts]:
        """Return how the worker is, since when, and the facts behind it."""
        facts = self.facts()
        health = assess(facts)
        if health.state is not self._state:
            self._state, self._since = health.state, facts.now
        if health.since is None:
            health = Health(health.state, health.reason, self._since, health.is_own)
        return health, facts


def watch(check: HealthCheck, loop: asyncio.AbstractEventLoop) -> Watchdog:
    """Return the watchdog of the worker that `check` looks at and that runs in `loop`; both tell each other."""
    consumer = "the consumer's thread"

    def thread_loop() -> asyncio.AbstractEventLoop | None:
        thread = check.thread
        return None if thread is None or check.is_ending else thread.thread_loop

    loops = {"the event loop": lambda: loop, consumer: thread_loop}
    watchdog = Watchdog(check.limit, loops, lambda: check.health()[0], check.engine.activity)
    check.silent = lambda: watchdog.silent(consumer)
    return watchdog
