"""Feed and tail against a real Kafka and a real registry."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, Message, Producer

from atp_stream.admin import registry as registry_access
from atp_stream.admin.topics import specs
from atp_stream.contracts.errors import BadInput
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.keys import item_key
from atp_stream.contracts.registry import SchemaRegistry
from atp_stream.contracts.schemas import schema_of
from atp_stream.domain.events import Input
from atp_stream.local import LocalCluster
from atp_stream.settings import Settings
from atp_stream.settings.load import load_settings
from atp_stream.tools.feed_core import InventoryCore
from atp_stream.tools.feed_events import FeedEvent
from atp_stream.tools.feed_records import core_schemas
from atp_stream.tools.output_consumer import OutputConsumer
from tests.cluster import create_topic, register
from tests.contract.samples import STOCK
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess
from tests.unit.cli.conftest import Cli, isolated, runner

_SECONDS = 30
SEED = 7


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    isolated(tmp_path, monkeypatch)
    return runner(capfd)


@pytest.fixture
def environment(cluster: LocalCluster, unique: str) -> dict[str, str]:
    """Settings of a service with input topics of its own; those for output are shared. Reservations come in JSON."""
    sources = {
        f"{unique}.stock": {"event": "StockAvailabilityChangedEvent"},
        f"{unique}.created": {"event": "ReservationCreatedEvent", "encoding": "json"},
        f"{unique}.released": {"event": "ReservationReleasedEvent", "keyed_by_item": True},
    }
    return {
        "ATP_KAFKA__BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "ATP_REGISTRY__URL": cluster.registry_url,
        "ATP_WORKER__APPLICATION_ID": unique,
        "ATP_WEB__PORT": "0",
        "ATP_TOPICS__CHANGES": f"{unique}.changes",
        "ATP_TOPICS__DEAD_LETTERS": f"{unique}.dead-letters",
        "ATP_TOPICS__STATE_PARTITIONS": "2",
        "ATP_TOPICS__SOURCES": json.dumps(sources),
    }


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return load_settings(environment=environment).settings


@pytest.fixture
def served(cli: Cli, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make these settings those of the program, and create the topics."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cli("topics", "apply").code == 0


def feed_of(count: int, *more: str) -> tuple[str, ...]:
    options = {"count": count, "seed": SEED, "items": 20, "rate": 5_000, "bad-percent": 10}
    return "feed", *(f"--{name}={value}" for name, value in options.items()), *more


def expected(count: int) -> list[FeedEvent]:
    settings = Settings()
    core = InventoryCore(seed=SEED, items=20, channels=settings.channels, bad_percent=10, clock=lambda: 1)
    return list(islice(chain(core.opening(), core.events()), count))


def records(settings: Settings, count: int) -> list[Message]:
    """Read so many records of the input topics, and no more of them that there are."""
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(settings.kafka.bootstrap_servers),
            "group.id": f"{settings.worker.application_id}-reader",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe(list(settings.topics.sources))
        found = consumer.consume(count, _SECONDS)
        return found + consumer.consume(1, 0.2)
    finally:
        consumer.close()


def decoded(settings: Settings, messages: Iterable[Message]) -> list[Input | BadInput]:
    async def work(registry: SchemaRegistry) -> list[Input | BadInput]:
        decoder = InputDecoder(registry.fetch)
        found: list[Input | BadInput] = []
        for message in messages:
            source = settings.topics.sources[str(message.topic())]
            value = message.value()
            assert not isinstance(value, str)
            if source.encoding == "avro" and (schema_id := decoder.needs(value)) is not None:
                await decoder.resolve([schema_id])
            try:
                found.append(decoder.decode(source.event, source.encoding, value))
            except BadInput as bad:
                found.append(bad)
        return found

    return registry_access.run(settings, work)


def versions(cluster: LocalCluster, subject: str) -> list[int]:
    answer = httpx.get(f"{cluster.registry_url}/subjects/{subject}/versions", timeout=_SECONDS, trust_env=False)
    return [] if answer.status_code == 404 else list(answer.raise_for_status().json())


@pytest.mark.usefixtures("served")
def test_the_events_of_a_seed_arrive_broken_ones_among_them(
    cli: Cli, settings: Settings, cluster: LocalCluster, unique: str
) -> None:
    result = cli(*feed_of(200))
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("sent 200 events in ")
    assert result.out.endswith(f"the same again: --seed {SEED}\n")
    assert "\x1b" not in result.out

    made = expected(200)
    found = decoded(settings, records(settings, 200))
    assert len(found) == 200
    good = sorted(one.event.event_id for one in made if one.flaw is None)
    assert sorted(event.event_id for event in found if not isinstance(event, BadInput)) == good
    assert sum(isinstance(event, BadInput) for event in found) == sum(one.flaw is not None for one in made) > 0
    assert f" {200 - len(good)} broken;" in result.out
    # Both of Core's schemas, and nothing for the topic in JSON.
    assert len(versions(cluster, f"{unique}.stock-value")) == 2
    assert versions(cluster, f"{unique}.created-value") == []


@pytest.mark.usefixtures("served")
def test_what_the_registry_has_is_used_and_left_as_it_is(
    cli: Cli, settings: Settings, cluster: LocalCluster, unique: str
) -> None:
    assert cli("schemas", "register").code == 0
    assert cli(*feed_of(60)).code == 0
    assert cli(*feed_of(60)).code == 0
    assert len(versions(cluster, f"{unique}.stock-value")) == 1
    found = decoded(settings, records(settings, 120))
    assert sum(isinstance(event, BadInput) for event in found) == 2 * sum(bool(one.flaw) for one in expected(60))


@pytest.mark.usefixtures("served")
def test_a_subject_with_somebody_elses_schema_is_refused(cli: Cli, cluster: LocalCluster, unique: str) -> None:
    other, _ = core_schemas(STOCK)
    register(cluster.registry_url, f"{unique}.stock-value", {**other, "fields": other["fields"][:-1]})
    result = cli(*feed_of(1))
    assert (result.code, result.out) == (65, "")
    assert f"{unique}.stock-value holds other schemas" in result.err
    assert len(versions(cluster, f"{unique}.stock-value")) == 1


@pytest.mark.parametrize("command", [feed_of(1), ("tail", "dead-letters")])
def test_topics_that_are_missing_are_not_created_by_the_way(
    cli: Cli, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        result = cli(*command)
        assert (result.code, result.out) == (65, "")
        assert "fix: run `atp-stream topics apply`" in result.err


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("command", [feed_of(1), ("tail",)])
@pytest.mark.parametrize("unreachable", ["kafka.bootstrap_servers=127.0.0.1:1", "registry.url=http://127.0.0.1:1"])
def test_what_cannot_be_reached_is_named(cli: Cli, command: tuple[str, ...], unreachable: str) -> None:
    result = cli(*command, "--set", unreachable)
    assert (result.code, result.out) == (69, "")
    assert unreachable.partition("=")[2] in result.err
    assert "Traceback" not in result.err


@contextmanager
def started(*command: str, **more: Any) -> "Iterator[subprocess.Popen[str]]":
    """Start the program; it ends with the `with` at the latest."""
    with subprocess.Popen(
        [sys.executable, "-m", "atp_stream", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        **more,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_feed_that_is_told_to_stop_delivers_what_it_has_sent(settings: Settings, number: signal.Signals) -> None:
    with started("feed", "--rate", "200", "--items", "5") as feed:
        assert len(records(settings, 20)) >= 20
        feed.send_signal(number)
        out, err = feed.communicate(timeout=_SECONDS)
    assert (feed.returncode, err) == (0, "")
    sent = int(out.split()[1])
    assert len(records(settings, sent)) == sent


def dead_letters(settings: Settings, values: Mapping[str, bool]) -> None:
    """Write dead letters in transactions that are committed, or not."""
    kafka = {"bootstrap.servers": ",".join(settings.kafka.bootstrap_servers)}
    producer = Producer({**kafka, "transactional.id": f"{settings.worker.application_id}-letters"})
    producer.init_transactions(_SECONDS)
    for value, committed in values.items():
        producer.begin_transaction()
        headers: list[tuple[str, str | bytes | None]] = [("dead-letter-error", value.upper().encode())]
        producer.produce(settings.topics.dead_letters, value.encode(), b"key", headers=headers)
        if committed:
            producer.commit_transaction(_SECONDS)
        else:
            producer.flush(_SECONDS)
            producer.abort_transaction(_SECONDS)


@pytest.mark.usefixtures("served")
def test_only_what_was_committed_is_shown(cli: Cli, settings: Settings) -> None:
    dead_letters(settings, {"one": True, "two": False, "three": True})
    shown = cli("tail", "dead-letters", "--from-beginning", "--count", "2", "--json")
    assert (shown.code, shown.err) == (0, "")
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [line["headers"]["dead-letter-error"] for line in lines] == ["ONE", "THREE"]
    assert {line["topic"] for line in lines} == {settings.topics.dead_letters}
    as_text = cli("tail", "dead-letters", "--from-beginning", "--count", "2")
    assert [line.split()[-2] for line in as_text.out.splitlines()] == ["ONE:", "THREE:"]
    assert "\x1b" not in as_text.out


@pytest.mark.usefixtures("served")
def test_without_from_beginning_only_what_is_committed_later(settings: Settings) -> None:
    dead_letters(settings, {"before": True})
    consumer = OutputConsumer(settings, [settings.topics.dead_letters], from_beginning=False)
    dead_letters(settings, {"later": True})
    try:
        (first,) = until("the later one arrives", lambda: list(consumer.receive(0.1)))
    finally:
        consumer.close()
    assert first.value == b"later"


@pytest.mark.usefixtures("served")
def test_tail_ends_quietly_when_nobody_reads_on(settings: Settings) -> None:
    dead_letters(settings, {"first": True})
    with started("tail", "dead-letters", "--from-beginning") as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert "FIRST" in tail.stdout.readline()
        tail.stdout.close()
        dead_letters(settings, {"second": True})
        assert tail.wait(_SECONDS) == 0
        assert tail.stderr.read() == ""


@pytest.fixture
def worker(environment: dict[str, str], tmp_path: Path) -> Iterator[WorkerProcess]:
    variables = {**os.environ, **environment}
    made = WorkerProcess("w", tmp_path, variables, ["-m", "atp_stream", "worker", "--no-input"])
    yield made
    if made.runs:
        os.kill(made.pid, signal.SIGKILL)
        until("the worker is gone", lambda: not made.runs)


@pytest.mark.usefixtures("served")
def test_what_was_fed_comes_out_and_is_shown(cli: Cli, settings: Settings, worker: WorkerProcess) -> None:
    assert cli("schemas", "register").code == 0
    worker.start().ready()
    made = expected(20_000)
    ours = {one.event.event_id for one in made if one.flaw is None}
    wanted = {"AvailabilityCalculatedEvent", "AllocationCommittedEvent", "AllocationReleasedEvent"}
    found: dict[str, Any] = {}
    # What waits for the worker it takes topic by topic, perhaps a reservation before its stock: so it is fed slowly,
    # until something of each kind has come out.
    with started(*feed_of(20_000, "--rate", "100")) as feed, started("tail", "--json", "--from-beginning") as tail:
        assert tail.stdout is not None
        for line in tail.stdout:
            document = json.loads(line)
            if document["headers"].get("causation-id") in ours:
                found[document["event"]] = document
            if found.keys() >= wanted:
                break
        feed.send_signal(signal.SIGINT)
        sent = int(feed.communicate(timeout=_SECONDS)[0].split()[1].replace(",", ""))
        tail.send_signal(signal.SIGINT)
        tail.communicate(timeout=_SECONDS)
        assert (feed.returncode, tail.returncode) == (0, 0)
    broken = sum(one.flaw is not None for one in made[:sent])
    letters = cli("tail", "dead-letters", "--from-beginning", "--json", "--count", str(broken))
    assert len(letters.out.splitlines()) == broken
    for event, document in found.items():
        assert document["fields"].keys() == {field["name"] for field in schema_of(event)["fields"]}
        tenant, item = document["fields"]["tenantId"], document["fields"]["itemId"]
        assert document["key"].encode() == item_key(tenant, item)
    assert {document["topic"] for document in found.values()} <= {spec.name for spec in specs(settings)}


def test_a_topic_of_the_tail_may_have_any_partitions(cluster: LocalCluster, settings: Settings) -> None:
    create_topic(cluster.bootstrap_servers, settings.topics.dead_letters, partitions=3)
    OutputConsumer(settings, [settings.topics.dead_letters], from_beginning=True).close()
