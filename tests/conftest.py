"""Fixtures of all tests: names of their own, and a real Kafka with a real registry for those that ask."""

import hashlib
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Any

import hypothesis
import pytest

from atp_stream.errors import AppError
from atp_stream.local import LocalCluster, Progress, fetch
from atp_stream.local.ports import HOST, is_free

#: Tests that start servers lie in these directories.
_WITH_SERVERS = frozenset({"integration", "faults", "browser"})
#: Where a local cluster goes if it can.
_USUAL_PORTS = (9092, 8081)

# How long an example takes is the machine's affair: it may be busy with other tests.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "integration: starts or uses a real Kafka and registry (set by itself)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _starts_servers(item.nodeid):
            item.add_marker("integration")
        elif "cluster" in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} uses a cluster: such tests lie in {sorted(_WITH_SERVERS)}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Fetch what the tests run on before the first of them, where its progress is seen and no time limit applies."""
    # With pytest-xdist those who run tests show nothing, and the one who does has no items: the next hook is for it.
    if not session.config.option.collectonly and not hasattr(session.config, "workerinput"):
        _prepare(session.config, [item.nodeid for item in getattr(session, "items", ())])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Do so with pytest-xdist: before any test is handed out."""
    _prepare(node.config, ids)


def _starts_servers(nodeid: str) -> bool:
    return not _WITH_SERVERS.isdisjoint(PurePosixPath(nodeid.partition("::")[0]).parts)


def _prepare(config: pytest.Config, nodeids: Iterable[str]) -> None:
    if not any(map(_starts_servers, nodeids)):
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")

    def report(progress: Progress) -> None:
        if reporter is not None and progress.unit and (progress.finished or progress.done % 10 == 0):
            reporter.write_line(str(progress))

    try:
        fetch(report)
    except AppError as error:
        pytest.exit(f"{error}: {error.cause}. {error.fix}", returncode=3)
    _take_usual_ports(config)


def _take_usual_ports(config: pytest.Config) -> None:
    """Have every cluster of the tests on ports of its own.

    Otherwise one that starts while another is killed, on the usual ones, would get those, and that one could not go on.
    """
    taken = ExitStack()
    for port in filter(is_free, _USUAL_PORTS):
        taken.enter_context(socket.create_server((HOST, port)))
    config.add_cleanup(taken.close)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """The Kafka and registry that all tests share (with pytest-xdist: all of one process); they end with them."""
    with LocalCluster.start(tmp_path_factory.mktemp("cluster"), owned=True) as running:
        yield running
        running.stop(wipe=True)


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A name that no other test has, the same in every run: prefix of the topics, groups and subjects of one test."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    return f"{readable}-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}"
