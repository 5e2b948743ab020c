"""The fixture of the secured servers: one of each for a module of tests."""

from collections.abc import Iterator

import pytest

from atp_stream.local import LocalCluster

from .scene import Scene


@pytest.fixture(scope="module")
def scene(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A broker that asks for logins, certificates and permissions, and the shared registry behind TLS and a login."""
    with Scene(tmp_path_factory.mktemp("secure"), cluster.registry_url) as running:
        yield running
