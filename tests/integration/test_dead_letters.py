"""Dead letters on a real Kafka and registry, with a real worker: seen, mended, and sent back once."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]

from atp_stream.streaming.dead_letter_records import REPLAY_OF, REPLAYED
from atp_stream.streaming.dead_letter_replay import Replayer
from atp_stream.streaming.producer import Outcome, TransactionalProducer
from tests.cluster import register
from tests.faults.unreadable import Unsent, send
from tests.pipeline.core import CREATED, RELEASED, STOCK, writer_schema
from tests.pipeline.deployment import Deployment
from tests.pipeline.killed_replay import STEP, STEPS
from tests.pipeline.log import Entry
from tests.pipeline.oracle import decode_output
from tests.pipeline.publishing import Source
from tests.pipeline.waiting import until
from tests.unit.cli.conftest import Cli, Result, isolated, runner

from .conftest import Deploy

SOURCES = {"stock": Source(STOCK, 2), "created": Source(CREATED, 2, "json"), "released": Source(RELEASED, 2)}
_ROOT = Path(__file__).parents[2]

Letters = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    directory = tmp_path / "home"
    directory.mkdir()
    isolated(directory, monkeypatch)
    return runner(capfd)


@pytest.fixture
def deployment(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    made = deploy(sources=SOURCES)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def letters(cli: Cli, deployment: Deployment, capfd: pytest.CaptureFixture[str]) -> Letters:
    """Run `atp-stream dead-letters`."""

    def run(*arguments: str) -> Result:
        capfd.readouterr()  # what the clients of the test itself have said
        return cli("dead-letters", *arguments)

    return run


def documents(result: Result) -> list[dict[str, Any]]:
    assert result.code in (0, 65), result.err
    return [json.loads(line) for line in result.out.splitlines()]


def log_of_letters(deployment: Deployment) -> list[Entry]:
    return [e for e in deployment.log(deployment.dead_letters) if e.headers[0][0] != REPLAYED]


def wait_for_letters(deployment: Deployment, count: int) -> list[Entry]:
    def probe() -> list[Entry] | None:
        deployment.require_workers()
        found = log_of_letters(deployment)
        return found if len(found) >= count else None

    found = until(f"{count} dead letters are there", probe, deployment.shown)
    assert found is not None
    return found


def sent_back(deployment: Deployment, topic: str) -> list[Entry]:
    return [e for e in deployment.log(topic) if any(name == REPLAY_OF for name, _ in e.headers)]


def move_on(deployment: Deployment) -> None:
    """Publish more, so that the sources end with records again, and not with the end of a replay's transaction."""
    core = deployment.core
    for partition in (0, 1):
        deployment.publish(core.stock("other", "1.00"), partition=partition)
        deployment.publish(core.created("other", f"r-{core.made}", "0.01"), partition=partition)


def available(deployment: Deployment) -> Decimal:
    """What the last event of availability says."""
    events = [decode_output(entry) for entry in deployment.outputs()]
    last = max((each for each in events if "available" in each), key=lambda each: int(each["sequence"]))
    found = last["available"]
    assert isinstance(found, Decimal)
    return found


def bad_stock(deployment: Deployment, count: int = 1) -> list[bytes]:
    """Events that were refused for a reason that is gone by now: the letters say so, the bytes are good."""
    topic = deployment.source(STOCK)
    return [deployment.value(deployment.core.stock(f"item-{n}", "5.00"), topic) for n in range(count)]


def make_letters(deployment: Deployment, *values: bytes | None, code: str = "UNKNOWN_SCHEMA_ID") -> None:
    """Write dead letters as a worker does, without one."""
    topic = deployment.source(STOCK)
    for number, value in enumerate(values):
        cause = {"topic": topic, "partition": "1", "offset": str(number), "error": code, "message": f"bad {number}"}
        headers = {f"dead-letter-{part}": text.encode() for part, text in cause.items()}
        deployment.raw(deployment.dead_letters, value, f"key-{number}".encode(), 0, {**headers, "own": b"x"})
        deployment.flush()


