"""`atp-stream verify` with real workers: no false difference while they run, each planted one found and named."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from atp_stream.contracts.state_codec import decode_item, encode_item
from atp_stream.domain.state import ItemState
from atp_stream.errors import UnavailableError
from atp_stream.local import LocalCluster
from atp_stream.settings import Settings
from atp_stream.settings.load import load_settings
from atp_stream.tools.verify.report import INGEST, REPLAY, Report
from atp_stream.tools.verify.run import Scope, verify
from atp_stream.tools.verify.shown import Silent
from tests.pipeline.core import STOCK
from tests.pipeline.deployment import CONFIG, SOURCES, Deployment
from tests.pipeline.log import Entry
from tests.pipeline.oracle import COMMITTED, OUTPUTS, Policy
from tests.pipeline.publishing import Source
from tests.pipeline.waiting import until

from .conftest import Deploy

_SECONDS = 30
POLICY = Policy("7", ("ECOM", "POS"), Decimal("5.00"), {"POS": Decimal("10.00")}, {"ECOM": Decimal("60.00")})


@pytest.fixture(scope="module")
def quiet(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that has processed events of all kinds and is quiet, for tests that leave it right but the last."""
    servers, registry, directory = cluster.bootstrap_servers, cluster.registry_url, tmp_path_factory.mktemp("quiet")
    with Deployment(servers, registry, "verify-quiet", directory, policy=POLICY) as deployment:
        yield settled(deployment)


