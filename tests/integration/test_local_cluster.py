"""The local cluster is a real Kafka and a real registry that keep their data and leave nothing behind."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from atp_stream.errors import TemporaryError, UnavailableError
from atp_stream.local import LocalCluster, Progress
from atp_stream.local.ports import HOST, free_port, is_free
from atp_stream.local.state import Running, State, save
from tests.cluster import consume, create_topic, produce, register, schema_of

SCHEMA = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "long"}]}
OTHER_SCHEMA = {"type": "record", "name": "Line", "fields": [{"name": "length", "type": "long"}]}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory for a cluster of the test's own; its name is one that is easily mishandled."""
    place = tmp_path / "größe, 大 (1)"
    yield place
    left = LocalCluster.find(place)
    if left:
        left.stop()


def test_serves_topics_and_schemas(cluster: LocalCluster, unique: str) -> None:
    create_topic(cluster.bootstrap_servers, unique, partitions=3)
    produce(cluster.bootstrap_servers, unique, [b"one", b"two"])
    schema_id = register(cluster.registry_url, unique, SCHEMA)

    assert sorted(consume(cluster.bootstrap_servers, unique, 2)) == [b"one", b"two"]
    assert schema_of(cluster.registry_url, schema_id) == SCHEMA


def test_status_tells_what_runs_where(cluster: LocalCluster) -> None:
    status = cluster.status()

    for service in (status.kafka, status.registry):
        assert service.running
        assert service.memory > 50_000_000
        assert psutil.Process(service.pid).create_time() * 1000 == pytest.approx(service.since, abs=2)
        assert Path(service.log).exists()
        assert str(service.port) in status.bootstrap_servers + status.registry_url


