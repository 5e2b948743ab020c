"""Fixtures of all tests: names of their own, and a real Kafka with a real registry for those that ask."""

import hashlib
import re
from collections.abc import Iterator

import pytest

from atp_stream.errors import AppError
from atp_stream.local import LocalCluster, Progress, fetch

#: Tests that start servers: those that use the cluster, and everything in these directories.
_WITH_SERVERS = frozenset({"integration", "faults"})


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "integration: starts or uses a real Kafka and registry (set by itself)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()) or _WITH_SERVERS.intersection(item.path.parts):
            item.add_marker("integration")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Fetch what the tests run on before the first of them, where its progress is seen and no time limit applies."""
    if session.config.option.collectonly or not any(item.get_closest_marker("integration") for item in session.items):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")

    def report(progress: Progress) -> None:
        if reporter is not None and progress.unit and (progress.finished or progress.done % 10 == 0):
            reporter.write_line(str(progress))

    try:
        fetch(report)
    except AppError as error:
        pytest.exit(f"{error}: {error.cause}. {error.fix}", returncode=3)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """The Kafka and registry that all tests share. It ends with the session, however that ends."""
    with LocalCluster.start(tmp_path_factory.mktemp("cluster"), owned=True) as running:
        yield running
        running.stop(wipe=True)


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A name that no other test has, the same in every run: prefix of the topics, groups and subjects of one test."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    return f"{readable}-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}"
