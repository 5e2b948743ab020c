"""Commands hand on what was asked of them, and return the exit code of what they called."""

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atp_stream.admin.data_dir import held, holder, workers_root
from atp_stream.errors import DataError, TemporaryError, UnavailableError
from tests.unit.cli.conftest import Cli

SETTINGS = ("--set", "kafka.bootstrap_servers=127.0.0.1:1", "--set", "registry.url=http://127.0.0.1:1")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a module in place of one of the program's, with the functions given."""

    def replace(name: str, **functions: Callable[..., Any]) -> None:
        stub = ModuleType(f"atp_stream.{name}")
        stub.__dict__.update(functions)
        monkeypatch.setitem(sys.modules, stub.__name__, stub)

    return replace


@pytest.fixture
def started(module: Callable[..., None]) -> list[Any]:
    """Collect the settings with which workers are run, instead of running them."""
    settings: list[Any] = []

    def run_worker(given: Any) -> int:
        settings.append(given)
        assert holder(given.worker.data_dir) is not None
        return 0

    module("admin.start", check_start=lambda *_: None)
    module("app", run_worker=run_worker)
    return settings


def test_a_worker_gets_its_options_and_holds_its_data_directory(cli: Cli, home: Path, started: list[Any]) -> None:
    result = cli("worker", *SETTINGS, "--data-dir", "state", "--log-level", "DEBUG", "--web-port", "0")
    (settings,) = started
    assert (result.code, result.out) == (0, "")
    assert settings.worker.data_dir == home / "state"
    assert settings.worker.log_level == "debug"
    assert result.err == f"web view: using port {settings.web.port}\n"
    assert holder(home / "state") is None


def test_a_second_worker_on_one_machine_gets_a_directory_and_a_port_of_its_own(cli: Cli, started: list[Any]) -> None:
    with socket.socket() as first, held(None):
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # then something else has it already
            first.bind(("127.0.0.1", 6066))
            first.listen()
        result = cli("worker", *SETTINGS)
    (settings,) = started
    assert result.code == 0
    assert settings.worker.data_dir == workers_root() / "2"
    assert settings.web.port != 6066
    assert result.err == f"web view: port 6066 is taken, using {settings.web.port}\n"


@pytest.mark.parametrize("error", [TemporaryError, UnavailableError, DataError])
def test_a_worker_that_ends_with_an_error_gives_its_exit_code(
    cli: Cli, module: Callable[..., None], error: type[TemporaryError]
) -> None:
    def run_worker(_: Any) -> int:
        raise error("it ended", cause="something happened")

    module("admin.start", check_start=lambda *_: None)
    module("app", run_worker=run_worker)
    result = cli("worker", *SETTINGS, "--web-port", "0")
    assert result.code == error.exit_code
    assert result.err.endswith("error: it ended\ncause: something happened\n")


def test_feed_tail_and_demo_get_their_options(cli: Cli, module: Callable[..., None]) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    def called(name: str) -> Callable[..., int]:
        def run(_: Any, **options: Any) -> int:
            calls.append((name, options))
            return 0

        return run

    for name in ("feed", "tail", "demo"):
        module(f"tools.{name}", **{f"run_{name}": called(name)})
    assert cli("feed", *SETTINGS).code == 0
    assert cli("feed", *SETTINGS, "--rate", "2.5", "--items", "3", "--seed", "4", "--count", "5").code == 0
    assert cli("tail", *SETTINGS, "denials", "availability", "--from-beginning", "--count", "1", "--json").code == 0
    assert cli("tail", *SETTINGS).code == 0
    assert cli("demo", "--duration", "1").code == 0
    assert calls == [
        ("feed", {"rate": 50.0, "items": 300, "seed": None, "count": None, "bad_percent": 1.0}),
        ("feed", {"rate": 2.5, "items": 3, "seed": 4, "count": 5, "bad_percent": 1.0}),
        ("tail", {"topics": ("denials", "availability"), "from_beginning": True, "count": 1, "as_json": True}),
        ("tail", {"topics": ("all",), "from_beginning": False, "count": None, "as_json": False}),
        ("demo", {"rate": 50.0, "items": 300, "duration": 1.0}),
    ]


def test_an_interrupt_ends_quietly_with_the_exit_code_of_one(cli: Cli, module: Callable[..., None]) -> None:
    def run_feed(_: Any, **__: Any) -> int:
        raise KeyboardInterrupt

    module("tools.feed", run_feed=run_feed)
    result = cli("feed", *SETTINGS)
    assert (result.code, result.err.strip()) == (130, "")


@pytest.mark.parametrize("command", ["feed", "demo"])
def test_made_up_events_do_not_go_beyond_this_machine_unasked(
    cli: Cli, module: Callable[..., None], command: str
) -> None:
    runs: list[str] = []

    def run(*_: Any, **__: Any) -> int:
        runs.append(command)
        return 0

    module(f"tools.{command}", **{f"run_{command}": run})
    elsewhere = ("--set", "kafka.bootstrap_servers=kafka.example:9092", "--set", "registry.url=http://127.0.0.1:1")
    refused = cli(command, *elsewhere)
    assert (refused.code, runs) == (64, [])
    assert "kafka.example:9092" in refused.err
    assert "--yes" in refused.err
    assert cli(command, *elsewhere, "--yes").code == 0
    assert runs == [command]