def test_only_this_machine_can_connect(cluster: LocalCluster) -> None:
    for service in (cluster.status().kafka, cluster.status().registry):
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(service.pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_data_and_ids_survive_a_crash_a_restart_and_a_new_start(directory: Path, unique: str) -> None:
    with LocalCluster.start(directory, owned=True) as first:
        create_topic(first.bootstrap_servers, unique)
        produce(first.bootstrap_servers, unique, [b"kept"])
        ids = [register(first.registry_url, name, body) for name, body in (("a", SCHEMA), ("b", OTHER_SCHEMA))]
        before = first.status()

        first.kafka.kill()
        first.registry.kill()
        assert not first.kafka.running
        assert LocalCluster.find(directory) is None
        first.kafka.restart()
        first.registry.restart()

        after = first.status()
        assert (after.kafka.port, after.registry.port) == (before.kafka.port, before.registry.port)
        assert consume(first.bootstrap_servers, unique, 1) == [b"kept"]
        assert register(first.registry_url, "b", OTHER_SCHEMA) == ids[1]

    with LocalCluster.start(directory, owned=True) as second:
        assert consume(second.bootstrap_servers, unique, 1) == [b"kept"]
        assert [schema_of(second.registry_url, found) for found in ids] == [SCHEMA, OTHER_SCHEMA]


@pytest.fixture
def usual_ports_taken() -> Iterator[None]:
    with ExitStack() as servers:
        for port in (9092, 8081):
            if is_free(port):
                servers.enter_context(socket.create_server((HOST, port)))
        yield


@pytest.mark.usefixtures("usual_ports_taken")
def test_starts_beside_whoever_has_the_usual_ports_and_ends_alone(
    cluster: LocalCluster, directory: Path, unique: str
) -> None:
    notes: list[Progress] = []
    with LocalCluster.start(directory, notes.append, owned=True) as second:
        taken = cluster.status()
        used = second.status()
        assert {used.kafka.port, used.registry.port}.isdisjoint({taken.kafka.port, taken.registry.port, 9092, 8081})
        told = [str(progress) for progress in notes if progress.note]
        assert told == [
            f"starting registry: port 8081 is taken, using {used.registry.port}",
            f"starting Kafka: port 9092 is taken, using {used.kafka.port}",
        ]

    assert is_free(used.kafka.port)
    assert is_free(used.registry.port)
    assert not psutil.pid_exists(used.kafka.pid)
    create_topic(cluster.bootstrap_servers, unique)


def test_second_start_reuses_what_runs_and_replaces_what_does_not(directory: Path) -> None:
    with LocalCluster.start(directory, owned=True) as first:
        before = first.status()
        with LocalCluster.start(directory, owned=True) as second:
            reused = second.status()
            assert (reused.kafka.pid, reused.registry.pid) == (before.kafka.pid, before.registry.pid)
        assert first.kafka.running, "leaving the second must not end what the first started"

        first.registry.kill()
        assert LocalCluster.running(directory) is None
        with LocalCluster.start(directory, owned=True) as third:
            assert third.status().kafka.pid == before.kafka.pid
            assert third.status().registry.port == before.registry.port
            assert third.status().registry.pid != before.registry.pid


def test_data_in_use_is_not_wiped_and_wiped_data_is_gone(directory: Path, unique: str) -> None:
    running = LocalCluster.start(directory, owned=True)
    create_topic(running.bootstrap_servers, unique)
    with pytest.raises(TemporaryError, match="in use"):
        LocalCluster.wipe(directory)

    running.stop(wipe=True)

    assert not (directory / "kafka").exists()
    with LocalCluster.start(directory, owned=True) as afresh:
        create_topic(afresh.bootstrap_servers, unique)  # would fail if it still existed


def test_stop_leaves_a_process_alone_that_got_the_pid_of_ours(directory: Path) -> None:
    directory.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as stranger:
        created = psutil.Process(stranger.pid).create_time()
        save(directory, State(kafka=Running(pid=stranger.pid, created=created - 60, port=9092)))

        assert LocalCluster.find(directory) is None
        LocalCluster(directory, State(kafka=Running(stranger.pid, created - 60, 9092))).stop()

        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_kafka_that_ends_while_starting_shows_its_log_and_leaves_nothing_running(directory: Path) -> None:
    data = directory / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=AAAA\nnode.id=2\n")

    with pytest.raises(UnavailableError, match="Kafka ended while it was starting") as caught:
        LocalCluster.start(directory, owned=True)

    assert "Stored node id 2 doesn't match" in caught.value.cause
    assert str(directory / "kafka" / "kafka.log") in (caught.value.fix or "")
    assert LocalCluster.find(directory) is None


START = """
import sys
from pathlib import Path
from atp_stream.local import LocalCluster
cluster = LocalCluster.start(Path(sys.argv[1]), owned=sys.argv[2] == "owned")
print(cluster.status().kafka.pid, cluster.status().registry.pid, flush=True)
sys.stdin.read()
"""


def _start_elsewhere(directory: Path, how: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    starter = subprocess.Popen(
        [sys.executable, "-c", START, str(directory), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout
    return starter, [psutil.Process(int(pid)) for pid in starter.stdout.readline().split()]


def test_an_owned_cluster_ends_even_when_its_owner_is_killed(directory: Path) -> None:
    starter, services = _start_elsewhere(directory, "owned")
    with starter:
        starter.kill()

    _, alive = psutil.wait_procs(services, timeout=20)
    assert len(services) == 2
    assert not alive


def test_another_cluster_outlives_its_starter_until_somebody_stops_it(directory: Path) -> None:
    starter, services = _start_elsewhere(directory, "detached")
    with starter:
        starter.communicate("")
    assert starter.returncode == 0

    found = LocalCluster.running(directory)
    assert found
    assert [found.kafka.status().pid, found.registry.status().pid] == [service.pid for service in services]
    found.stop()
    _, alive = psutil.wait_procs(services, timeout=20)
    assert not alive
    assert LocalCluster.find(directory) is None


def test_a_port_that_another_program_takes_during_the_start_is_given_up_for_another(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        chosen = iter([taken])
        monkeypatch.setattr(
            "atp_stream.local.cluster.free_port", lambda preferred, taken: next(chosen, None) or free_port(taken=taken)
        )
        notes: list[str] = []
        with LocalCluster.start(directory, lambda progress: notes.append(progress.note), owned=True) as cluster:
            assert cluster.registry.port != taken
            assert schema_of(cluster.registry_url, register(cluster.registry_url, "a", SCHEMA)) == SCHEMA
        assert f"port {taken} was taken meanwhile, using {cluster.registry.port}" in notes
