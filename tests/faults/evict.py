"""Taking a member out of its consumer group at once, where a killed worker would keep its partitions for a session."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from aiokafka.protocol.admin import DescribeGroupsRequest_v0
from aiokafka.protocol.coordination import FindCoordinatorRequest_v1
from aiokafka.protocol.group import LeaveGroupRequest_v1

from tests.pipeline.waiting import until

from .actions import Watch
from .kafka_proxy import Lane
from .raw import ask
from .wire import HEARTBEAT, request_cursor

_NO_ERROR, _UNKNOWN_MEMBER = 0, 25
_COORDINATOR_MOVES = frozenset({14, 15, 16})


class GroupMember(NamedTuple):
    """A member of a group, by the ids that the coordinator and the client gave it."""

    member_id: str
    client_id: str


def members(servers: str, group: str) -> list[GroupMember]:
    """Return the members of the group. By a request of our own: librdkafka's has ended the process (an assertion)."""
    found = _answer(servers, group, DescribeGroupsRequest_v0([group]), lambda answer: answer.groups[0][0])
    return [GroupMember(each[0], each[1]) for each in found.groups[0][5]]


def member_behind(lane: Lane) -> str:
    """Return the member id of the worker whose lane this is; waits for its next heartbeat."""
    rule = lane.on(HEARTBEAT, Watch(), response=False).wait()
    cursor = request_cursor(rule.frames[-1])
    cursor.string()  # the group
    cursor.number("i")  # its generation
    return cursor.string()


def evict(servers: str, group: str, *member_ids: str) -> None:
    """Have the members leave the group (LeaveGroup in their name); one that has left already is none."""
    for member_id in member_ids:
        answer = _answer(servers, group, LeaveGroupRequest_v1(group, member_id), lambda answer: answer.error_code)
        if answer.error_code not in (_NO_ERROR, _UNKNOWN_MEMBER):
            raise RuntimeError(f"the coordinator does not let {member_id} leave: error {answer.error_code}")


def _answer(servers: str, group: str, request: Any, error_of: Callable[[Any], int]) -> Any:
    """Ask the group's coordinator, for as long as brokers are away or coordinators move."""

    def probe() -> Any:
        for server in servers.split(","):
            with suppress(OSError):
                coordinator = ask(server, FindCoordinatorRequest_v1(group, 0))
                if coordinator.error_code:
                    continue
                answer = ask(f"{coordinator.host}:{coordinator.port}", request)
                if error_of(answer) not in _COORDINATOR_MOVES:
                    return answer
        return None

    return until(f"the coordinator of {group} answers", probe)
