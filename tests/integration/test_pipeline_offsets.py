"""Offsets, topics and state that do not belong together any more: a worker refuses rather than lose events."""

import shutil

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports them without saying so
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from tests.cluster import create_topic
from tests.pipeline.core import STOCK
from tests.pipeline.deployment import Deployment
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess

from .conftest import Deploy


def set_offsets(deployment: Deployment, offsets: dict[tuple[str, int], int | None]) -> None:
    """Overwrite committed offsets of the group, which has no member."""
    wanted = [TopicPartition(*place, offset) for place, offset in offsets.items() if offset is not None]
    request = ConsumerGroupTopicPartitions(deployment.name, wanted)
    (future,) = deployment.admin.alter_consumer_group_offsets([request]).values()
    for each in future.result(30).topic_partitions:
        assert each.error is None


def all_offsets(deployment: Deployment) -> dict[tuple[str, int], int | None]:
    return deployment.committed([*deployment.sources, deployment.changes])


def worked_and_stopped(deployment: Deployment) -> WorkerProcess:
    """A worker that has decided some events and has been stopped."""
    worker = deployment.worker().start().ready()
    deployment.publish(*(event for event, _ in zip(deployment.core.feed(10, 8), range(60), strict=False)))
    deployment.verify()
    assert worker.stop() == 0
    return worker


def delete(deployment: Deployment, topic: str) -> None:
    deployment.admin.delete_topics([topic], operation_timeout=30)[topic].result(30)
    until(f"{topic} is gone", lambda: topic not in deployment.admin.list_topics(timeout=30).topics)


def test_given_offsets_changed_while_no_worker_runs_when_one_starts_then_it_refuses_until_they_are_put_right(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    worker = worked_and_stopped(deployment)
    right = all_offsets(deployment)
    place = next(each for each, offset in right.items() if each[0] == deployment.changes and offset)
    offset = right[place]
    assert offset is not None
    outputs = sorted(deployment.outputs())

    set_offsets(deployment, {place: offset - 1})
    assert worker.start().ends() == 65
    assert "error: the group's offsets and the state do not belong together" in worker.log()
    assert f"{place[0]}[{place[1]}]: the changelog says {offset}, the group {offset - 1}" in worker.log()

    set_offsets(deployment, {place: offset + 1000})
    assert worker.start().ends() == 65
    assert "error: the group's offsets do not lie in the source topics" in worker.log()
    assert f"{place[0]}[{place[1]}]: {offset + 1000}, the log goes from 0 to " in worker.log()

    (future,) = deployment.admin.delete_consumer_groups([deployment.name]).values()
    future.result(30)
    assert worker.start().ends() == 65
    assert "error: the group's offsets do not lie in the source topics" in worker.log()
    for topic, number in right:
        assert f"{topic}[{number}]: none" in worker.log()
    assert all_offsets(deployment) == dict.fromkeys(right)  # not set by a guess

    set_offsets(deployment, right)
    worker.start().ready()
    assert sorted(deployment.outputs()) == outputs
    deployment.publish(deployment.core.stock("item-1", "1.00"))
    deployment.verify()


def test_given_topics_made_anew_when_a_worker_starts_then_it_refuses(deploy: Deploy) -> None:
    deployment = deploy()
    worker = worked_and_stopped(deployment)
    delete(deployment, deployment.changelog)
    deployment.apply_topics()
    assert worker.start().ends() == 65
    assert "error: the group's offsets and the state do not belong together" in worker.log()
    assert f"{deployment.changes}[" in worker.log()

    topic = deployment.source(STOCK)
    delete(deployment, topic)
    create_topic(deployment.servers, topic, 3)
    assert worker.start().ends() == 65
    assert f"error: {topic} is not the topic that was read before" in worker.log()
    assert "cause: its id is " in worker.log()


def test_given_records_deleted_before_they_were_read_when_a_worker_starts_then_it_refuses(deploy: Deploy) -> None:
    deployment = deploy()
    worker = worked_and_stopped(deployment)
    topic, right = deployment.source(STOCK), all_offsets(deployment)
    place = (topic, 0)
    read = right[place]
    assert read

    (future,) = deployment.admin.delete_records([TopicPartition(*place, read)]).values()  # read ones: of no consequence
    future.result(30)
    worker.start().ready()
    deployment.publish(deployment.core.stock("item-1", "1.00"), partition=0)
    deployment.verify()
    assert worker.stop() == 0

    deployment.publish(*(deployment.core.stock("item-1", f"{n}.00") for n in range(3)), partition=0)
    (future,) = deployment.admin.delete_records([TopicPartition(*place, read + 3)]).values()
    future.result(30)
    assert worker.start().ends() == 65
    assert f"{topic}[0]: {read + 1}, the log goes from {read + 3} to {read + 4}" in worker.log()


def test_given_partitions_added_to_a_source_when_a_worker_starts_then_they_are_read_from_the_first_record(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    worker = worked_and_stopped(deployment)
    topic = deployment.source(STOCK)
    before = len(deployment.committed([topic]))
    (future,) = deployment.admin.create_partitions([NewPartitions(topic, before + 1)]).values()
    future.result(30)
    deployment.look_again(topic)
    deployment.publish(deployment.core.stock("item-new", "7.00"), partition=before)
    worker.start().ready()
    deployment.verify()
    assert deployment.committed([topic])[topic, before] == 1


def test_given_a_changelog_whose_beginning_is_gone_when_its_state_is_needed_then_the_worker_refuses(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    worker = worked_and_stopped(deployment)
    number = next(number for number, entries in deployment.state().items() if entries)
    entry = ConfigEntry("cleanup.policy", "compact,delete", incremental_operation=AlterConfigOpType.SET)
    (changed,) = deployment.admin.incremental_alter_configs(  # as somebody might who wants to save room
        [ConfigResource(ResourceType.TOPIC, deployment.changelog, incremental_configs=[entry])]
    ).values()
    changed.result(30)
    (deleted,) = deployment.admin.delete_records([TopicPartition(deployment.changelog, number, 1)]).values()
    deleted.result(30)
    deployment.apply_topics()
    shutil.rmtree(worker.data)
    assert worker.start().ends() == 65
    assert f"error: the beginning of {deployment.changelog}[{number}] is gone" in worker.log()
