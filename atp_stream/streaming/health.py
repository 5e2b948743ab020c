"""How a worker is: one state, worked out from facts alone. Pure: the facts are gathered in health_check.py.

Two questions are kept apart: whether events are processed (readiness), and whether it is up to this process that
they are not (the watchdog). Whoever waits for a broker, the registry or the rest of the group waits for something
outside, by deadlines of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from .activity import Doing

#: What the cluster normally answers at once counts as unanswered after so many seconds.
UNANSWERED_SECONDS = 5.0


class State(Enum):
    """What a worker is doing, as the health view says it."""

    STARTING = "starting"
    REBALANCING = "rebalancing"
    RESTORING = "restoring"
    PROCESSING = "processing"
    IDLE = "idle"
    WAITING_FOR_BROKER = "waiting_for_broker"
    WAITING_FOR_REGISTRY = "waiting_for_registry"
    STUCK = "stuck"
    ENDING = "ending"


@dataclass(frozen=True)
class Trouble:
    """Something outside that does not do its part; since: monotonic seconds."""

    what: str
    since: float


@dataclass(frozen=True)
class Left:
    """What a restore has still to read. records: at most. seconds None: not known yet."""

    partitions: int
    records: int
    seconds: float | None


@dataclass(frozen=True)
class Facts:
    """What is known of a worker at `now`. Times are monotonic seconds.

    waiting: weight of what was fetched and not taken. behind: at least so many records lie in the topics unfetched.
    silent: how long the consumer's thread has not run. patience: how long nothing may move before that is told.
    """

    now: float
    moved: float
    steps: Mapping[Doing, float]
    patience: float = 10.0
    is_ending: bool = False
    has_been_ready: bool = True
    is_member: bool = True
    is_open: bool = True
    waiting: int = 0
    behind: int = 0
    silent: float = 0.0
    broker: Trouble | None = None
    outage: str | None = None
    missing: tuple[str, ...] = ()
    left: Left | None = None


@dataclass(frozen=True)
class Health:
    """The state of a worker. reason: what events wait for. since: monotonic seconds, None: since the state was seen.

    is_own: something is to be done, and nobody but this process keeps it from being done.
    """

    state: State
    reason: str | None = None
    since: float | None = None
    is_own: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether events are processed, as far as there are any."""
        return self.state in (State.PROCESSING, State.IDLE)


#: Steps that a broker has to answer, and what is said of them when it does not.
_BROKER_STEPS = {
    Doing.COMMITTING: "a broker: the transaction in hand does not end",
    Doing.STARTING_PRODUCER: "a broker: the transaction coordinator does not answer",
    Doing.SETTLING: "a broker: the group's offsets are not stable yet",
}


def assess(facts: Facts) -> Health:
    """Return the health that follows from the facts."""
    if facts.is_ending:
        return Health(State.ENDING, "the worker ends")
    if facts.silent > facts.patience:
        return Health(State.STUCK, "the consumer's thread does not run", facts.now - facts.silent)
    outside = _unanswered(facts) or (_while_open(facts) if facts.is_open else _while_shut(facts))
    if outside is not None:
        return outside
    if facts.is_open and not facts.waiting and not facts.behind and Doing.PREPARING not in facts.steps:
        return Health(State.IDLE)
    if facts.now - facts.moved > facts.patience:
        return Health(State.STUCK, _own_reason(facts), facts.moved, is_own=True)
    if facts.is_open:
        return Health(State.PROCESSING, is_own=True)
    return _shut(facts, is_own=True)


def _unanswered(facts: Facts) -> Health | None:
    """Return what the cluster does not answer, if that is so."""
    for step, reason in _BROKER_STEPS.items():
        since = facts.steps.get(step)
        if since is not None and facts.now - since > UNANSWERED_SECONDS:
            return Health(State.WAITING_FOR_BROKER, reason, since)
    if facts.broker is not None and facts.now - facts.broker.since > UNANSWERED_SECONDS:
        return Health(State.WAITING_FOR_BROKER, f"a broker: {facts.broker.what}", facts.broker.since)
    if facts.missing:
        return Health(State.WAITING_FOR_BROKER, f"topics that do not exist: {', '.join(facts.missing)}")
    return None


def _while_open(facts: Facts) -> Health | None:
    """Return what is waited for outside while the gate is open; None: nothing is."""
    if Doing.PREPARING in facts.steps and facts.outage is not None:
        since = facts.steps[Doing.PREPARING]
        return Health(State.WAITING_FOR_REGISTRY, f"the schema registry: {facts.outage}", since)
    return Health(State.PROCESSING) if Doing.COMMITTING in facts.steps else None


def _while_shut(facts: Facts) -> Health | None:
    """Return what is waited for outside while the gate is shut; None: nothing is."""
    if Doing.RESTORING in facts.steps:
        return Health(State.RESTORING, "the local state is restored", facts.steps[Doing.RESTORING])
    in_hand = any(step in facts.steps for step in _BROKER_STEPS)
    joining = not facts.is_member and Doing.HANDING_OVER not in facts.steps
    return _shut(facts) if in_hand or joining else None


def _shut(facts: Facts, *, is_own: bool = False) -> Health:
    if not facts.has_been_ready:
        return Health(State.STARTING, "the first partitions", is_own=is_own)
    return Health(State.REBALANCING, "partitions: they move", is_own=is_own)


def _own_reason(facts: Facts) -> str:
    steps = ", ".join(step.value for step in facts.steps)
    if steps:
        return f"no progress: {steps}"
    return "no progress: input waits and is not taken" if facts.is_open else "no progress: a recovery is due"
