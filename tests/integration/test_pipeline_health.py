"""Health that is true, and a watchdog that ends a worker which hangs, and no other."""

import itertools
import shutil
import time
from urllib.parse import urlsplit

from atp_stream.local import LocalCluster
from tests.cluster import register
from tests.pipeline.core import STOCK, writer_schema
from tests.pipeline.deployment import Deployment
from tests.pipeline.hanging_worker import ITEM
from tests.pipeline.health import Answer, ask, asked, until_it_is
from tests.pipeline.proxy import Proxy
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess

from .conftest import Deploy

#: Short, but longer than anything that a loaded machine makes a healthy worker wait.
LIMIT = 4.0
QUICK = {"ATP_WORKER__WATCHDOG_SECONDS": str(LIMIT), "ATP_REGISTRY__TIMEOUT_SECONDS": "2"}
#: What is asked of readiness when a broker is gone.
TOLD_WITHIN_SECONDS = 10.0
FIRED = "the watchdog ends the worker"


def hanging(deployment: Deployment, way: str, **environment: str) -> WorkerProcess:
    worker = deployment.worker("w1", ("-m", "tests.pipeline.hanging_worker", way))
    return worker.start(**{**QUICK, **environment})


def check(answers: list[Answer]) -> None:
    """What holds of every answer, whatever happens."""
    assert answers
    for answer in answers:
        assert answer.live == 200
        assert (answer.ready == 200) == (answer.state in ("processing", "idle"))


def test_given_workers_that_hang_each_in_its_own_way_then_each_is_ended_with_70_and_its_successor_is_right(
    deploy: Deploy, unique: str
) -> None:
    reasons = {
        "loop": "the event loop has not run for",
        "thread": "the consumer's thread has not run for",
        "prepare": "no progress: fetching from outside what a batch needs",
        "agent": "no progress: input waits and is not taken",
        "recovery": "no progress: recovering offsets and state",
    }
    places = {
        "loop": "in endless",
        "thread": "in blocking",
        "prepare": "in waiting",
        "agent": "in transactions",
        "recovery": "in _restart_recovery",
    }
    deployments = {way: deploy(f"{unique}-{way}") for way in reasons}
    workers = {way: hanging(deployment, way) for way, deployment in deployments.items()}
    unwatched_deployment = deploy(f"{unique}-unwatched")
    unwatched = hanging(unwatched_deployment, "agent", ATP_WORKER__WATCHDOG_SECONDS="0")
    for deployment in (*deployments.values(), unwatched_deployment):
        core = deployment.core
        deployment.publish(core.stock("item-1", "10.00"), core.created("item-1", "r-1", "2.00"))
        deployment.publish(core.stock(ITEM, "7.00"), core.created(ITEM, "r-2", "3.00"))
    for way, worker in workers.items():
        assert worker.ends() == 70, worker.shown()
        said = worker.log()
        assert FIRED in said
        assert reasons[way] in said, said
        assert places[way] in said, said
    until_it_is(unwatched, "stuck")
    answer = until_it_is(unwatched, "stuck")  # as live said, which is asked first, when it was stuck already
    assert (answer.live, answer.ready) == (503, 503)  # nobody ends it, so live must not say that somebody does
    assert answer.body["fetchesWaiting"] > 0
    unwatched.kill()
    successors = [deployment.worker("w1").start() for deployment in deployments.values()]
    for deployment, successor in zip(deployments.values(), successors, strict=True):
        items = {f"{deployment.core.tenant}/{item}".encode() for item in ("item-1", ITEM)}
        assert set(deployment.verify()) == items
        assert successor.stop() == 0


