"""What hurts: kills in the middle of a transaction, pauses, an outage of the registry, a restart of the broker."""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from atp_stream.local import LocalCluster
from tests.cluster import register
from tests.faults.brokers import Brokers
from tests.pipeline.core import STOCK, writer_schema
from tests.pipeline.deployment import Deployment
from tests.pipeline.log import Log, read
from tests.pipeline.proxy import Proxy
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess

from .conftest import Deploy


def pause_in_transaction(deployment: Deployment, worker: WorkerProcess) -> dict[tuple[str, int], int]:
    """Pause the only worker that runs while records of a transaction are written and not committed.

    Returns which partitions are held back by it, and at which offsets.
    """

    def paused() -> dict[tuple[str, int], int]:
        worker.pause()
        # Two looks: a commit that the broker has begun to carry out ends without its client.
        if deployment.held_back() and (found := deployment.held_back()):
            return found
        worker.resume()
        return {}

    return until(f"a transaction of {worker.name} is open", paused, deployment.shown)


def ended(deployment: Deployment, held_back: dict[tuple[str, int], int]) -> bool:
    """Whether the transactions are over that held back these partitions at these offsets."""
    with Log(deployment.servers, deployment.internal) as stable:
        now = stable.ends()
    return all(now[place] > offset for place, offset in held_back.items())


def written(deployment: Deployment) -> tuple[int, int]:
    """How many records lie in the internal topics, of all transactions and of committed ones."""
    everything = read(deployment.servers, deployment.internal, isolation="read_uncommitted")
    return len(everything), len(read(deployment.servers, deployment.internal))


def test_given_a_feed_when_workers_are_killed_in_the_middle_of_transactions_then_nothing_is_lost_or_doubled(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    first, second = deployment.worker("w1"), deployment.worker("w2")
    first.start().ready()
    with deployment.feeding(seed=6):
        # The next one has no local state; then an old one; then none, and the orphan is its own.
        for victim, successor, state in ((first, second, True), (second, first, True), (first, first, False)):
            pause_in_transaction(deployment, victim)
            victim.kill()
            if not state:
                shutil.rmtree(victim.data)
            successor.start().ready()
    deployment.verify()
    everything, committed = written(deployment)
    assert everything > committed  # there is something that must not be seen
    assert first.stop() == 0
    assert deployment.stored(first) == deployment.state()


def test_given_a_worker_paused_beyond_its_session_when_it_comes_back_then_it_writes_nothing_of_its_own(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    first, second = deployment.worker("w1").start().ready(), deployment.worker("w2")
    with deployment.feeding(seed=7):
        held_back = pause_in_transaction(deployment, first)
        second.start().ready()  # which takes the end of the first one's session
        until("the transaction has timed out", lambda: ended(deployment, held_back), deployment.shown)
        first.resume()
        first.ready(2)
    deployment.verify()
    assert first.runs
    assert first.stop() == 0
    assert second.stop() == 0
    assert deployment.stored(second) == deployment.state()


def test_given_an_outage_of_the_registry_when_an_unknown_schema_comes_then_it_waits_and_loses_nothing(
    deploy: Deploy, cluster: LocalCluster
) -> None:
    registry = urlsplit(cluster.registry_url)
    with Proxy(registry.hostname or "", registry.port or 0) as proxy:
        deployment = deploy(registry_url=f"http://127.0.0.1:{proxy.port}{registry.path}")
        core, topic = deployment.core, deployment.source(STOCK)
        worker, other = deployment.worker("w1").start().ready(), deployment.worker("w2")
        deployment.publish(core.stock("item-1", "10.00"))
        deployment.verify()
        newer = {**writer_schema(STOCK), "doc": "the same, with a new id"}
        schema_id = register(cluster.registry_url, f"{topic}-value", newer)
        deployment.schemas[schema_id] = newer
        assert len(deployment.schemas) == 7

        proxy.close()
        deployment.raw(topic, core.stock("item-1", "11.00").avro(schema_id, newer), b"any")
        deployment.publish(core.stock("item-2", "12.00"))
        worker.says("registry_unreachable")
        assert worker.stop() == 0  # an order to end is followed even now
        worker.start()
        worker.says("waiting for the schema registry")
        proxy.open()
        worker.ready()
        deployment.verify()

        newest = {**newer, "doc": "the same once more, with another id"}
        schema_id = register(cluster.registry_url, f"{topic}-value", newest)
        deployment.schemas[schema_id] = newest
        other.start().ready()
        worker.ready(2)
        proxy.close()
        for number in range(6):
            deployment.raw(topic, core.stock("item-3", f"{number}.00").avro(schema_id, newest), b"any")
        deployment.publish(core.created("item-1", "r-1", "1.00"))
        until("it is found out", lambda: "registry_unreachable" in worker.log() + other.log(), deployment.shown)
        assert deployment.log(deployment.dead_letters) == []
        other.kill()  # and what it waited for is taken over
        proxy.open()
        items = deployment.verify()
        assert len(items) == 3
        assert deployment.log(deployment.dead_letters) == []
        assert worker.runs


def goes_on(deployment: Deployment) -> None:
    """Wait until some of the feed has come through."""
    before = len(deployment.log(deployment.changes))
    until("the feed goes on", lambda: len(deployment.log(deployment.changes)) > before + 50, deployment.shown)


def test_given_a_feed_when_brokers_are_killed_in_turn_and_come_back_then_the_worker_lives_and_the_result_is_right(
    deploy: Deploy, tmp_path: Path
) -> None:
    # Three: without a leader, Kafka 4.3 may undo a part of what it has committed (KAFKA-20734, docs/guarantees.md).
    with Brokers(tmp_path / "kafka", 3, []) as brokers:
        deployment = deploy(servers=brokers.servers, replication=3)
        worker = deployment.worker().start().ready()
        with deployment.feeding(seed=12):
            goes_on(deployment)
            for broker in brokers.ids[:2]:
                brokers.kill(broker)
                goes_on(deployment)
                brokers.start(broker)
                goes_on(deployment)
        deployment.verify()
        assert worker.runs
        assert worker.stop() == 0
        assert deployment.stored(worker) == deployment.state()
