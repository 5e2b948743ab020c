"""The doctor: each thing that would keep a worker from running is found, with one fix."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from atp_stream.admin.data_dir import held
from atp_stream.admin.doctor import examine, exit_code
from atp_stream.admin.doctor_finding import Finding
from atp_stream.admin.doctor_topics import permissions, replication
from atp_stream.admin.topics import TopicState
from atp_stream.contracts.catalogue import TopicSpec
from atp_stream.settings import Settings, TopicSettings
from atp_stream.settings.load import load_settings
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_broker import fake_broker


def findings(home: Path, settings: Mapping[str, object] | None = None) -> dict[str, Finding]:
    given = {"registry.url": "http://127.0.0.1:1", "kafka.bootstrap_servers": "127.0.0.1:1"} | dict(settings or {})
    loaded = load_settings(None, [f"{name}={value}" for name, value in given.items()], environment={})
    return {finding.check: finding for finding in examine(loaded)}


@contextmanager
def hanging_up() -> Iterator[str]:
    """Take connections and close them, as a TLS listener does with those that are not encrypted."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=hang_up)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_what_needs_no_cluster_is_looked_at_without_one(home: Path) -> None:
    found = findings(home, {"web.port": 0})
    assert {name: found[name].status for name in ("settings", "data_dir", "web_port")} == {
        "settings": "ok",
        "data_dir": "ok",
        "web_port": "ok",
    }
    assert found["open_files"].status in ("ok", "warn")


def test_a_cluster_and_a_registry_that_cannot_be_reached_fail_each_with_a_fix(home: Path) -> None:
    found = findings(home)
    assert [(found[name].status, found[name].exit_code) for name in ("kafka", "registry")] == [("fail", 69)] * 2
    assert all(found[name].fix for name in ("kafka", "registry"))
    assert "topics" not in found


def test_every_advertised_listener_is_dialled(home: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # so that nobody else gets it, but nobody listens
        closed = f"127.0.0.1:{reserved.getsockname()[1]}"
        with fake_broker(closed) as address:
            found = findings(home, {"kafka.bootstrap_servers": address})
    assert found["kafka"].status == "ok"
    assert (found["listener"].status, found["listener"].exit_code) == ("fail", 69)
    assert closed in found["listener"].message
    assert "advertised.listeners" in (found["listener"].fix or "")
    assert "topics" not in found


def test_a_listener_that_does_not_speak_kafka_is_found(home: Path) -> None:
    with hanging_up() as address, fake_broker(address) as bootstrap:
        found = findings(home, {"kafka.bootstrap_servers": bootstrap})
    assert (found["listener"].status, found["listener"].exit_code) == ("fail", 69)


def test_a_broker_that_is_too_old_is_found(home: Path) -> None:
    with fake_broker(txn_offset_commit=2) as address:
        found = findings(home, {"kafka.bootstrap_servers": address})
    assert (found["listener"].status, found["listener"].exit_code) == ("fail", 78)
    assert "KIP-447" in found["listener"].message


def test_a_data_directory_that_is_held_is_found_with_its_holder(home: Path) -> None:
    with held(home / "state"):
        found = findings(home, {"worker.data_dir": home / "state"})
    assert found["data_dir"].status == "fail"
    assert "held by process" in found["data_dir"].message


def test_a_port_that_is_set_and_taken_is_found(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = findings(home, {"web.port": server.getsockname()[1]})
    assert (found["web_port"].status, found["web_port"].exit_code) == ("fail", 78)


def test_the_exit_code_is_that_of_what_cannot_be_reached_then_of_what_is_wrong() -> None:
    def of(*codes: int) -> int:
        return exit_code([Finding("x", "fail", "", exit_code=code) for code in codes])

    assert (of(), of(78), of(65), of(78, 69)) == (0, 78, 78, 69)
    assert exit_code([Finding("x", "warn", "")]) == 0


def test_wrong_settings_are_findings_too(cli: Cli) -> None:
    result = cli("doctor", "--set", "worker.emit=never")
    assert result.code == 78
    assert "fail  settings" in result.out
    assert result.err == ""


def test_a_permission_that_is_wanting_is_named_with_its_topic() -> None:
    states = {
        "in": TopicState(1, 1, {}, frozenset({"READ", "DESCRIBE", "DESCRIBE_CONFIGS"})),
        "out": TopicState(1, 1, {}, frozenset({"DESCRIBE", "DESCRIBE_CONFIGS"})),
        "silent": TopicState(1, 1, {}, frozenset()),
    }
    specs = [TopicSpec("in", 1, "input"), TopicSpec("out", 1, "output"), TopicSpec("silent", 1, "output")]
    (found,) = permissions(Settings(), specs, states)
    assert (found.status, found.message) == ("fail", "WRITE on topic out is not allowed")
    assert found.fix == "give this user WRITE on topic out"


@pytest.mark.parametrize(
    ("factor", "brokers", "replicas", "status"),
    [(1, 1, 1, "ok"), (3, 3, 3, "ok"), (3, 1, 1, "fail"), (1, 3, 3, "warn"), (3, 3, 1, "warn"), (3, 5, 3, "ok")],
)
def test_replicas_are_compared_with_brokers(factor: int, brokers: int, replicas: int, status: str) -> None:
    settings = Settings(topics=TopicSettings(replication_factor=factor))
    (found,) = replication(settings, brokers, {"x": TopicState(1, replicas, {}, frozenset())})
    assert found.status == status
