"""What a worker's user has to be allowed: the documented permissions are enough, and each of them is needed."""

import dataclasses
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.pipeline.deployment import Deployment
from tests.pipeline.log import Log
from tests.secure.broker import Permission
from tests.secure.scene import KEY_PASSWORD, PLAIN_USER, Scene, documented_permissions, needed

#: For a worker that is refused: it does not try again, nor wait for anything.
REFUSED_WITHIN_SECONDS = 20.0

LACKING = [f"{row}: {operation}" for row, operations in documented_permissions().items() for operation in operations]


def all_of(deployment: Deployment) -> list[Permission]:
    return list(itertools.chain.from_iterable(needed(deployment).values()))


def at_once(
    scene: Scene, directory: Path, run: Callable[[Scene, str, Path, str], None], cases: Sequence[str]
) -> Mapping[str, Future[None]]:
    """Run it for each case, with a name and a directory, and return when all are over; failures are in what is left."""
    with ThreadPoolExecutor(len(cases)) as pool:
        names = {case: f"{directory.name}-{number}" for number, case in enumerate(cases)}
        return {case: pool.submit(run, scene, name, directory / name, case) for case, name in names.items()}


def feed(deployment: Deployment, seed: int) -> None:
    """Events of all kinds, and what is none."""
    deployment.publish(*(event for event, _ in zip(deployment.core.feed(seed, 5), range(80), strict=False)))
    stock = next(iter(deployment.sources))
    deployment.raw(stock, b"no event", partition=0)
    deployment.flush()


WAYS = ("SCRAM-SHA-512", "PLAIN", "certificate")


def work_and_restore(scene: Scene, name: str, directory: Path, way: str) -> None:
    if way == "certificate":
        user, connection = name, scene.certificate(scene.certificates.client(name, password=KEY_PASSWORD))
    elif way == "PLAIN":
        user, connection = PLAIN_USER, scene.plain()
    else:
        user, connection = name, scene.scram(name)
    with scene.deployment(name, directory, connection) as deployment:
        scene.broker.allow(user, all_of(deployment))
        first = deployment.worker("w1").start().ready()
        feed(deployment, seed=1)
        assert deployment.verify()
        assert len(deployment.log(deployment.dead_letters)) == 1
        assert first.stop() == 0
        # Without anything of the first one's: its state comes from the changelog.
        second = deployment.worker("w2").start().ready()
        assert "restored 0 records" not in second.log()
        feed(deployment, seed=2)
        deployment.verify()
        assert second.stop() == 0


@pytest.fixture(scope="module")
def worked(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Future[None]]:
    """What came of working by each way. All at the same time: each waits more than it computes."""
    return at_once(scene, tmp_path_factory.mktemp("worked"), work_and_restore, WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_given_the_documented_permissions_and_no_others_when_a_worker_works_and_another_restores_then_all_is_right(
    scene: Scene, worked: Mapping[str, Future[None]], way: str
) -> None:
    worked[way].result()
    assert scene.door.passed > 0


def test_given_the_documented_permissions_when_the_doctor_looks_then_nothing_is_missing(
    scene: Scene, unique: str, tmp_path: Path
) -> None:
    with scene.deployment(unique, tmp_path / "workers", scene.scram(unique)) as deployment:
        scene.broker.allow(unique, all_of(deployment))
        doctor = subprocess.run(
            [sys.executable, "-m", "atp_stream", "doctor", "--set", f"worker.data_dir={tmp_path / 'data'}"],
            env={**os.environ, **deployment.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr
        assert "what is needed is allowed on every topic" in doctor.stdout


@pytest.fixture(scope="module")
def refused(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One deployment for all that a worker ends for before it has done anything."""
    directory = tmp_path_factory.mktemp("refused") / "workers"
    with scene.deployment("refused", directory, scene.scram("refused"), partitions=1) as deployment:
        feed(deployment, seed=3)
        yield deployment


@pytest.mark.parametrize(
    ("lacking", "describe"),
    [(each, False) for each in LACKING] + [(each, True) for each in LACKING if not each.endswith("DESCRIBE_CONFIGS")],
)
def test_given_one_permission_less_when_a_worker_starts_then_it_ends_with_77_and_names_it(
    scene: Scene, refused: Deployment, lacking: str, describe: bool
) -> None:
    """describe: Describe is given besides, so that the worker comes farther before it is refused."""
    *_, missing = needed(refused)[lacking]
    allowed = [each for each in all_of(refused) if each != missing]
    if describe:
        allowed += [
            dataclasses.replace(each, operation="DESCRIBE")
            for each in all_of(refused)
            if each.operation != "DESCRIBE_CONFIGS"
        ]
    scene.broker.allow("refused", dict.fromkeys(allowed))
    began = time.monotonic()
    worker = refused.worker(f"w-{len(refused.workers)}").start()
    try:
        assert worker.ends() == 77, worker.log()
    finally:
        worker.kill()
    assert time.monotonic() - began < REFUSED_WITHIN_SECONDS
    said = worker.log()
    assert "Traceback" not in said
    assert 'docs/operations.md, "Permissions"' in said
    assert named(missing, said), said
    assert nothing_was_done(refused)


def named(missing: Permission, said: str) -> bool:
    """Whether what is missing is named, as far as the broker tells."""
    if missing.resource == "GROUP":
        return "Read on the group that worker.application_id names" in said
    if missing.resource == "TRANSACTIONAL_ID":
        return "Write on the transactional ids that begin with worker.application_id" in said
    operations = {missing.operation, missing.operation.replace("_", "").lower()}
    told = said.lower() if "cannot be described" in said else said
    return missing.name in said and ("(describe)" in told or any(each in told for each in operations))


def nothing_was_done(deployment: Deployment) -> bool:
    topics = [deployment.changes, deployment.changelog, deployment.origins, deployment.dead_letters]
    with Log(deployment.servers, topics) as log:
        written = log.to_end()
    return not written and not deployment.outputs() and set(deployment.committed(deployment.sources).values()) == {None}


TAKEN = (
    "source topics: READ",
    "`inventory.atp.*`, `atp.dead-letters`: WRITE",
    "group `<application id>`: READ",
    "transactional ids that begin with `<application id>-`: WRITE",
)


def take_away(scene: Scene, name: str, directory: Path, lacking: str) -> None:
    with scene.deployment(name, directory, scene.scram(name), partitions=1) as deployment:
        scene.broker.allow(name, all_of(deployment))
        worker = deployment.worker("w1").start().ready()
        feed(deployment, seed=4)
        deployment.verify()
        taken = needed(deployment)[lacking]
        scene.broker.allow(name, [each for each in all_of(deployment) if each not in taken])
        feed(deployment, seed=5)
        assert worker.ends() == 77, worker.shown()
        assert 'docs/operations.md, "Permissions"' in worker.last_words() + worker.log()
        scene.broker.allow(name, all_of(deployment))
        worker.start().ready()
        deployment.verify()


@pytest.fixture(scope="module")
def taken_away(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Future[None]]:
    """What came of taking each permission away. All at the same time, as above."""
    return at_once(scene, tmp_path_factory.mktemp("taken"), take_away, TAKEN)


@pytest.mark.parametrize("lacking", TAKEN)
def test_given_a_worker_at_work_when_a_permission_is_taken_away_then_it_ends_with_77_and_nothing_is_lost(
    taken_away: Mapping[str, Future[None]], lacking: str
) -> None:
    taken_away[lacking].result()
