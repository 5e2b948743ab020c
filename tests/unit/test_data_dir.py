"""The data directory belongs to one worker at a time; a second worker gets another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from atp_stream.admin.data_dir import demo_root, held, holder, note_url, url_of_a_worker, workers_root
from atp_stream.errors import PermissionDeniedError, TemporaryError


@pytest.fixture(autouse=True)
def _user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_each_worker_without_a_configured_directory_gets_the_first_free_one() -> None:
    with held(None) as first:
        with held(None) as second:
            assert (first, second) == (workers_root() / "1", workers_root() / "2")
        with held(None) as again:
            assert again == second
    with held(None) as after:
        assert after == first


def test_a_configured_directory_that_is_held_names_the_holder(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys; from atp_stream.admin.data_dir import held\n"
        "with held(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "state")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert (holder(tmp_path / "state") or "").startswith(f"process {other.pid} on ")
        with pytest.raises(TemporaryError) as caught, held(tmp_path / "state"):
            pass
        assert f"process {other.pid} on " in caught.value.cause
        other.kill()
        other.wait()
    assert holder(tmp_path / "state") is None
    with held(tmp_path / "state") as directory:
        assert directory == tmp_path / "state"


def test_looking_at_a_directory_does_not_make_it(tmp_path: Path) -> None:
    assert holder(tmp_path / "nowhere") is None
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_that_cannot_be_made_is_a_refused_permission(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermissionDeniedError) as caught, held(tmp_path / "file" / "state"):
        pass
    assert caught.value.setting == "worker.data_dir"


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), held(tmp_path):
        raise ZeroDivisionError
    assert holder(tmp_path) is None


def test_a_worker_is_found_by_the_word_it_left_of_its_address(tmp_path: Path) -> None:
    assert url_of_a_worker(None) is None
    with held(None) as first, held(None) as second, held(demo_root() / "worker") as demo, held(tmp_path / "own") as own:
        for number, directory in enumerate((demo, second, first, own)):
            note_url(directory, f"http://127.0.0.1:{number}")
            assert url_of_a_worker(tmp_path / "own") == f"http://127.0.0.1:{number}"
        assert url_of_a_worker(None) == "http://127.0.0.1:2"
    assert url_of_a_worker(tmp_path / "own") is None


def test_the_word_of_a_worker_that_was_killed_counts_for_nothing() -> None:
    with held(None) as directory:
        note_url(directory, "http://127.0.0.1:1")
        known = (directory / "holder.json").read_text(encoding="utf-8")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (directory / "holder.json").write_text(known.replace(str(os.getpid()), str(ended.pid)), encoding="utf-8")
    assert url_of_a_worker(None) is None
    (directory / "holder.json").write_text("{", encoding="utf-8")
    assert url_of_a_worker(None) is None