def test_given_a_schema_registered_later_when_its_letter_is_sent_back_then_it_is_decided_once(
    letters: Letters, cli: Cli, deployment: Deployment
) -> None:
    core, topic, name = deployment.core, deployment.source(STOCK), deployment.name
    deployment.worker().start().ready()
    deployment.publish(core.stock("item-1", "7.00"))
    schema = writer_schema(STOCK)
    known = register(deployment.registry_url, f"{name}-one", {**schema, "doc": f"{name} one"})
    event = core.stock("item-1", "12.00", "ECOM")
    value = event.avro(known + 1, {**schema, "fields": [*schema["fields"], CHANNEL]})
    deployment.raw(topic, value, b"core-key", 1, {"traceparent": b"00-1-2-01"})
    deployment.flush()
    wait_for_letters(deployment, 1)
    (letter,) = documents(letters("list", "--json"))
    assert (letter["error"], letter["topic"], letter["partition"]) == ("UNKNOWN_SCHEMA_ID", topic, 1)
    early = letters("replay", letter["id"])
    assert early.code == 65
    assert f"{letter['id']}  not sent: it would be refused again: UNKNOWN_SCHEMA_ID: " in early.out
    later = {**schema, "fields": [*schema["fields"], CHANNEL], "doc": f"{name} two"}
    assert register(deployment.registry_url, f"{name}-two", later) == known + 1
    deployment.schemas[known + 1] = later
    assert "it would be accepted" in letters("show", letter["id"]).out
    # The worker has just been told that there is no such schema, and is still to ask again.
    sent = letters("replay", letter["id"])
    assert (sent.code, sent.err) == (0, "")
    assert sent.out == f"{letter['id']}  sent back to {topic}[1], as it was\n"
    move_on(deployment)
    item = deployment.verify()[f"{core.tenant}/item-1".encode()]
    assert item.places["l-1", "ECOM"][0] == Decimal("12.00")
    (back,) = sent_back(deployment, topic)
    assert (back.key, back.value, back.partition) == (b"core-key", value, 1)
    place = letter["id"].replace(":", "/").encode()
    assert back.headers == ((REPLAY_OF, place), ("traceparent", b"00-1-2-01"))

    again = letters("replay", letter["id"])
    assert again.code == 65
    assert f"{letter['id']}  not sent: it was sent back already, " in again.out
    assert len(sent_back(deployment, topic)) == 1
    assert documents(letters("list", "--json")) == []
    (listed,) = documents(letters("list", "--all", "--json"))
    assert (listed["state"], listed["replayed"]["to"], listed["replayed"]["mended"]) == ("replayed", topic, False)
    # The note of it is no dead letter for anybody else who reads the topic.
    deployment.raw(topic, b"nonsense", b"later", 1)
    deployment.flush()
    wait_for_letters(deployment, 2)
    tailed = documents(cli("tail", "dead-letters", "--from-beginning", "--count", "2", "--json"))
    errors = [one["headers"]["dead-letter-error"] for one in tailed]
    assert errors == ["UNKNOWN_SCHEMA_ID", "NOT_AVRO"]