def test_given_lost_state_when_a_worker_starts_then_it_is_starting_then_restoring_with_what_is_left_then_ready(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    worker = deployment.worker("w1").start()
    deployment.publish(*itertools.islice(deployment.core.feed(seed=21, items=300), 1000))
    deployment.verify()
    assert worker.stop() == 0
    shutil.rmtree(worker.data)
    slow = deployment.worker("w1", ("-m", "tests.pipeline.hanging_worker", "restore"))
    slow.start(**QUICK)
    with asked(slow) as answers:
        until("it is idle", lambda: answers and answers[-1].state == "idle", slow.shown)
    check(answers)
    states = [state for state, _ in itertools.groupby(answer.state for answer in answers)]
    assert states[:2] == ["starting", "restoring"]
    assert states[-1] == "idle"
    restoring = [answer for answer in answers if answer.state == "restoring"]
    left = [answer.body["recordsLeft"] for answer in restoring if answer.body["recordsLeft"]]
    assert left == sorted(left, reverse=True)
    assert len(set(left)) > 10
    assert {answer.body["restoringPartitions"] for answer in restoring} & {1, 2, 3, 4}
    assert any(answer.body["secondsLeft"] for answer in restoring)
    assert restoring[-1].at - restoring[0].at > LIMIT  # and the watchdog let it go on


def test_given_a_member_that_is_paused_beyond_the_limit_then_the_others_rebalance_and_no_watchdog_fires(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    first, second = deployment.worker("w1").start(**QUICK).ready(), deployment.worker("w2")
    with asked(first) as answers, deployment.feeding(seed=22):
        second.start(**QUICK).ready()
        first.ready(2)
        began = time.monotonic()
        second.pause()
        first.ready(3)  # which takes the end of the second one's session
        paused = time.monotonic() - began
        second.resume()
        second.ready(2)
        first.ready(4)
        until_it_is(second, "processing", "idle")
    check(answers)
    assert {"rebalancing", "processing"} <= {answer.state for answer in answers}
    assert paused > LIMIT
    deployment.verify()
    assert first.stop() == second.stop() == 0
    assert FIRED not in first.log() + second.log()


def test_given_a_schema_that_is_not_known_when_the_registry_is_away_then_that_is_told_and_no_watchdog_fires(
    deploy: Deploy, cluster: LocalCluster
) -> None:
    registry = urlsplit(cluster.registry_url)
    with Proxy(registry.hostname or "", registry.port or 0) as proxy:
        deployment = deploy(registry_url=f"http://127.0.0.1:{proxy.port}{registry.path}")
        core, topic = deployment.core, deployment.source(STOCK)
        worker = deployment.worker().start(**QUICK).ready()
        newer = {**writer_schema(STOCK), "doc": "the same, with a new id"}
        schema_id = register(cluster.registry_url, f"{topic}-value", newer)
        deployment.schemas[schema_id] = newer
        with asked(worker) as answers:
            proxy.close()
            deployment.raw(topic, core.stock("item-1", "11.00").avro(schema_id, newer), b"any")
            deployment.flush()
            answer = until_it_is(worker, "waiting_for_registry")
            assert answer.ready == 503
            assert "registry" in answer.body["for"]
            until(
                "that has lasted longer than the watchdog's limit",
                lambda: (found := ask(worker)) and found.state == "waiting_for_registry" and found.seconds > LIMIT + 1,
                worker.shown,
            )
            proxy.open()
            deployment.verify()
            until_it_is(worker, "idle")
        check(answers)
        assert worker.stop() == 0
        assert FIRED not in worker.log()


def test_given_an_idle_worker_when_the_broker_is_killed_or_a_topic_deleted_then_it_lives_and_tells_until_it_is_back(
    deploy: Deploy, own_cluster: LocalCluster
) -> None:
    with own_cluster:
        deployment = deploy(servers=own_cluster.bootstrap_servers, registry_url=own_cluster.registry_url)
        worker = deployment.worker().start(**QUICK).ready()
        deployment.publish(deployment.core.stock("item-1", "10.00"))
        deployment.verify()
        assert until_it_is(worker, "idle").ready == 200
        with asked(worker) as answers:
            own_cluster.kafka.kill()
            killed = time.monotonic()
            told = until_it_is(worker, "waiting_for_broker")
            assert told.ready == 503
            assert told.at - killed < TOLD_WITHIN_SECONDS
            assert told.body["for"].startswith("a broker")
            until("the outage lasts longer than the limit", lambda: time.monotonic() - killed > 2 * LIMIT + 1)
            assert worker.runs
            own_cluster.kafka.restart()
            until_it_is(worker, "idle")
            deployment.publish(deployment.core.created("item-1", "r-1", "2.00"))
            deployment.verify()
        check(answers)
        deployment.admin.delete_topics([deployment.dead_letters])[deployment.dead_letters].result(30)
        told = until_it_is(worker, "waiting_for_broker")
        assert told.body["missingTopics"] == [deployment.dead_letters]
        deployment.apply_topics()
        until_it_is(worker, "idle")
        assert worker.stop() == 0
        assert FIRED not in worker.log()
