"""What a worker is doing at the moment, and when anything last moved: the facts that its health is worked out from.

Written down by the parts as they go, read by the health view and by the watchdog's thread.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum


class Doing(Enum):
    """Steps that may take long, by the words that tell people of them."""

    PREPARING = "fetching from outside what a batch needs"
    COMMITTING = "committing a transaction"
    HANDING_OVER = "giving up or taking over partitions"
    RECOVERING = "recovering offsets and state"
    STARTING_PRODUCER = "starting the transactional producer"
    SETTLING = "asking for the group's stable offsets"
    RESTORING = "restoring the local state"


@dataclass
class Activity:
    """Steps in hand and movements made. Times are monotonic seconds, as `clock` gives them.

    Parts run in several threads. Each writes its own steps, and a count that misses one of two movements made at once
    has still moved.
    """

    clock: Callable[[], float] = time.monotonic
    #: Since when each step in hand goes on.
    steps: dict[Doing, float] = field(default_factory=dict)
    #: How often anything has moved, and when it last did.
    moves: int = 0
    moved: float = field(init=False)
    #: When a transaction last committed; None: none has.
    committed: float | None = None
    #: How often a recovery has ended with the gate open.
    readied: int = 0

    def __post_init__(self) -> None:
        self.moved = self.clock()

    def move(self) -> None:
        """Note that something got further."""
        self.moved = self.clock()
        self.moves += 1

    @contextmanager
    def doing(self, step: Doing) -> Iterator[None]:
        """Note that a step begins, and that it ends."""
        self.move()
        self.steps[step] = self.moved
        try:
            yield
        finally:
            self.steps.pop(step, None)
            self.move()

    def told(self) -> str:
        """Return the steps in hand, for people."""
        now = self.clock()
        steps = [f"{step.value} for {now - since:.0f} s" for step, since in list(self.steps.items())]
        return ", ".join(steps) or "no step in hand"
