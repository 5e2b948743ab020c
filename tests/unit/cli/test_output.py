"""Stdout is the result and nothing else; escape bytes go only to a terminal that wants them; nothing is asked."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.unit.cli.conftest import Cli

ESCAPE = b"\x1b"
COMMANDS = (
    ["config", "show", "--origin"],
    ["doctor"],
    ["--help"],
    ["worker"],
    ["config", "check"],
    ["local", "status"],
)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """Give an environment in which libraries are asked to colour even a pipe."""
    return {**os.environ, "TERM": "xterm-256color", "FORCE_COLOR": "1", "COLUMNS": "200"}


def on_a_terminal(arguments: list[str], environment: dict[str, str]) -> bytes:
    """Run the program with a terminal as stdin, stdout and stderr, and return all that it wrote there."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "atp_stream", *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
    )
    os.close(terminal)
    written = b""
    while True:
        try:
            written += os.read(controller, 65536)
        except OSError:  # Linux reports the end of a terminal so
            break
    os.close(controller)
    process.wait()
    return written


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_escape_byte_goes_to_a_pipe(arguments: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "atp_stream", *arguments],
        capture_output=True,
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ESCAPE not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_escape_byte_goes_to_a_terminal_that_wants_none(
    arguments: list[str], environment: dict[str, str], setting: dict[str, str]
) -> None:
    assert ESCAPE not in on_a_terminal(arguments, environment | setting)


def test_a_terminal_gets_colours(environment: dict[str, str]) -> None:
    assert ESCAPE in on_a_terminal(["doctor"], environment)


def test_config_show_gives_every_setting_with_its_origin_as_json(cli: Cli, snapshot: SnapshotAssertion) -> None:
    options = ("kafka.security_protocol=SASL_SSL", "kafka.sasl_mechanism=PLAIN", "kafka.sasl_username=me")
    assignments = [part for option in (*options, "kafka.sasl_password=s3cret") for part in ("--set", option)]
    result = cli("config", "show", "--origin", "--json", *assignments)
    assert (result.code, result.err) == (0, "")
    assert "s3cret" not in result.out
    assert json.loads(result.out) == snapshot


def test_config_show_as_text_redacts_secrets(cli: Cli) -> None:
    result = cli("config", "show", "--set", "registry.username=me", "--set", "registry.password=s3cret")
    assert "s3cret" not in result.out
    assert "registry.password" in result.out
    assert "******" in result.out


def test_config_check_names_the_file_as_json(cli: Cli, home: Path) -> None:
    (home / "atp.toml").touch()
    result = cli("--config", "atp.toml", "config", "check", "--json")
    assert (result.code, json.loads(result.out)) == (0, {"ok": True, "file": "atp.toml"})


def test_options_that_go_with_every_command_may_stand_before_or_behind_it(cli: Cli, home: Path) -> None:
    (home / "atp.toml").write_text('[worker]\nemit = "latest_per_batch"\n', encoding="utf-8")
    before = cli("--config", "atp.toml", "--set", "worker.log_level=debug", "config", "show")
    behind = cli("config", "show", "--set", "worker.log_level=debug", "--config", "atp.toml")
    assert before == behind
    assert "latest_per_batch" in before.out


def test_local_status_of_nothing_as_json(cli: Cli) -> None:
    result = cli("local", "status", "--json")
    assert (result.code, json.loads(result.out)) == (69, {"running": False, "cluster": None})


def test_local_down_of_nothing_is_no_error(cli: Cli) -> None:
    result = cli("local", "down", "--json")
    assert (result.code, json.loads(result.out)) == (0, {"stopped": False, "wiped": False})


def test_a_reader_that_has_enough_ends_the_program_quietly(environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "atp_stream", "config", "show"],
            stdout=closed,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    assert done.stderr == b""
