"""Downloads from the Maven repositories that jgo knows, several at a time, each checked."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import requests
from jgo.maven import MavenContext, PythonResolver

from atp_stream.errors import UnavailableError
from atp_stream.local.artifacts import KAFKA_VERSION, REGISTRY, Artifact
from atp_stream.local.progress import Progress, Report

_AT_ONCE = 8
_ATTEMPTS = 3
_SILENCE_SECONDS = 30
_MEGABYTE = 1_000_000


def download(artifacts: Iterable[Artifact], directory: Path, report: Report) -> dict[Artifact, Path]:
    """Download the artifacts into the directory and return where each lies.

    UnavailableError: one of them cannot be had.
    """
    wanted = list(artifacts)
    tracker = _Tracker(sum(artifact is not REGISTRY for artifact in wanted), report)
    context = MavenContext(
        repo_cache=directory, timeout=_SILENCE_SECONDS, resolver=PythonResolver(progress_callback=tracker.file)
    )

    def one(artifact: Artifact) -> Path:
        path = _attempts(artifact, context, tracker)
        tracker.finished(artifact)
        return path

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # The largest first: it takes as long as all the others.
        order = sorted(wanted, key=lambda artifact: artifact is not REGISTRY)
        running = [pool.submit(one, artifact) for artifact in order]
        try:
            return {artifact: future.result() for artifact, future in zip(order, running, strict=True)}
        except BaseException:  # Ctrl-C too: do not wait for the rest of the downloads in hand
            tracker.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _attempts(artifact: Artifact, context: MavenContext, tracker: "_Tracker") -> Path:
    cause = ""
    for _ in range(_ATTEMPTS):
        wanted = (
            context.project(artifact.group, artifact.name)
            .at_version(artifact.version)
            .artifact(artifact.classifier, artifact.packaging)
        )
        if wanted.cached_path is not None:  # half a file of the attempt before
            wanted.cached_path.unlink(missing_ok=True)
        try:
            path = wanted.resolve()
        except (requests.RequestException, RuntimeError, OSError) as error:
            cause = f"{type(error).__name__}: {error}"
        else:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256:
                    return path
            cause = "the file that came is not the one expected (its SHA-256 differs)"
        if tracker.stopped.is_set():
            break
    raise UnavailableError(
        f"{artifact} could not be fetched",
        cause=cause,
        fix="check that this machine reaches Maven Central (HTTPS_PROXY, REQUESTS_CA_BUNDLE) and has disk space, then "
        "run the command again; nothing half-fetched was kept",
    )


class _Tracker:
    """Adds up what the downloads report from their threads."""

    def __init__(self, jars: int, report: Report) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._report = report
        self._jars = jars
        self._jars_done = 0
        self._megabytes_told = -1

    @contextmanager
    def file(self, filename: str, size: int) -> Iterator[Callable[[int], None]]:
        """Follow one download (the callback that jgo asks for)."""
        received = 0

        def update(count: int) -> None:
            nonlocal received
            if self.stopped.is_set():
                raise RuntimeError("stopped")
            received += count
            if filename == REGISTRY.filename:
                self._registry(received, size)

        yield update

    def _registry(self, received: int, size: int) -> None:
        if received // _MEGABYTE != self._megabytes_told:
            self._megabytes_told = received // _MEGABYTE
            total = max(1, size // _MEGABYTE)
            with self._lock:
                self._report(Progress("schema registry", self._megabytes_told, total, "MB"))

    def finished(self, artifact: Artifact) -> None:
        """Count a jar whose download is over and checked."""
        if artifact is REGISTRY:
            return
        with self._lock:
            self._jars_done += 1
            self._report(Progress(f"Kafka {KAFKA_VERSION}", self._jars_done, self._jars, "jars"))
