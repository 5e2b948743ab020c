"""Help, version and completion: what they say, and that they are quick."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.unit.cli.conftest import Cli

COMMANDS = (
    "",
    "worker",
    "feed",
    "tail",
    "demo",
    "verify",
    "doctor",
    "completion",
    *("inspect", "items", "workers"),
    *("dead-letters", "dead-letters list", "dead-letters show", "dead-letters replay"),
    *("topics", "topics plan", "topics apply", "topics create", "topics check"),
    *("schemas", "schemas register", "schemas check", "schemas asyncapi"),
    *("local", "local up", "local down", "local status"),
    *("config", "config show", "config check"),
)
# None of these is needed to show help, and each takes long to import.
HEAVY = {"aiokafka", "confluent_kafka", "faust", "httpx", "pydantic", "rich", "rocksdict", "structlog"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "atp_stream", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help(cli: Cli, command: str, snapshot: SnapshotAssertion) -> None:
    result = cli(*command.split(), "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out == snapshot


@pytest.mark.parametrize("command", ["", "topics"])
def test_without_a_command_the_help_comes_as_an_error(cli: Cli, command: str) -> None:
    result = cli(*command.split())
    assert (result.code, result.out) == (64, "")
    assert result.err.startswith("Usage: atp-stream")


def test_help_takes_less_than_300_ms() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        assert run("--help").returncode == 0
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.3


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    program = (
        "import sys; from atp_stream.cli import main; "
        f"main({[*command.split(), '--help']!r}); print(sorted(set(sys.modules) & {HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_the_module_is_the_same_program() -> None:
    script = subprocess.run(
        [Path(sys.executable).with_name("atp-stream"), "--help"], capture_output=True, text=True, check=True
    )
    assert run("--help").stdout == script.stdout


def test_version(cli: Cli) -> None:
    result = cli("--version")
    assert (result.code, result.out) == (0, "atp-stream 0.1.0\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(cli: Cli, shell: str) -> None:
    result = cli("completion", shell)
    assert (result.code, result.err) == (0, "")
    assert f"_ATP_STREAM_COMPLETE={shell}_complete" in result.out


def test_completion_of_another_shell_is_refused(cli: Cli) -> None:
    assert cli("completion", "tcsh").code == 64


def test_completion_offers_commands_and_their_words() -> None:
    commands = run(_ATP_STREAM_COMPLETE="bash_complete", COMP_WORDS="atp-stream top", COMP_CWORD="1")
    words = run(_ATP_STREAM_COMPLETE="bash_complete", COMP_WORDS="atp-stream topics ", COMP_CWORD="2")
    assert commands.stdout == "plain,topics\n"
    assert words.stdout.split() == ["plain,apply", "plain,check", "plain,create", "plain,plan"]