def test_given_header_names_that_are_not_utf8_when_people_look_then_every_command_reads_on_and_sends_back(
    letters: Letters, cli: Cli, deployment: Deployment
) -> None:
    core, topic = deployment.core, deployment.source(STOCK)
    deployment.worker().start().ready()

    def unreadable(on_hand: str) -> Unsent:
        return Unsent(b"core-key", deployment.value(core.stock("item-1", on_hand, "POS"), topic), [(b"tr\xe4ce", b"1")])

    send(deployment.servers, topic, 1, [unreadable("7.00")])
    wait_for_letters(deployment, 1)
    (listed,) = documents(letters("list", "--json"))
    assert listed["error"] == "HEADER_NAME_NOT_UTF8"
    shown = json.loads(letters("show", listed["id"], "--json").out)
    assert shown["headers"] == [["tr\\xe4ce", "1"]]
    assert shown["decoded"]["record"]["onHand"] == "7.00"
    assert "it would be accepted" in shown["if_sent_back"]
    assert "tr\\xe4ce = 1" in letters("show", listed["id"]).out
    assert letters("replay", listed["id"]).code == 0
    move_on(deployment)
    assert deployment.verify()[f"{core.tenant}/item-1".encode()].places["l-1", "POS"][0] == Decimal("7.00")

    # Somebody else writes such records where only the application should.
    send(deployment.servers, deployment.changes, 0, [unreadable("8.00")])
    wait_for_letters(deployment, 2)
    verified = cli("verify", "--tenant", core.tenant, "--no-progress")
    assert (verified.code, verified.err) == (0, ""), verified
    send(deployment.servers, deployment.dead_letters, 0, [unreadable("9.00")])
    found = documents(letters("list", "--all", "--json"))
    assert [letter["error"] for letter in found] == ["HEADER_NAME_NOT_UTF8", "HEADER_NAME_NOT_UTF8", "?"]
    assert json.loads(letters("show", found[-1]["id"], "--json").out)["headers"] == [["tr\\xe4ce", ""]]
    tailed = documents(cli("tail", "dead-letters", "--from-beginning", "--count", "3", "--json"))
    assert tailed[-1]["headers"] == {"tr\\xe4ce": ""}
    verified = cli("verify", "--tenant", core.tenant, "--no-progress")
    assert (verified.code, "dead letter without its place" in verified.out) == (65, True), verified


CHANNEL = {"name": "channel", "type": ["null", "string"], "default": None}


def test_given_bad_values_when_they_are_mended_then_they_are_decided(
    letters: Letters, deployment: Deployment, tmp_path: Path
) -> None:
    core, stock, created = deployment.core, deployment.source(STOCK), deployment.source(CREATED)
    deployment.worker().start().ready()
    negative = core.stock("item-1", "8.25", "ECOM")
    negative.fields["timestamp"] = -5
    envelope = json.loads(core.created("item-1", "r-1", "2.00").json())
    envelope["payload"]["quantity"] = "0.001"
    deployment.raw(stock, deployment.value(negative, stock), b"k", 0)
    deployment.flush()
    wait_for_letters(deployment, 1)
    deployment.raw(created, json.dumps(envelope).encode(), b"k", 0)
    deployment.flush()
    wait_for_letters(deployment, 2)
    deployment.raw(stock, b"garbage", b"k", 1)
    deployment.flush()
    wait_for_letters(deployment, 3)
    first, second, third = (one["id"] for one in documents(letters("list", "--json")))

    path = tmp_path / "avro.json"
    assert letters("show", first, "--value-to", str(path)).code == 0
    document = json.loads(path.read_text())
    assert document["record"]["onHand"] == "8.25"
    assert letters("show", first, "--value-to", str(path)).code == 64  # it is there already
    # As it was written it is the same value again, and still refused.
    unchanged = letters("replay", first, "--value-from", str(path))
    assert (unchanged.code, "NEGATIVE_TIMESTAMP" in unchanged.out) == (65, True)
    document["record"] |= {"timestamp": 1767323099000, "onHand": "8.5"}
    path.write_text(json.dumps(document))
    sent = letters("replay", first, "--value-from", str(path))
    assert (sent.code, sent.out) == (0, f"{first}  sent back to {stock}[0], mended\n")

    path = tmp_path / "envelope.json"
    assert letters("show", second, "--value-to", str(path)).code == 0
    path.write_text(path.read_text().replace("0.001", "0.01"))
    assert letters("replay", second, "--value-from", str(path)).code == 0

    path = tmp_path / "garbage"
    assert letters("show", third, "--value-to", str(path)).code == 0
    assert path.read_bytes() == b"garbage"
    good = core.stock("item-2", "3.00").fields
    path.write_text(json.dumps({"record": {**good, "onHand": "3.00"}}))
    assert letters("replay", third, "--value-from", str(path)).code == 0

    move_on(deployment)
    items = deployment.verify()
    places = items[f"{core.tenant}/item-1".encode()].places
    assert places["l-1", "ECOM"][0] == Decimal("8.50")
    assert items[f"{core.tenant}/item-2".encode()].places["l-1", None][0] == Decimal("3.00")
    assert documents(letters("list", "--json")) == []
    assert "mended" in letters("show", first).out


