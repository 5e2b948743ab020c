"""The checker on a real cluster can fail: faults planted there are found for what they are."""

import subprocess
import sys
from typing import Any

import pytest
import rocksdict
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition

from tests.pipeline.fixtures import Deploy
from tests.pipeline.log import Entry
from tests.streaming import OpenTransaction

from .checker import Checker, Unsettled
from .difference import Difference, report

AGAIN = "output again, or not called for"
FORWARDED = "input forwarded again, or from nowhere"


def test_given_faults_planted_on_the_cluster_and_on_disk_when_it_is_checked_then_each_is_found(deploy: Deploy) -> None:
    deployment = deploy()
    worker = deployment.worker().start()
    stores = {worker.name: worker.data}
    producer = Producer({"bootstrap.servers": deployment.servers})
    with Checker.of(deployment, patience=1.0) as checker:

        def kinds(*, with_stores: bool = False) -> set[str]:
            return {each.kind for each in checker.check(stores if with_stores else None)}

        def write(entry: Entry, **changed: Any) -> None:
            entry = entry._replace(**changed)
            producer.produce(entry.topic, entry.value, entry.key, entry.partition, headers=list(entry.headers))
            assert producer.flush(30) == 0

        def move(place: TopicPartition) -> None:
            wanted = [ConsumerGroupTopicPartitions(deployment.name, [place])]
            deployment.admin.alter_consumer_group_offsets(wanted)[deployment.name].result(30)

        core = deployment.core
        deployment.publish(core.stock("item", "10.00"))
        checker.settle(deployment.require_workers, deployment.shown)
        deployment.publish(core.created("item", "r-1", "4.00"))
        checker.settle(deployment.require_workers, deployment.shown)
        assert kinds(with_stores=True) == set()

        assert worker.stop() == 0
        assert kinds(with_stores=True) == set()
        entries = deployment.log(deployment.changelog)
        last = entries[-1]  # the watermark
        item_key = f"{core.tenant}/item".encode()
        item = max(each for each in entries if each.key == item_key)
        value = item.value or b""

        # a value in RocksDB
        (path,) = worker.data.glob(f"state-*/*-{item.partition}.rocksdb")
        store = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
        store[item_key] = value + b"\x00"
        store.close()
        assert kinds(with_stores=True) == {"wrong local state"}

        # an output twice
        write(deployment.outputs()[-1])
        assert kinds() == {AGAIN}

        # a wrong number in the changelog
        write(item, value=value[:-1] + bytes([value[-1] ^ 1]))
        assert kinds() == {"wrong changelog"}
        write(item)
        assert kinds() == set()

        # a watermark off by one
        write(last, value=b'{"%s":1}' % deployment.changes.encode())
        assert kinds() == {"wrong watermark"}
        write(last)
        assert kinds() == set()

        # an input forwarded twice, by something that is not the worker
        change = deployment.log(deployment.changes)[-1]
        write(change)
        assert kinds() == {FORWARDED, "wrong committed offset"}

        # offsets moved by hand: ahead, then to the end, which the state does not go with
        end = max(each.offset + 1 for each in deployment.log(deployment.changes))
        move(TopicPartition(change.topic, change.partition, end + 1))
        assert kinds() == {"wrong committed offset", "wrong watermark"}
        move(TopicPartition(change.topic, change.partition, end))
        assert kinds() == {"wrong watermark"}

        # a transaction that nobody ends
        opened = OpenTransaction({"bootstrap.servers": deployment.servers}, f"{deployment.name}-open")
        opened.write(deployment.dead_letters, b"held back")
        assert kinds() == {"open transaction", "probe not visible", "wrong watermark"}
        opened.abort()
        assert kinds() == {"wrong watermark"}


def test_given_no_worker_when_it_is_to_settle_then_that_is_a_failure_of_liveness_and_safety_is_judged_nevertheless(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    with Checker.of(deployment) as checker:
        deployment.publish(deployment.core.stock("item", "10.00"))
        with pytest.raises(Unsettled, match="what happened"):
            checker.settle(context=lambda: "what happened", seconds=0.2)
        assert checker.check(partial=True) == []


def test_given_many_differences_when_they_are_reported_then_some_are_shown_and_all_are_counted() -> None:
    text = report([Difference("kind", f"place {number}", 1, 2) for number in range(50)])
    assert text.startswith("50 differences: 50 x kind\n")
    assert text.endswith("... and 30 more")
    assert "place 19" in text
    assert "place 20" not in text


def test_given_the_checker_when_it_is_imported_then_nothing_of_the_package_is() -> None:
    program = "import sys, tests.faults.checker; sys.exit(any(name.startswith('atp_stream') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
