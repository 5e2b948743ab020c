"""Workers that come and go in order: hand-over, restart with and without local state, another hash seed."""

import re
import shutil

from tests.pipeline.deployment import Deployment
from tests.pipeline.oracle import by_item
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess

from .conftest import Deploy

ABORTED = "a transaction of"


def restored(worker: WorkerProcess) -> int:
    """How many records its first restore since its start has read."""
    found = re.search(r"restored (\d+) records", worker.log())
    assert found is not None
    return int(found[1])


def owners(deployment: Deployment) -> list[set[tuple[str, int]]]:
    """The partitions of each member of the group, as the broker knows it."""
    (description,) = deployment.admin.describe_consumer_groups([deployment.name]).values()
    return [
        {(each.topic, each.partition) for each in member.assignment.topic_partitions}
        for member in description.result(30).members
    ]


def test_given_a_feed_when_a_worker_joins_and_others_leave_then_no_event_is_lost_or_doubled(deploy: Deploy) -> None:
    deployment = deploy()
    first, second = deployment.worker("w1"), deployment.worker("w2")
    with deployment.feeding(seed=4):
        first.start().ready()
        second.start().ready()
        first.ready(2)
        shares = owners(deployment)
        assert len(shares) == 2
        assert all(shares)
        everything = {*deployment.committed([*deployment.sources, deployment.changes])}
        everything |= {(deployment.changelog, number) for number in range(deployment.partitions)}
        assert shares[0] | shares[1] == everything
        assert not shares[0] & shares[1]
        assert first.stop() == 0
        handovers = second.log().count("ready after")
        until("the second has all", lambda: owners(deployment) == [everything], deployment.shown)
        first.start().ready()
        assert second.stop() == 0
        until("the first has all", lambda: owners(deployment) == [everything], deployment.shown)
        assert handovers >= 1
    deployment.verify()
    assert first.stop() == 0
    for worker in (first, second):
        assert ABORTED not in worker.log()  # planned: the transaction in hand ends before the partitions go
    assert deployment.stored(first) == deployment.state()


def test_given_a_stopped_worker_when_it_comes_back_with_or_without_its_state_then_it_goes_on_as_if_nothing_had_been(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    worker = deployment.worker().start().ready()
    feed = deployment.core.feed(seed=5, items=8)
    published = 0
    for run in ("with", "without"):
        deployment.publish(*(event for event, _ in zip(feed, range(100), strict=False)))
        published += 100
        deployment.verify()
        assert worker.stop() == 0
        assert deployment.stored(worker) == deployment.state()
        deployment.publish(*(event for event, _ in zip(feed, range(50), strict=False)))  # while it is away
        if run == "without":
            shutil.rmtree(worker.data)
        worker.start().ready()
        deployment.verify()
        if run == "with":
            assert restored(worker) == 0
        else:
            assert restored(worker) >= len(deployment.state()[0])
    assert worker.stop() == 0
    assert deployment.stored(worker) == deployment.state()


def test_given_the_same_inputs_when_two_deployments_decide_them_then_outputs_and_state_are_the_same_bytes(
    deploy: Deploy, unique: str
) -> None:
    found = []
    for seed in ("0", "12345"):
        deployment = deploy(f"{unique}-{seed}")
        deployment.core.tenant = unique
        feed = deployment.core.feed(seed=13, items=6)
        deployment.publish_changes(*(event for event, _ in zip(feed, range(200), strict=False)))
        worker = deployment.worker().start(PYTHONHASHSEED=seed)
        deployment.verify()
        assert worker.stop() == 0
        outputs = sorted(deployment.outputs(), key=lambda each: (each.key or b"", int(each.header("sequence") or b"")))
        state, name = deployment.state(), deployment.changes.encode()
        watermarks = [table.pop(b"/watermark", b"").replace(name, b"changes") for table in state.values()]
        assert len(by_item(outputs)) == 6
        found.append(([each._replace(offset=0) for each in outputs], state, watermarks))
    assert found[0] == found[1]
