"""The state of a worker follows from facts; whether it is up to the worker itself decides what the watchdog may do."""

from dataclasses import replace
from typing import Any

import pytest

from atp_stream.streaming.activity import Doing
from atp_stream.streaming.health import UNANSWERED_SECONDS, Facts, State, Trouble, assess

NOW = 1000.0
LONG, SHORT = NOW - 3600, NOW - 1
OPEN = Facts(now=NOW, moved=LONG, steps={})
SHUT = replace(OPEN, is_open=False)
INPUT = replace(OPEN, waiting=7)


def facts(base: Facts, **changes: Any) -> Facts:
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("given", "state", "is_own"),
    [
        (OPEN, State.IDLE, False),
        (facts(INPUT, moved=SHORT), State.PROCESSING, True),
        (facts(OPEN, moved=SHORT, behind=1), State.PROCESSING, True),
        (facts(OPEN, moved=SHORT, steps={Doing.PREPARING: SHORT}), State.PROCESSING, True),
        (facts(INPUT, steps={Doing.COMMITTING: SHORT}), State.PROCESSING, False),
        # Input waits, and nothing outside is the reason.
        (INPUT, State.STUCK, True),
        (facts(OPEN, behind=1), State.STUCK, True),
        (facts(OPEN, steps={Doing.PREPARING: LONG}), State.STUCK, True),
        # A broker.
        (facts(INPUT, steps={Doing.COMMITTING: LONG}), State.WAITING_FOR_BROKER, False),
        (facts(SHUT, steps={Doing.RECOVERING: LONG, Doing.SETTLING: LONG}), State.WAITING_FOR_BROKER, False),
        (facts(SHUT, steps={Doing.RECOVERING: LONG, Doing.STARTING_PRODUCER: LONG}), State.WAITING_FOR_BROKER, False),
        (facts(OPEN, broker=Trouble("none answers", LONG)), State.WAITING_FOR_BROKER, False),
        (facts(INPUT, broker=Trouble("none answers", LONG)), State.WAITING_FOR_BROKER, False),
        (facts(SHUT, broker=Trouble("none answers", LONG)), State.WAITING_FOR_BROKER, False),
        (facts(OPEN, broker=Trouble("none answers", SHORT)), State.IDLE, False),
        (facts(OPEN, missing=("a", "b")), State.WAITING_FOR_BROKER, False),
        # The registry.
        (facts(OPEN, steps={Doing.PREPARING: LONG}, outage="refused"), State.WAITING_FOR_REGISTRY, False),
        (facts(OPEN, outage="of an earlier batch"), State.IDLE, False),
        # The group.
        (facts(SHUT, is_member=False), State.REBALANCING, False),
        (facts(SHUT, is_member=False, has_been_ready=False), State.STARTING, False),
        (facts(SHUT, moved=SHORT, is_member=False, steps={Doing.HANDING_OVER: SHORT}), State.REBALANCING, True),
        (facts(SHUT, moved=SHORT, steps={Doing.RECOVERING: SHORT, Doing.SETTLING: SHORT}), State.REBALANCING, False),
        (facts(SHUT, steps={Doing.RECOVERING: LONG, Doing.RESTORING: LONG}), State.RESTORING, False),
        (facts(SHUT, moved=SHORT), State.REBALANCING, True),
        # The gate stays shut, and nothing outside is the reason.
        (SHUT, State.STUCK, True),
        (facts(SHUT, steps={Doing.RECOVERING: LONG}), State.STUCK, True),
        (facts(SHUT, is_member=False, steps={Doing.HANDING_OVER: LONG}), State.STUCK, True),
        # A hand-over waits for the transaction in hand, and that for a broker.
        (
            facts(SHUT, steps={Doing.HANDING_OVER: LONG, Doing.COMMITTING: LONG}, is_member=False),
            State.WAITING_FOR_BROKER,
            False,
        ),
        # The consumer's thread: what it has told of before means nothing any more.
        (facts(OPEN, silent=60.0), State.STUCK, False),
        (facts(OPEN, silent=1.0), State.IDLE, False),
        (facts(INPUT, silent=60.0, is_ending=True), State.ENDING, False),
    ],
)
def test_given_these_facts_then_this_is_the_state(given: Facts, state: State, is_own: bool) -> None:
    health = assess(given)
    assert (health.state, health.is_own) == (state, is_own), health
    assert health.is_ready == (state in (State.PROCESSING, State.IDLE))
    assert (health.reason is None) == health.is_ready


def test_given_something_that_waits_then_the_reason_names_it_and_since_when() -> None:
    waits = assess(facts(OPEN, broker=Trouble("no leader for a[1]", NOW - UNANSWERED_SECONDS - 1)))
    assert (waits.reason, waits.since) == ("a broker: no leader for a[1]", NOW - UNANSWERED_SECONDS - 1)
    assert assess(facts(OPEN, missing=("a", "b"))).reason == "topics that do not exist: a, b"
    stuck = assess(facts(OPEN, steps={Doing.PREPARING: LONG}))
    assert (stuck.reason, stuck.since) == ("no progress: fetching from outside what a batch needs", LONG)
    assert assess(INPUT).reason == "no progress: input waits and is not taken"
    assert assess(SHUT).reason == "no progress: a recovery is due"
    assert assess(facts(OPEN, silent=60.0)).since == NOW - 60