class Heard(Silent):
    """Keeps what the person is told."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def verified(deployment: Deployment, settings: Settings | None = None, patience: float = 60.0) -> Report:
    """Verify. The outputs lie beside those of other deployments: only those of this tenant are looked at."""
    scope = Scope(f"{deployment.core.tenant}/".encode(), limit=1000, patience=patience)
    return verify(settings or deployment.settings, scope, Heard())


def run(deployment: Deployment, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command, as a person or a supervisor would."""
    return subprocess.run(
        [sys.executable, "-m", "atp_stream", "verify", *arguments],
        env={**os.environ, **deployment.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def is_equal(report: Report) -> bool:
    """Whether all checks were made, and found nothing."""
    assert report.differences == []
    assert [check for check in report.checks if not check.made] == []
    return report.exit_code == 0 and report.total == 0


def not_made(report: Report) -> dict[str, str]:
    """Why checks were not made, by their names."""
    return {check.name: check.note for check in report.checks if not check.made}


def settled(deployment: Deployment, count: int = 60, items: int = 4) -> Deployment:
    """Let a worker process some events of all kinds, and stop it."""
    worker, core = deployment.worker().start().ready(), deployment.core
    deployment.publish(*(core.stock(f"item-{number}", "100.00") for number in range(items)))
    deployment.settled()  # so that there is stock before the first reservation
    deployment.publish(*(event for event, _ in zip(core.feed(21, items), range(count), strict=False)))
    deployment.settled()
    assert worker.stop() == 0
    return deployment


def append(deployment: Deployment, topic: str, like: Entry, partition: int | None = None, **changed: Any) -> None:
    """Write a record like another one, as somebody who may write to the topic could."""
    producer = Producer({"bootstrap.servers": deployment.servers, "log_level": 0})
    place = like.partition if partition is None else partition
    producer.produce(
        topic,
        changed.get("value", like.value),
        changed.get("key", like.key),
        place,
        headers=list(changed.get("headers", like.headers)),
    )
    assert producer.flush(_SECONDS) == 0


def move_offset(deployment: Deployment, topic: str, partition: int, by: int) -> int:
    """Move the group's offset of a partition, as an administrator could; return what it is then."""
    consumer = Consumer({"bootstrap.servers": deployment.servers, "group.id": deployment.name})
    try:
        (held,) = consumer.committed([TopicPartition(topic, partition)], timeout=_SECONDS)
        consumer.commit(offsets=[TopicPartition(topic, partition, held.offset + by)], asynchronous=False)
        return int(held.offset) + by
    finally:
        consumer.close()


def name(entry: Entry) -> str:
    """The item of a record, as it is shown."""
    return (entry.key or b"").decode()


def with_header(entry: Entry, which: str, value: bytes) -> list[tuple[str, bytes | None]]:
    return [(header, value if header == which else held) for header, held in entry.headers]


def test_given_a_feed_and_workers_that_are_killed_when_it_is_verified_then_nothing_differs(deploy: Deploy) -> None:
    deployment = deploy(policy=POLICY)
    first, second = deployment.worker("w1"), deployment.worker("w2")
    first.start().ready()
    with deployment.feeding(seed=31):
        deployment.raw(deployment.source(STOCK), b"not an event")
        assert is_equal(verified(deployment))
        first.kill()
        second.start()
        assert is_equal(verified(deployment))  # a dead worker's transaction may be open, and partitions move
        second.ready()
        assert is_equal(verified(deployment))
    deployment.settled()
    report = verified(deployment)
    assert is_equal(report)
    assert report.items == 12
    assert report.read[deployment.changes] == len(deployment.log(deployment.changes))
    assert report.read[deployment.dead_letters] == 1
    assert set(report.reservations) == {"committed", "denied", "closed"}


def _duplicate_output(deployment: Deployment) -> tuple[str, str, str]:
    last = deployment.outputs()[-1]
    append(deployment, last.topic, last)
    return name(last), f"output {int(last.header('sequence') or b'')}", "once"


def _output_with_a_wrong_number(deployment: Deployment) -> tuple[str, str, str]:
    outputs = deployment.outputs()
    last = outputs[-1]
    highest = max(int(each.header("sequence") or b"") for each in outputs if each.key == last.key)
    append(deployment, last.topic, last, headers=with_header(last, "sequence", b"999"))
    return name(last), "output number", f"at most {highest}"


def _output_of_an_unknown_item(deployment: Deployment) -> tuple[str, str, str]:
    last = deployment.outputs()[-1]
    key = f"{deployment.core.tenant}/nobody"
    append(deployment, last.topic, last, key=key.encode())
    return key, "output of an unknown item", "at most 0"


def _output_in_a_wrong_partition(deployment: Deployment) -> tuple[str, str, str]:
    last = next(each for each in deployment.outputs() if each.topic == OUTPUTS[COMMITTED])
    append(deployment, last.topic, last, partition=(last.partition + 1) % 6)
    return name(last), "partition of the output", str(last.partition)


def _changelog_with_a_wrong_reserved(deployment: Deployment) -> tuple[str, str, str]:
    key = next(each.key for each in deployment.outputs() if each.topic == OUTPUTS[COMMITTED])
    entry = [each for each in deployment.log(deployment.changelog) if each.key == key][-1]
    state = decode_item(entry.value or b"")
    channel, amount = max(state.reserved.items(), key=lambda pair: pair[1])
    wrong = ItemState(
        state.on_hand, {**state.reserved, channel: amount + 1}, state.emitted, state.sequence, state.changed
    )
    append(deployment, deployment.changelog, entry, value=encode_item(wrong))
    return (key or b"").decode(), f"table: reserved {channel}", f"{amount / 100:.2f}"


def _table_entry_in_a_wrong_partition(deployment: Deployment) -> tuple[str, str, str]:
    entry = next(
        e for e in deployment.log(deployment.changelog) if e.key and e.key.count(b"/") == 1 and e.key[:1] != b"/"
    )
    append(deployment, deployment.changelog, entry, partition=(entry.partition + 1) % 4)
    return name(entry), "partition of the table entry", str(entry.partition)


def _source_record_that_was_not_forwarded(deployment: Deployment) -> tuple[str, str, str]:
    topic = deployment.source(STOCK)
    deployment.publish(deployment.core.stock("item-1", "1.00"), partition=1)
    reached = move_offset(deployment, topic, 1, by=1)
    return "-", "records forwarded or set aside", f"all before {reached}"


def _source_record_that_was_forwarded_twice(deployment: Deployment) -> tuple[str, str, str]:
    entry = deployment.log(deployment.changes)[-1]
    append(deployment, deployment.changes, entry)
    topic, number, offset = (entry.header("source") or b"").decode().split("/")
    return name(entry), f"forwarded from {topic}[{number}]@{offset}", "once"


def _offset_of_the_changes_log_moved_back(deployment: Deployment) -> tuple[str, str, str]:
    partition = deployment.log(deployment.changes)[-1].partition
    moved = move_offset(deployment, deployment.changes, partition, by=-1)
    return "-", "group offset", f"{moved + 1}, by the watermark"


def _offset_of_a_source_moved_back(deployment: Deployment) -> tuple[str, str, str]:
    last = deployment.log(deployment.source(STOCK))[-1]
    moved = move_offset(deployment, last.topic, last.partition, by=-1)
    return "-", "group offset, behind what was forwarded", f"{moved + 1} or later"


PLANTED: list[Callable[[Deployment], tuple[str, str, str]]] = [
    _duplicate_output,
    _output_with_a_wrong_number,
    _output_of_an_unknown_item,
    _output_in_a_wrong_partition,
    _changelog_with_a_wrong_reserved,
    _table_entry_in_a_wrong_partition,
    _source_record_that_was_not_forwarded,
    _source_record_that_was_forwarded_twice,
    _offset_of_the_changes_log_moved_back,
    _offset_of_a_source_moved_back,
]


def test_given_an_open_transaction_when_it_is_verified_then_it_is_waited_for_and_says_so(
    quiet: Deployment,
) -> None:
    deployment, last = quiet, quiet.outputs()[-1]
    producer = Producer(
        {"bootstrap.servers": deployment.servers, "transactional.id": f"{deployment.name}-foreign", "log_level": 0}
    )
    producer.init_transactions(_SECONDS)
    producer.begin_transaction()
    producer.produce(last.topic, last.value, last.key, last.partition, headers=list(last.headers))
    assert producer.flush(_SECONDS) == 0
    with pytest.raises(UnavailableError) as caught:
        verified(deployment, patience=2.5)
    assert (
        f"a transaction is left open, or the brokers do not answer: {last.topic}[{last.partition}]"
        in caught.value.cause
    )
    heard, scope = Heard(), Scope(f"{deployment.core.tenant}/".encode())
    with ThreadPoolExecutor() as pool:
        running = pool.submit(verify, deployment.settings, scope, heard)
        until("it says what it waits for", lambda: heard.notes or running.done())
        producer.abort_transaction(_SECONDS)
        assert is_equal(running.result())
    assert [f"{last.topic}[{last.partition}]" in note for note in heard.notes] == [True]


def test_given_other_rules_than_before_when_it_is_verified_then_the_replay_is_not_possible(quiet: Deployment) -> None:
    changed = {**quiet.environment, "ATP_POLICY__VERSION": "8", "ATP_POLICY__SAFETY_STOCK": "50"}
    report = verified(quiet, load_settings(CONFIG, (), environment=changed).settings)
    assert (report.exit_code, report.differences) == (0, [])
    assert not_made(report)[REPLAY] == f"{len(quiet.outputs())} outputs by the rules 7, not 8 as set now"


def test_given_planted_differences_when_it_is_verified_then_each_is_named_with_its_item(quiet: Deployment) -> None:
    deployment = quiet
    clean = run(deployment, "--tenant", deployment.core.tenant)
    assert clean.returncode == 0
    assert "differences: none" in clean.stdout
    assert "comparing" in clean.stderr
    planted: list[tuple[str, str, str]] = []
    for plant in PLANTED:
        planted.append(plant(deployment))
        report = verified(deployment)
        told = {(each.item, each.what, each.expected) for each in report.differences}
        assert report.exit_code == 65
        assert report.total == len(report.differences)
        assert set(planted) <= told, f"{plant.__name__}: {planted[-1]} is not among {sorted(told)}"
    assert all(each.where for each in report.differences)
    differs = run(deployment, "--tenant", deployment.core.tenant, "--no-progress", "--limit", "1")
    assert (differs.returncode, differs.stderr) == (65, "")
    assert f"and {report.total - 1} more" in differs.stdout
    item = planted[0][0]
    as_json = run(deployment, "--item", item, "--json")
    document = json.loads(as_json.stdout)
    assert (as_json.returncode, document["exit_code"], document["items"]) == (65, 65, 1)
    assert {each["item"] for each in document["differences"]} == {item, "-"}


def test_given_a_cut_changes_log_when_it_is_verified_then_the_replay_is_not_possible(deploy: Deploy) -> None:
    deployment = settled(deploy())
    last = deployment.log(deployment.changes)[-1]
    cut = TopicPartition(deployment.changes, last.partition, last.offset)
    deployment.admin.delete_records([cut])[cut].result(_SECONDS)
    report = verified(deployment)
    assert report.exit_code == 0
    assert report.total == 0
    reason = f"the beginning of {deployment.changes} is gone"
    assert not_made(report)[REPLAY] == reason
    assert not_made(report)[INGEST] == f"only that nothing is there twice: {reason}"
    item, what, expected = _changelog_with_a_wrong_reserved(deployment)
    report = verified(deployment)
    assert report.exit_code == 65
    assert (item, f"{what}, by the outputs", expected) in {(d.item, d.what, d.expected) for d in report.differences}


def test_given_two_topics_that_are_decided_when_it_is_verified_then_the_rest_is_checked(deploy: Deploy) -> None:
    deployment = settled(deploy(sources={**SOURCES, "stock": Source(STOCK, 4, keyed_by_item=True)}))
    report = verified(deployment)
    assert (report.exit_code, report.differences) == (0, [])
    assert "is not recorded" in not_made(report)[REPLAY]
    item, what, expected = _duplicate_output(deployment)
    assert (item, what, expected) in {(d.item, d.what, d.expected) for d in verified(deployment).differences}


def test_given_the_mode_latest_per_batch_when_it_is_verified_then_nothing_differs_but_what_is_lost(
    deploy: Deploy,
) -> None:
    deployment = deploy(policy=POLICY, settings={"ATP_WORKER__EMIT": "latest_per_batch"})
    feed = deployment.core.feed(seed=14, items=3)
    deployment.publish_changes(*(event for event, _ in zip(feed, range(300), strict=False)))
    deployment.worker().start().ready()
    deployment.settled()
    report = verified(deployment)
    assert is_equal(report)
    assert report.notes == ["300 records of the changes log did not come through ingest"]
    last = next(each for each in deployment.outputs() if each.topic == OUTPUTS[COMMITTED])
    highest = max(int(each.header("sequence") or b"") for each in deployment.outputs() if each.key == last.key)
    append(deployment, last.topic, last, headers=with_header(last, "sequence", b"%d" % (highest - 1)))
    assert verified(deployment).exit_code == 65
