"""Taking a member out of its consumer group at once, where a killed worker would keep its partitions for a session."""

from aiokafka.protocol.coordination import FindCoordinatorRequest_v1
from aiokafka.protocol.group import LeaveGroupRequest_v1
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._group import MemberDescription

from tests.pipeline.waiting import answered, until

from .actions import Watch
from .kafka_proxy import Lane
from .raw import ask
from .wire import HEARTBEAT, request_cursor

_SECONDS = 10.0
_NO_ERROR, _UNKNOWN_MEMBER = 0, 25
_COORDINATOR_MOVES = frozenset({14, 15, 16})


def members(servers: str, group: str) -> list[MemberDescription]:
    """Return the members of the group: `member_id`, `client_id`, `host`, `assignment.topic_partitions`."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})

    def described() -> list[MemberDescription]:
        try:
            return list(admin.describe_consumer_groups([group])[group].result(_SECONDS).members)
        except TimeoutError as late:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from late

    return answered(f"the members of {group} are known", described)


def member_behind(lane: Lane) -> str:
    """Return the member id of the worker whose lane this is; waits for its next heartbeat."""
    rule = lane.on(HEARTBEAT, Watch(), response=False).wait()
    cursor = request_cursor(rule.frames[-1])
    cursor.string()  # the group
    cursor.number("i")  # its generation
    return cursor.string()


def evict(servers: str, group: str, *member_ids: str) -> None:
    """Have the members leave the group (LeaveGroup in their name); one that has left already is none."""

    def left(member_id: str) -> bool:
        server = servers.split(",", 1)[0]
        found = ask(server, FindCoordinatorRequest_v1(group, 0))
        if found.error_code in _COORDINATOR_MOVES:
            return False
        coordinator = next((each for each in servers.split(",") if each == f"{found.host}:{found.port}"), server)
        answer = ask(coordinator, LeaveGroupRequest_v1(group, member_id))
        if answer.error_code in _COORDINATOR_MOVES:
            return False
        if answer.error_code not in (_NO_ERROR, _UNKNOWN_MEMBER):
            raise RuntimeError(f"the coordinator does not let {member_id} leave: error {answer.error_code}")
        return True

    for member_id in member_ids:
        until(f"{member_id} has left", lambda member_id=member_id: left(member_id))  # type: ignore[misc]