def test_given_a_letter_of_the_changes_log_when_it_is_sent_back_then_it_is_decided_there_under_its_items_key(
    letters: Letters, deployment: Deployment
) -> None:
    core = deployment.core
    deployment.worker().start().ready()
    most = f"{10**16 - 1}.00"
    deployment.publish_changes(core.stock("item-1", most, location="l-1"))
    deployment.settled()
    deployment.publish_changes(core.stock("item-1", most, location="l-2"))
    wait_for_letters(deployment, 1)
    (letter,) = documents(letters("list", "--json"))
    assert (letter["topic"], letter["error"]) == (deployment.changes, "QUANTITY_OUT_OF_RANGE")
    # Sent back too soon it is refused again, and is a letter of its own that knows what it was.
    assert letters("replay", letter["id"]).code == 0
    wait_for_letters(deployment, 2)
    (again,) = documents(letters("list", "--json"))
    assert again["replay_of"] == [letter["id"]]
    assert "sent back 1x" in letters("list").out
    deployment.publish_changes(core.stock("item-1", "0.00", location="l-1"))
    deployment.settled()
    assert letters("replay", again["id"]).code == 0
    deployment.settled()
    assert available(deployment) == Decimal(most)
    assert len(log_of_letters(deployment)) == 2
    last = sent_back(deployment, deployment.changes)[-1]
    assert last.key == f"{core.tenant}/item-1".encode()
    assert [name for name, _ in last.headers] == [REPLAY_OF, REPLAY_OF]


