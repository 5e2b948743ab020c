"""The fixture of everything that runs the whole pipeline."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from atp_stream.local import LocalCluster

from .deployment import Deployment

Deploy = Callable[..., Deployment]


@pytest.fixture
def deploy(cluster: LocalCluster, unique: str, tmp_path: Path) -> Iterator[Deploy]:
    """Make a deployment on the shared cluster; its workers end with the test."""
    with ExitStack() as stack:

        def make(name: str = unique, **options: Any) -> Deployment:
            directory = tmp_path / name
            directory.mkdir()
            options = {"servers": cluster.bootstrap_servers, "registry_url": cluster.registry_url, **options}
            return stack.enter_context(Deployment(name=name, directory=directory, **options))

        yield make


@pytest.fixture
def own_cluster(tmp_path: Path) -> LocalCluster:
    """A Kafka and a registry of the test's own, to be killed: used in a `with`."""
    return LocalCluster.start(tmp_path / "cluster", owned=True)
