"""The commands against a real Kafka and a real registry."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from syrupy.assertion import SnapshotAssertion

from atp_stream.admin import topics
from atp_stream.admin.topics_apply import apply
from atp_stream.contracts.catalogue import TopicSpec
from atp_stream.local import LocalCluster
from atp_stream.settings import Settings
from atp_stream.settings.load import load_settings
from tests.unit.cli.conftest import Cli, Result, isolated, runner


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    isolated(tmp_path, monkeypatch)
    return runner(capfd)


@pytest.fixture
def options(cluster: LocalCluster, unique: str) -> list[str]:
    """Give the options of a service with topics of its own on the cluster; those for output are shared."""
    values: dict[str, object] = {
        "kafka.bootstrap_servers": cluster.bootstrap_servers,
        "kafka.start_timeout_seconds": 0,
        "registry.url": cluster.registry_url,
        "worker.application_id": unique,
        "web.port": 0,
        "topics.changes": f"{unique}.changes",
        "topics.dead_letters": f"{unique}.dead-letters",
        "topics.state_partitions": 2,
        "topics.sources": json.dumps(
            {
                f"{unique}.stock": {"event": "StockAvailabilityChangedEvent"},
                f"{unique}.created": {"event": "ReservationCreatedEvent"},
                f"{unique}.released": {"event": "ReservationReleasedEvent"},
            }
        ),
    }
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


@pytest.fixture
def settings(options: list[str]) -> Settings:
    return load_settings(None, options[1::2], environment={}).settings


@pytest.fixture
def admin(cluster: LocalCluster) -> AdminClient:
    return AdminClient({"bootstrap.servers": cluster.bootstrap_servers})


@pytest.fixture
def created(admin: AdminClient) -> Callable[..., None]:
    """Make a topic as somebody else would have made it."""

    def create(name: str, partitions: int, **config: str) -> None:
        values = {key.replace("_", "."): value for key, value in config.items()}
        apply(admin, topics.plan(admin, [TopicSpec(name, partitions, "internal", config=values)]), 1)

    return create


def document(result: Result) -> Any:
    assert result.err == ""
    return json.loads(result.out)


def refused(result: Result, unique: str) -> str:
    assert result.out == ""
    assert "Traceback" not in result.err
    return f"{result.err.replace(unique, '<name>')}exit code: {result.code}"


def test_topics_are_planned_applied_once_and_then_as_they_should_be(
    cli: Cli, options: list[str], settings: Settings, admin: AdminClient
) -> None:
    ours = {spec.name: spec for spec in topics.specs(settings) if spec.role != "output"}
    planned = document(cli("topics", "plan", "--json", *options))
    assert {topic["topic"] for topic in planned["create"]} >= ours.keys()
    assert topics.describe(admin, ours) == {}
    assert cli("topics", "check", *options).code == 65
    first = document(cli("topics", "apply", "--json", *options))
    assert {topic["topic"] for topic in first["create"]} >= ours.keys()
    found = topics.describe(admin, ours)
    assert {name: state.partitions for name, state in found.items()} == {
        name: spec.partitions for name, spec in ours.items()
    }
    second = document(cli("topics", "create", "--json", *options))
    assert (second["create"], second["alter"], second["refused"]) == ([], [], [])
    assert set(second["unchanged"]) >= ours.keys()
    assert document(cli("topics", "check", "--json", *options)) == {"ok": True, "differences": []}
    assert "topics are as the catalogue says" in cli("topics", "check", *options).out


def test_a_partition_count_is_never_changed(
    cli: Cli,
    options: list[str],
    settings: Settings,
    admin: AdminClient,
    unique: str,
    created: Callable[..., None],
    snapshot: SnapshotAssertion,
) -> None:
    created(settings.topics.changes, 3)
    checked = document(cli("topics", "check", "--json", *options))
    assert [one for one in checked["differences"] if one["what"] == "partitions"] == [
        {
            "topic": settings.topics.changes,
            "what": "partitions",
            "expected": "2",
            "found": "3",
            "fix": "a partition count is never changed, as that would move keys to other partitions: "
            "set topics.state_partitions to the count there is, or create the topic anew",
        }
    ]
    assert refused(cli("topics", "apply", "--yes", *options), unique) == snapshot
    assert topics.describe(admin, [settings.topics.changes, settings.topics.dead_letters]).keys() == {
        settings.topics.changes
    }


def test_a_worker_does_not_start_with_another_partition_count(
    cli: Cli,
    options: list[str],
    settings: Settings,
    admin: AdminClient,
    unique: str,
    created: Callable[..., None],
    snapshot: SnapshotAssertion,
) -> None:
    created(settings.topics.changes, 3)
    missing = [spec for spec in topics.specs(settings) if spec.name != settings.topics.changes]
    apply(admin, topics.plan(admin, missing), 1)
    result = cli("worker", *options)
    assert refused(Result(result.code, result.out, _without_port(result.err)), unique) == snapshot


def test_a_worker_does_not_start_without_its_topics(
    cli: Cli, options: list[str], settings: Settings, unique: str, admin: AdminClient, snapshot: SnapshotAssertion
) -> None:
    outputs = [spec for spec in topics.specs(settings) if spec.role == "output"]
    apply(admin, topics.plan(admin, outputs), 1)
    result = cli("worker", *options)
    assert refused(Result(result.code, result.out, _without_port(result.err)), unique) == snapshot


def test_a_worker_does_not_start_where_its_state_would_expire(
    cli: Cli, options: list[str], settings: Settings, created: Callable[..., None], admin: AdminClient
) -> None:
    changelog = topics.changelog_name(settings)
    created(changelog, 2, cleanup_policy="delete")
    others = [spec for spec in topics.specs(settings) if spec.name != changelog]
    apply(admin, topics.plan(admin, others), 1)
    result = cli("worker", *options)
    assert result.code == 65
    assert f"{changelog}: cleanup.policy is delete, not compact" in result.err


def test_a_setting_of_a_topic_is_changed_only_when_that_was_agreed_to(
    cli: Cli, options: list[str], settings: Settings, created: Callable[..., None]
) -> None:
    created(settings.topics.dead_letters, 1, retention_ms="1000")
    asked = cli("topics", "apply", *options)
    assert asked.code == 64
    assert f"{settings.topics.dead_letters}: retention.ms 1000 -> " in asked.err
    assert "--yes" in asked.err
    assert cli("topics", "apply", "--yes", *options).code == 0
    assert document(cli("topics", "check", "--json", *options))["ok"] is True


def test_more_replicas_than_brokers_are_refused_with_the_setting(cli: Cli, options: list[str]) -> None:
    result = cli("topics", "apply", *options, "--set", "topics.replication_factor=3")
    assert result.code == 65
    assert "setting: topics.replication_factor" in result.err


def test_schemas_are_registered_once_and_then_as_they_are_here(cli: Cli, options: list[str], unique: str) -> None:
    missing = document(cli("schemas", "check", "--json", *options))
    assert f"{unique}.created-value" in {one["subject"] for one in missing["differences"]}
    first = document(cli("schemas", "register", "--json", *options))
    second = document(cli("schemas", "register", "--json", *options))
    assert [one["schema_id"] for one in first["subjects"]] == [one["schema_id"] for one in second["subjects"]]
    assert not any(one["new"] for one in second["subjects"])
    assert document(cli("schemas", "check", "--json", *options)) == {"ok": True, "differences": []}


def test_the_doctor_finds_nothing_where_all_is_well(cli: Cli, options: list[str]) -> None:
    assert cli("topics", "apply", *options).code == 0
    assert cli("schemas", "register", *options).code == 0
    result = cli("doctor", "--json", *options)
    found = document(result)
    assert (result.code, found["exit_code"]) == (0, 0)
    statuses = {finding["check"]: finding["status"] for finding in found["findings"]}
    assert statuses.pop("open_files") in ("ok", "warn")
    assert statuses == dict.fromkeys(
        (
            "settings",
            "data_dir",
            "web_port",
            "kafka",
            "listener",
            "topics",
            "acl",
            "replication",
            "registry",
            "schemas",
        ),
        "ok",
    )


def test_the_doctor_finds_missing_topics_and_schemas(cli: Cli, options: list[str]) -> None:
    result = cli("doctor", *options)
    assert result.code == 78
    assert "fail  topics" in result.out
    assert "fix: run `atp-stream topics apply`" in result.out
    assert "fix: run `atp-stream schemas register`" in result.out


def test_without_a_configured_broker_the_local_cluster_is_used(
    cli: Cli, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATP_LOCAL_DIR", str(cluster.directory))
    shown = document(cli("local", "status", "--json"))
    assert shown["cluster"]["bootstrap_servers"] == cluster.bootstrap_servers
    assert cli("topics", "plan").code == 0
    assert cli("schemas", "check").code in (0, 65)


def _without_port(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("web view: "))