def start_replay(
    deployment: Deployment, *arguments: str, module: str = "", **environment: str
) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ATP_")}
    command = ["-m", module] if module else ["-m", "atp_stream", "dead-letters", "replay"]
    return subprocess.Popen(
        [sys.executable, *command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        env={**inherited, **deployment.environment, **environment},
    )


@pytest.mark.parametrize("step", STEPS)
def test_given_a_replay_killed_at_a_step_when_it_is_run_again_then_each_letter_lands_once(
    letters: Letters, deployment: Deployment, step: str
) -> None:
    values = bad_stock(deployment, 2)
    make_letters(deployment, *values)
    arguments = ("--all-open", "--yes")
    killed = start_replay(deployment, *arguments, module="tests.pipeline.killed_replay", **{STEP: step})
    out, err = killed.communicate(timeout=60)
    assert killed.returncode == -9, (out, err)
    done = letters("replay", *arguments)
    assert done.code == 0, done.err
    expected = "no dead letters to send back\n" if step == "committed" else "2 sent back, 0 not\n"
    assert done.out.endswith(expected)
    back = sent_back(deployment, deployment.source(STOCK))
    assert [entry.value for entry in back] == values
    assert letters("replay", "0:0", "0:1", "--yes").code == 65


def test_given_several_replays_at_once_when_they_send_the_same_letters_then_each_letter_lands_once(
    letters: Letters, deployment: Deployment
) -> None:
    values = bad_stock(deployment, 20)
    make_letters(deployment, *values)
    ids = [one["id"] for one in documents(letters("list", "--json"))]
    running = [start_replay(deployment, *ids, "--yes", "--json") for _ in range(3)]
    outputs = [process.communicate(timeout=120) for process in running]
    results = [json.loads(line) for out, _ in outputs for line in out.splitlines()]
    assert sorted(one["id"] for one in results if one["result"] == "sent") == sorted(ids), outputs
    assert {one["result"] for one in results} == {"sent", "already_sent"}
    assert sorted(process.returncode for process in running) == [0, 65, 65]
    assert [entry.value for entry in sent_back(deployment, deployment.source(STOCK))] == values


@pytest.mark.parametrize("is_committed", [True, False])
def test_given_a_commit_of_unknown_outcome_when_it_is_settled_then_the_letter_landed_once(
    letters: Letters, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    (value,) = bad_stock(deployment)
    make_letters(deployment, value)
    commit, calls = TransactionalProducer.commit, []

    def lost(self: TransactionalProducer, *arguments: Any) -> Outcome:
        calls.append(arguments)
        outcome = commit(self, *arguments) if len(calls) > 1 or is_committed else Outcome.UNKNOWN
        return outcome if len(calls) > 1 else Outcome.UNKNOWN

    monkeypatch.setattr(TransactionalProducer, "commit", lost)
    sent = letters("replay", "0:0")
    assert (sent.code, "sent back to" in sent.out) == (0, True), sent
    assert len(calls) == (1 if is_committed else 2)
    assert [entry.value for entry in sent_back(deployment, deployment.source(STOCK))] == [value]


def test_given_another_caller_in_the_middle_when_a_replay_commits_then_it_is_overtaken_and_says_so(
    letters: Letters, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    (value,) = bad_stock(deployment)
    make_letters(deployment, value)
    transact = Replayer._transact
    overtaken: list[tuple[str, str, int]] = []

    def overtake(self: Replayer, returns: Any) -> Outcome:
        if not overtaken:
            other = start_replay(deployment, "0:0")
            overtaken.append((*other.communicate(timeout=60), other.returncode))
        return transact(self, returns)

    monkeypatch.setattr(Replayer, "_transact", overtake)
    sent = letters("replay", "0:0")
    assert overtaken[0][2] == 0, overtaken
    assert (sent.code, "not sent: it was sent back already" in sent.out) == (65, True)
    assert [entry.value for entry in sent_back(deployment, deployment.source(STOCK))] == [value]


def test_given_letters_of_many_kinds_when_they_are_listed_then_filters_limit_and_sums_hold(
    letters: Letters, deployment: Deployment
) -> None:
    make_letters(deployment, *bad_stock(deployment, 3))
    make_letters(deployment, b"a", b"b", code="NOT_AVRO")
    assert letters("replay", "0:0").code == 0
    shown = letters("list")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0].split() == ["ID", "TIME", "ERROR", "STATE", "FROM", "MESSAGE"]
    assert [line.split()[0] for line in lines[1:-1]] == ["0:1", "0:2", "0:3", "0:4"]
    assert lines[-1] == "4 open dead letters: 2 UNKNOWN_SCHEMA_ID, 2 NOT_AVRO (1 sent back before: --all shows them)"
    limited = letters("list", "--limit", "1").out.splitlines()
    assert [limited[1].split()[0], limited[2]] == [
        "0:4",
        "... and 3 older ones: --limit 4 shows all, or narrow it down",
    ]

    def ids(*arguments: str) -> list[str]:
        return [one["id"] for one in documents(letters("list", "--json", *arguments))]

    assert ids("--all") == ["0:0", "0:1", "0:2", "0:3", "0:4"]
    assert ids("--error", "NOT_AVRO") == ["0:3", "0:4"]
    assert ids("--topic", deployment.changes) == []
    assert ids("--topic", deployment.source(STOCK), "--limit", "2") == ["0:3", "0:4"]
    assert ids("--since", "1h") == ["0:1", "0:2", "0:3", "0:4"]
    assert ids("--until", "1h") == ids("--since", "2999-01-01") == []
    dry = documents(letters("replay", "--all-open", "--error", "UNKNOWN_SCHEMA_ID", "--dry-run", "--json"))
    assert [(one["id"], one["result"]) for one in dry] == [("0:1", "would_be_sent"), ("0:2", "would_be_sent")]
    assert len(sent_back(deployment, deployment.source(STOCK))) == 1
    some = letters("replay", "--all-open", "--yes")
    assert (some.code, some.out.splitlines()[-1]) == (65, "2 sent back, 2 not")


def test_given_no_letters_when_they_are_asked_for_then_it_says_so(letters: Letters, deployment: Deployment) -> None:
    assert letters("list") == Result(0, "no open dead letters\n", "")
    assert letters("list", "--json") == Result(0, "", "")
    assert letters("replay", "--all-open") == Result(0, "no dead letters to send back\n", "")
    missing = letters("show", "0:0")
    assert missing.code == 65
    assert missing.err.startswith("error: there is no dead letter 0:0\n")
    assert letters("replay", "7:0", "--json").code == 65
    nonsense = letters("show", "seventeen")
    assert (nonsense.code, "an id is PARTITION:OFFSET" in nonsense.err) == (64, True)
    elsewhere = letters("list", "--set", "topics.dead_letters=nowhere")
    assert (elsewhere.code, "there is no topic nowhere" in elsewhere.err) == (65, True)


def test_given_what_was_not_agreed_to_when_letters_are_sent_back_then_nothing_is_sent(
    letters: Letters, deployment: Deployment
) -> None:
    make_letters(deployment, *bad_stock(deployment, 2))
    asked = letters("replay", "--all-open")
    assert (asked.code, "2 dead letters would be sent back" in asked.err) == (64, True)
    for arguments in ((), ("0:0", "--all-open"), ("0:0", "--error", "X"), ("0:0", "0:1", "--value-from", "x")):
        assert letters("replay", *arguments).code == 64
    assert letters("replay", "0:0", "--value-from", "not-there").code == 64
    assert letters("replay", "0:0", "0:99", "--yes").code == 65
    assert sent_back(deployment, deployment.source(STOCK)) == []


def test_given_what_cannot_go_back_when_it_is_sent_then_it_says_why(
    letters: Letters, deployment: Deployment, tmp_path: Path
) -> None:
    (value,) = bad_stock(deployment)
    topic = deployment.source(STOCK)
    cause = {"dead-letter-topic": topic.encode(), "dead-letter-partition": b"1", "dead-letter-offset": b"0"}
    deployment.raw(deployment.dead_letters, value, None, 0, {"foreign": b"x"})
    deployment.raw(deployment.dead_letters, value, None, 0, {**cause, "dead-letter-topic": b"gone"})
    deployment.raw(deployment.dead_letters, value, None, 0, {**cause, "dead-letter-cut": b"value"})
    # What a sender wrote cannot pass for the note that a letter was sent back.
    deployment.raw(deployment.dead_letters, value, None, 0, {**cause, REPLAYED: b"0/3"})
    deployment.raw(deployment.dead_letters, value, None, 0, {**cause, "dead-letter-cut": b"headers"})
    deployment.raw(deployment.dead_letters, value, b"key", 0, {**cause, "dead-letter-cut": b"key"})
    deployment.flush()
    result = letters("replay", "--all-open", "--yes")
    assert result.code == 65
    assert result.out.splitlines() == [
        "0:0  not sent: it does not say where it came from",
        "0:1  not sent: gone is not an input topic of these settings (topics.sources, topics.changes)",
        f"0:2  not sent: its value was cut to {len(value)} bytes: send a whole one with --value-from",
        f"0:3  sent back to {topic}[1], as it was",
        "0:4  not sent: its headers were too large to be kept: --value-from sends its event, without them",
        "0:5  not sent: its key was cut to 3 bytes: --value-from sends its event under that",
        "1 sent back, 5 not",
    ]
    whole = tmp_path / "event"
    whole.write_bytes(value)
    sent = letters("replay", "0:4", "--value-from", str(whole))
    assert sent.out == f"0:4  sent back to {topic}[1], mended, without its headers\n"


def test_given_a_dead_letter_topic_of_several_partitions_when_letters_are_sent_back_then_their_notes_lie_with_them(
    letters: Letters, deployment: Deployment
) -> None:
    name = deployment.dead_letters
    deployment.admin.create_partitions([NewPartitions(name, 3)])[name].result(30)
    make_letters(deployment, *bad_stock(deployment, 2))
    deployment.look_again(deployment.dead_letters)
    topic = deployment.source(STOCK)
    cause = {"dead-letter-topic": topic.encode(), "dead-letter-partition": b"1", "dead-letter-offset": b"0"}
    deployment.raw(deployment.dead_letters, bad_stock(deployment)[0], None, 2, cause)
    deployment.flush()
    assert letters("replay", "2:0", "1", "--yes").code == 0
    assert [one["id"] for one in documents(letters("list", "--json"))] == ["0:0"]
    notes = [e for e in deployment.log(deployment.dead_letters) if e.headers[0][0] == REPLAYED]
    assert sorted((e.partition, e.header(REPLAYED), e.key, e.value) for e in notes) == [
        (0, b"0/1", None, None),
        (2, b"2/0", None, None),
    ]


def test_given_a_letter_of_a_topic_that_is_keyed_by_item_when_it_is_sent_back_then_it_goes_under_its_items_key(
    cli: Cli, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deployment = deploy(sources={**SOURCES, "stock": Source(STOCK, keyed_by_item=True)})
    for name, value in deployment.environment.items():
        monkeypatch.setenv(name, value)
    core, topic = deployment.core, deployment.source(STOCK)
    make_letters(deployment, b"garbage", deployment.value(core.stock("item-9", "9.00"), topic))
    good = {**core.stock("item-1", "5.00").fields, "onHand": "5.00"}
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"record": good}))
    # Neither lay under the key of its item: a worker would end at a record that does not.
    assert cli("dead-letters", "replay", "0:0", "--value-from", str(path)).code == 0
    assert cli("dead-letters", "replay", "0:1").code == 0
    back = sent_back(deployment, topic)
    assert sorted(entry.key or b"" for entry in back) == [f"{core.tenant}/item-{n}".encode() for n in (1, 9)]
    deployment.worker().start().ready()
    deployment.publish(*(core.stock(f"item-{n}", "1.00", "POS") for n in range(20)))  # on all partitions
    items = deployment.verify()
    assert items[f"{core.tenant}/item-1".encode()].places["l-1", None][0] == Decimal("5.00")


def test_given_a_registry_that_is_away_when_letters_are_asked_for_then_only_what_needs_it_fails(
    letters: Letters, deployment: Deployment
) -> None:
    make_letters(deployment, *bad_stock(deployment))
    away = ("--set", "registry.url=http://127.0.0.1:1", "--set", "registry.timeout_seconds=1")
    assert letters("list", *away).code == 0
    shown = letters("show", "0:0", *away)
    assert (shown.code, "not decoded: the schema registry" in shown.out) == (0, True)
    refused = letters("replay", "0:0", *away)
    assert (refused.code, "registry.url" in refused.err) == (69, True)


def test_given_no_broker_when_letters_are_asked_for_then_it_is_unavailable(letters: Letters) -> None:
    away = ("--set", "kafka.bootstrap_servers=127.0.0.1:1")
    for command in (("list",), ("show", "0:0"), ("replay", "0:0")):
        result = letters(*command, *away)
        assert (result.code, "error: Kafka cannot be reached" in result.err) == (69, True)
        assert json.loads(letters(*command, *away, "--json").err)["error"]["kind"] == "unavailable"
