"""The faults: each brings something about in a scene, and leaves undoing it to `Scene.heal`.

The numbers are those of docs/guarantees.md, which says what each would reveal. A fault takes a few seconds; what it
chooses comes from the scene's `random`. It returns a word on what exactly it did.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.pipeline.log import Log

from .actions import Drop, DropAndCut, Duplicate, ErrorCode, Hold, NoOffsets
from .disk import failing_writes, flip_byte
from .operating import commit_offsets, delete_offsets, publish_oversized, publish_under_new_schema, wrong_clock
from .scene import SESSION_SECONDS, TRANSACTION_SECONDS, Member, Scene
from .worker import STEPS

OFFSET_FETCH, HEARTBEAT, ADD_PARTITIONS, END_TXN, WRITE_TXN_MARKERS, TXN_OFFSET_COMMIT = 9, 12, 24, 26, 27, 28
UNKNOWN_MEMBER_ID = 25


class Done(NamedTuple):
    """What a fault did, in words, and whether it came about: an answer that never came was not lost."""

    what: str
    took: bool = True


Inject = Callable[[Scene], Done]


@dataclass(frozen=True)
class Fault:
    """number: of the list in docs/guarantees.md. weight: how often it is drawn. brokers: fewest that it needs."""

    number: int
    name: str
    inject: Inject
    weight: int = 2
    brokers: int = 1

    @property
    def hits_brokers(self) -> bool:
        """Whether a broker may leave transactions hanging because of it (KAFKA-20734)."""
        return self.number in _BROKER_FAULTS


#: Those that stop brokers, or keep them from each other.
_BROKER_FAULTS = frozenset({13, 14, 15, 16, 17, 18, 23})

CATALOGUE: dict[str, Fault] = {}


def _fault(number: int, name: str, weight: int = 2, brokers: int = 1) -> Callable[[Inject], Inject]:
    def register(inject: Inject) -> Inject:
        CATALOGUE[name] = Fault(number, name, inject, weight, brokers)
        return inject

    return register


def _revive(scene: Scene, *members: Member) -> None:
    """Start workers again, now or in a while, as a supervisor might."""
    scene.wait(scene.random.choice((0.0, 0.0, 0.5, 2.0)))
    for member in members:
        if not member.process.runs:
            member.start()


# --- the workers ---


@_fault(1, "kill at a step", weight=10)
def _(scene: Scene) -> Done:
    member, step = scene.any_member(), scene.random.choice(STEPS)
    reached = scene.kill_at(member, step, seconds=scene.between(0.0, 0.01))
    _revive(scene, member)
    return Done(f"{member.name}: {step if reached else 'anywhere'}")


@_fault(2, "kill at a step, state lost", weight=8)
def _(scene: Scene) -> Done:
    member, step = scene.any_member(), scene.random.choice(STEPS)
    reached = scene.kill_at(member, step, seconds=scene.between(0.0, 0.01))
    member.lose_state()
    _revive(scene, member)
    return Done(f"{member.name}: {step if reached else 'anywhere'}")


@_fault(3, "two owners killed", weight=4)
def _(scene: Scene) -> Done:
    first, second = scene.two_members()
    scene.kill_at(first, "produced")
    scene.evict(first)
    # The second takes over while the first one's transaction is still open, and has time to commit something.
    scene.wait(scene.between(0.5, TRANSACTION_SECONDS / 2))
    second.is_wanted = False
    scene.kill_at(second, scene.random.choice(("produced", "committed")))
    scene.evict(second)
    _revive(scene, first, second)
    return Done(f"{first.name}, then {second.name}")


def _zombie(scene: Scene, step: str) -> Done:
    member = scene.any_member()
    reached = scene.pause_at(member, step)  # type: ignore[arg-type]
    scene.evict(member)
    scene.wait(scene.between(1.0, TRANSACTION_SECONDS - 1.5))
    if member.process.runs:
        member.process.resume()
    return Done(f"{member.name}: {step if reached else 'anywhere'}")


@_fault(4, "zombie between offsets and commit", weight=5)
def _(scene: Scene) -> Done:
    return _zombie(scene, "offsets sent")


@_fault(4, "zombie before its offsets", weight=4)
def _(scene: Scene) -> Done:
    return _zombie(scene, "produced")


@_fault(5, "pause beyond all time-outs", weight=3)
def _(scene: Scene) -> Done:
    member, step = scene.any_member(), scene.random.choice(STEPS)
    reached = scene.pause_at(member, step)
    scene.wait(SESSION_SECONDS + scene.between(0.5, 3.0))
    if member.process.runs:
        member.process.resume()
    return Done(f"{member.name}: {step if reached else 'anywhere'}")


@_fault(6, "heartbeat answered: unknown member", weight=5)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    member.order("decided", "dawdle", seconds=0.3, times=5)
    rule = member.lane.on(HEARTBEAT, ErrorCode(UNKNOWN_MEMBER_ID), response=True)
    scene.wait(scene.between(1.5, 2.5))
    rule.remove()
    return Done(f"{member.name}: {rule.hits} answers", rule.hits > 0)


@_fault(7, "rebalances while batches wait", weight=3)
def _(scene: Scene) -> Done:
    for member in scene.running:
        member.order("decided", "dawdle", seconds=0.3, times=30)
    if not scene.spare.process.runs:
        scene.spare.start()
    scene.wait(scene.between(3.0, 5.0))
    if scene.random.random() < 0.5:
        scene.spare.stop()
    else:
        scene.spare.kill()
        scene.evict(scene.spare)
    scene.wait(scene.between(0.5, 2.0))
    return Done("a worker came and went")


# --- between a worker and the brokers ---


@_fault(8, "answer to the commit lost", weight=5)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    rule = member.lane.on(END_TXN, DropAndCut(), response=True, times=scene.random.choice((1, 1, 2)))
    scene.wait(scene.between(0.5, 2.0))
    rule.remove()
    return Done(f"{member.name}: {rule.hits} answers", rule.hits > 0)


@_fault(9, "commit held, its retry passes", weight=4)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    rule = member.lane.on(END_TXN, Hold(cut=True), response=False)
    hit = scene.until(lambda: rule.hits > 0, 3.0)
    scene.wait(scene.between(0.1, 2.5))  # another transaction is under way by then
    rule.release()
    rule.remove()
    scene.wait(0.3)
    return Done(f"{member.name}: {'held and released' if hit else 'none came'}", hit)


@_fault(10, "commit never arrives", weight=2)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    rule = member.lane.on(END_TXN, Drop(), response=False, times=100)
    scene.wait(TRANSACTION_SECONDS + scene.between(1.0, 3.0))
    rule.remove()
    return Done(f"{member.name}: {rule.hits} requests", rule.hits > 0)


@_fault(11, "offsets of a transaction held or doubled", weight=4)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    if scene.random.random() < 0.5:
        rule = member.lane.on(TXN_OFFSET_COMMIT, Duplicate(), response=False)
        scene.wait(scene.between(0.5, 1.5))
        rule.remove()
        return Done(f"{member.name}: {rule.hits} doubled", rule.hits > 0)
    rule = member.lane.on(TXN_OFFSET_COMMIT, Hold(cut=scene.random.random() < 0.5), response=False)
    scene.until(lambda: rule.hits > 0, 3.0)
    scene.wait(scene.between(0.5, TRANSACTION_SECONDS + 1.5))
    rule.release()
    rule.remove()
    return Done(f"{member.name}: {rule.hits} held", rule.hits > 0)


@_fault(12, "partitions of a transaction held", weight=3)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    rule = member.lane.on(ADD_PARTITIONS, Hold(cut=scene.random.random() < 0.5), response=False)
    scene.until(lambda: rule.hits > 0, 3.0)
    scene.wait(scene.between(0.5, TRANSACTION_SECONDS + 1.5))
    rule.release()
    rule.remove()
    return Done(f"{member.name}: {rule.hits} held", rule.hits > 0)


@_fault(14, "offsets answered: none", weight=3)
def _(scene: Scene) -> Done:
    rules = [member.lane.on(OFFSET_FETCH, NoOffsets(), response=True) for member in scene.running]
    member = scene.any_member()
    scene.evict(member)
    scene.wait(scene.between(1.5, 3.0))
    for rule in rules:
        rule.remove()
    return Done(f"{sum(rule.hits for rule in rules)} answers", any(rule.hits for rule in rules))


@_fault(19, "one-way partition", weight=2)
def _(scene: Scene) -> Done:
    member, responses = scene.any_member(), scene.random.random() < 0.5
    member.lane.black_hole(responses=responses)
    scene.wait(scene.between(2.0, SESSION_SECONDS + 3.0))
    member.lane.clear()
    return Done(f"{member.name}: no {'answers' if responses else 'requests'}")


@_fault(20, "slow and broken connections", weight=3)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    what = scene.random.choice(("200 ms", "10 kB/s", "resets"))
    if what == "200 ms":
        member.lane.delay(0.2)
        scene.wait(scene.between(2.0, 4.0))
    elif what == "10 kB/s":
        member.lane.throttle(10_000)
        scene.wait(scene.between(2.0, 4.0))
    else:
        for _ in range(5):
            member.lane.cut()
            scene.wait(scene.between(0.1, 0.6))
    member.lane.clear()
    return Done(f"{member.name}: {what}")


# --- the brokers ---


def _restart_broker(scene: Scene, broker: int, least: float = 0.2, most: float = 3.0) -> str:
    scene.brokers.kill(broker)
    scene.wait(scene.between(least, most))
    scene.brokers.start(broker, wait=False)
    scene.end_hanging()
    return f"broker {broker}"


@_fault(13, "transaction coordinator killed", weight=3, brokers=3)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    path = member.process.data / "transactional-id"
    broker = scene.brokers.transaction_coordinator(path.read_text().strip()) if path.exists() else scene.brokers.ids[0]
    return Done(f"{_restart_broker(scene, broker)}, of {member.name}")


@_fault(14, "group coordinator killed", weight=3, brokers=3)
def _(scene: Scene) -> Done:
    return Done(_restart_broker(scene, scene.brokers.group_coordinator(scene.deployment.name)))


@_fault(15, "partition leader paused", weight=1)
def _(scene: Scene) -> Done:
    broker = scene.brokers.leader(scene.deployment.changelog, scene.random.randrange(2))
    seconds = scene.between(8.0, 20.0)
    scene.brokers.pause(broker)
    scene.wait(seconds)
    scene.brokers.resume(broker)
    return Done(f"broker {broker} for {seconds:.0f} s")


@_fault(16, "brokers restarted one by one", weight=1, brokers=3)
def _(scene: Scene) -> Done:
    for broker in scene.brokers.ids:
        _restart_broker(scene, broker, 0.1, 1.0)
    return Done("all of them")


@_fault(16, "all brokers killed at once", weight=3)
def _(scene: Scene) -> Done:
    for broker in scene.brokers.ids:
        scene.brokers.kill(broker)
    scene.wait(scene.between(0.2, 4.0))
    for broker in scene.brokers.ids:
        scene.brokers.start(broker, wait=False)
    scene.end_hanging()
    return Done(f"{len(scene.brokers.ids)} brokers")


@_fault(17, "two of three brokers down", weight=2, brokers=3)
def _(scene: Scene) -> Done:
    down = scene.random.sample(list(scene.brokers.ids), 2)
    for broker in down:
        scene.brokers.kill(broker)
    scene.wait(scene.between(2.0, 8.0))
    for broker in down:
        scene.brokers.start(broker, wait=False)
    scene.end_hanging()
    return Done(f"brokers {down}")


@_fault(18, "transaction markers delayed", weight=3, brokers=3)
def _(scene: Scene) -> Done:
    broker = scene.random.choice(list(scene.brokers.ids))
    rule = scene.brokers.lane("between").on(WRITE_TXN_MARKERS, Hold(), response=False, times=20, broker=broker)
    scene.wait(scene.between(1.0, 4.0))
    member = scene.any_member()
    scene.kill(member)
    scene.evict(member)
    scene.wait(scene.between(0.5, 2.0))
    rule.release()
    rule.remove()
    _revive(scene, member)
    return Done(f"{rule.hits} to broker {broker} held, {member.name} killed meanwhile", rule.hits > 0)


# --- disks and clocks ---


@_fault(21, "disk of a worker full", weight=3)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    if not member.disk.can_fill:
        return Done("left out: this user cannot mount a disk of a set size", took=False)
    member.disk.fill()
    with scene.may_end(member, EX_TEMPFAIL):
        ended = scene.until(lambda: not member.process.runs, scene.between(2.0, 6.0))
        member.disk.free()
    return Done(f"{member.name}: {'ended' if ended else 'went on'}", ended)


@_fault(22, "writes fail with EIO", weight=2)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    with scene.may_end(member, EX_TEMPFAIL), failing_writes(member.process.pid, member.process.data) as is_on:
        ended = scene.until(lambda: not member.process.runs, scene.between(2.0, 5.0))
    if not is_on:
        return Done("left out: strace is not there or not allowed", took=False)
    return Done(f"{member.name}: {'ended' if ended else 'went on'}", ended)


@_fault(22, "a byte of an SST file flipped", weight=3)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    member.kill()
    flipped = flip_byte(member.process.data, scene.random)
    member.start()
    if flipped is not None:
        member.flipped += 1
    scene.wait(scene.between(2.0, 4.0))
    return Done(f"{member.name}: {flipped or 'no SST file yet'}", flipped is not None)


@_fault(23, "disk of a broker full", weight=2)
def _(scene: Scene) -> Done:
    if not scene.broker_disk.can_fill:
        return Done("left out: this user cannot mount a disk of a set size", took=False)
    broker = scene.brokers.ids[-1]
    scene.broker_disk.fill()
    scene.wait(scene.between(2.0, 6.0))
    scene.broker_disk.free()
    # A broker that could not write has given its log directory up; it has to be started again.
    return Done(_restart_broker(scene, broker))


@_fault(24, "clock wrong", weight=3)
def _(scene: Scene) -> Done:
    member, offset = scene.any_member(), scene.random.choice(("-1h", "+1h", "-8d", "+8d"))
    member.stop()
    member.start(**wrong_clock(offset))
    scene.wait(scene.between(2.0, 5.0))
    return Done(f"{member.name}: {offset}")


# --- what is kept in the cluster ---


@_fault(25, "offsets moved", weight=1)
def _(scene: Scene) -> Done:
    """Offsets of the changes log moved while no worker runs: they refuse to go on until they are put back."""
    for member in scene.running:  # so that something is left to be decided: moved on, it would be lost
        member.order("decided", "dawdle", seconds=0.4, times=10)
    scene.wait(scene.between(1.0, 2.0))
    scene.crash_all()
    topic = scene.deployment.changes
    before = {place[1]: offset for place, offset in scene.deployment.committed([topic]).items() if offset}
    with Log(scene.deployment.servers, [topic]) as log:
        ends = {number: end for (_, number), end in log.ends().items()}
    back = scene.random.random() < 0.3
    moved = {number: max(0, offset - 20) if back else ends[number] for number, offset in before.items()}
    commit_offsets(scene.deployment, topic, moved)
    refused = scene.start_refused(EX_DATAERR)
    if refused:
        commit_offsets(scene.deployment, topic, before)
    scene.start_all()
    return Done(
        f"{'back' if back else 'on'} by {sum(moved.values()) - sum(before.values())}; {_put_back(scene, refused)}"
    )


def _put_back(scene: Scene, refused: bool) -> str:
    """Say what became of offsets that were tampered with; that nobody noticed is wrong."""
    if not refused:
        scene.wrong.append("workers went on with offsets that somebody had tampered with")
    return "refused, put back" if refused else "not noticed"


@_fault(25, "offsets deleted", weight=1)
def _(scene: Scene) -> Done:
    scene.stop_all()
    topics = [*scene.deployment.sources, scene.deployment.changes]
    before = scene.deployment.committed(topics)
    delete_offsets(scene.deployment)
    refused = scene.start_refused(EX_DATAERR)
    for topic in topics if refused else ():
        of_topic = {place[1]: offset for place, offset in before.items() if place[0] == topic and offset is not None}
        commit_offsets(scene.deployment, topic, of_topic)
    scene.start_all()
    return Done(f"{len(before)} partitions; {_put_back(scene, refused)}")


@_fault(25, "a record too large for a dead letter", weight=1)
def _(scene: Scene) -> Done:
    size = publish_oversized(scene.deployment)
    scene.wait(0.5)
    return Done(f"{size} bytes")


@_fault(25, "registry down at start", weight=2)
def _(scene: Scene) -> Done:
    scene.registry_gate.close()
    member = scene.any_member()
    scene.kill(member)
    member.start()
    scene.wait(scene.between(2.0, 5.0))
    scene.registry_gate.open()
    return Done(member.name)


@_fault(25, "registry down on a new schema id", weight=2)
def _(scene: Scene) -> Done:
    scene.registry_gate.close()
    schema_id = publish_under_new_schema(scene.deployment, scene.registry.url, scene.new_item())
    scene.wait(scene.between(1.0, 4.0))
    scene.registry_gate.open()
    return Done(f"schema {schema_id}")


# --- what is planned, and must be quick ---


@_fault(0, "worker stopped", weight=2)
def _(scene: Scene) -> Done:
    member = scene.any_member()
    member.stop()
    scene.wait(scene.between(1.0, 3.0))
    member.start()
    return Done(member.name)


@_fault(0, "worker added", weight=2)
def _(scene: Scene) -> Done:
    if not scene.spare.process.runs:
        scene.spare.start()
    scene.wait(scene.between(3.0, 5.0))
    return Done(scene.spare.name)


EX_DATAERR, EX_TEMPFAIL = 65, 75


def chosen(names: Mapping[str, Fault], brokers: int) -> list[Fault]:
    """Those that so many brokers allow."""
    return [fault for fault in names.values() if fault.brokers <= brokers]
