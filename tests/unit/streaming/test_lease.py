"""For how long a worker may tell of its partitions after it has last heard from the group's coordinator."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalGenerationError, KafkaConnectionError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest, SyncGroupRequest

from atp_stream.streaming.lease import Lease

HEARTBEAT = HeartbeatRequest("group", 7, "member")
SYNC = SyncGroupRequest("group", 7, "member", None, [])
SESSION = 6.0


@dataclass
class Coordinator:
    """Answers after `takes` seconds with `code`, or not at all."""

    now: float = 100.0
    takes: float = 0.0
    code: int = 0
    is_gone: bool = False
    lease: Lease = field(init=False)

    def __post_init__(self) -> None:
        self.lease = Lease(SESSION, lambda: self.now)

    async def _send(self, node: int, request: Any, **options: Any) -> Any:
        self.now += self.takes
        if self.is_gone:
            raise KafkaConnectionError
        return SimpleNamespace(error_code=self.code)

    def asked(self, request: Any) -> None:
        asyncio.run(self.lease.watched(self._send)(1, request))  # type: ignore[arg-type]


def test_given_no_answer_yet_then_nothing_may_be_told() -> None:
    assert not Coordinator().lease.holds


@pytest.mark.parametrize("request_", [HEARTBEAT, SYNC], ids=["heartbeat", "sync"])
def test_given_a_sign_of_life_that_was_answered_then_the_lease_holds_for_a_session_from_the_question_on(
    request_: Any,
) -> None:
    coordinator = Coordinator(takes=2.0)
    coordinator.asked(request_)
    coordinator.now += SESSION - 2.0 - 0.1
    assert coordinator.lease.holds
    coordinator.now += 0.2
    assert not coordinator.lease.holds


@pytest.mark.parametrize(
    "error", [RebalanceInProgressError, IllegalGenerationError, UnknownMemberIdError], ids=lambda each: each.__name__
)
def test_given_an_answer_that_is_no_confirmation_then_the_lease_is_not_renewed(error: Any) -> None:
    coordinator = Coordinator()
    coordinator.asked(HEARTBEAT)
    coordinator.now += SESSION - 1
    coordinator.code = error.errno
    coordinator.asked(HEARTBEAT)
    coordinator.now += 2
    assert not coordinator.lease.holds


@pytest.mark.parametrize("is_gone", [False, True], ids=["answered", "not answered"])
def test_given_a_worker_that_leaves_the_group_then_the_lease_is_over_at_once_whether_it_is_answered_or_not(
    is_gone: bool,
) -> None:
    coordinator = Coordinator()
    coordinator.asked(HEARTBEAT)
    assert coordinator.lease.holds
    coordinator.is_gone = is_gone
    with suppress(KafkaConnectionError):
        coordinator.asked(LeaveGroupRequest("group", "member"))
    assert not coordinator.lease.holds


def test_given_other_requests_or_no_answer_then_the_lease_is_not_renewed() -> None:
    coordinator = Coordinator()
    coordinator.asked(FetchRequest(500, 1, 1, 1, []))
    assert not coordinator.lease.holds
    coordinator.is_gone = True
    with pytest.raises(KafkaConnectionError):
        coordinator.asked(HEARTBEAT)
    assert not coordinator.lease.holds
