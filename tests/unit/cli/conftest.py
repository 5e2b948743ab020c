"""Runs the program in this process, away from the settings and data of whoever runs the tests."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from atp_stream.cli import main


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]


def isolated(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make it the working directory and that of all user data, with no setting in the environment."""
    for name in list(os.environ):
        if name.startswith("ATP_") and name != "ATP_CACHE_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(directory / "data"))
    monkeypatch.setenv("ATP_LOCAL_DIR", str(directory / "local"))
    monkeypatch.chdir(directory)
    return directory


def runner(capture: pytest.CaptureFixture[str]) -> Cli:
    """Return what runs `atp-stream` with the arguments it is called with."""

    def run(*arguments: str) -> Result:
        code = main(list(arguments))
        out, err = capture.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return isolated(tmp_path, monkeypatch)


@pytest.fixture
def cli(home: Path, capfd: pytest.CaptureFixture[str]) -> Cli:
    return runner(capfd)
