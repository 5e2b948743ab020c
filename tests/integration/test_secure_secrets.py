"""Secrets are in nothing that a worker writes or serves, whatever happens to it."""

import base64
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.pipeline.buggy_worker import ITEM
from tests.pipeline.core import STOCK
from tests.pipeline.deployment import Deployment
from tests.pipeline.health import port_of
from tests.pipeline.log import Log
from tests.pipeline.worker import WorkerProcess
from tests.secure.scene import KEY_PASSWORD, REGISTRY_PASSWORD, REGISTRY_USER, SECRETS, Scene

WRONG = "wrong-secret-4715"
TOKEN = "token-secret-4716"
TOPICS = ("changes", "changelog", "origins", "dead_letters")
#: Everything that there is, and what is not there.
PATHS = (
    *("/", "/docs", "/docs/events", "/health/live", "/health/ready", "/worker", "/metrics", "/no-such-path"),
    *("/api/v1/workers", "/api/v1/openapi.json", "/api/v1/asyncapi.json", "/api/v1/inventory/atp/items"),
    *("/api/v1/inventory/atp/availability?itemId=item-1", "/api/v1/inventory/atp/pools/item-1"),
    "/api/v1/inventory/atp/reservations/r-1?itemId=item-1",
)


def told(everything: bytes) -> list[str]:
    """The secrets that are in there, also as HTTP's basic authentication has them, in base64 and quoted."""
    forms = {}
    for secret in (*SECRETS, WRONG, TOKEN):
        login = base64.b64encode(f"{REGISTRY_USER}:{secret}".encode())
        forms[secret] = (secret.encode(), base64.b64encode(secret.encode()), login, quote(secret).encode())
    return [secret for secret, ways in forms.items() if any(way in everything for way in ways)]


def served(worker: WorkerProcess) -> Iterator[bytes]:
    """What it answers on every path, headers and body."""
    port = port_of(worker)
    assert port is not None
    for path in PATHS:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers={"X-Tenant-ID": "t"})
        answer = connection.getresponse()
        yield f"{path} {answer.status} {answer.getheaders()}".encode() + answer.read()
        connection.close()


def written(deployment: Deployment) -> Iterator[bytes]:
    """All files of the workers, logs among them, and all records."""
    for file in deployment.directory.rglob("*"):
        if file.is_file():
            yield file.read_bytes()
    with Log(deployment.servers, [getattr(deployment, name) for name in TOPICS]) as log:
        yield repr(log.to_end()).encode()
    yield repr(deployment.outputs()).encode()


def asked(deployment: Deployment, *command: str) -> bytes:
    """What a command says."""
    done = subprocess.run(
        [sys.executable, "-m", "atp_stream", *command],
        env={**os.environ, **deployment.environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(("way", "log_format"), [("login", "text"), ("certificate", "json")])
def test_given_secrets_in_all_settings_when_workers_succeed_and_fail_then_none_is_in_what_they_write_or_serve(
    scene: Scene, unique: str, tmp_path: Path, way: str, log_format: str
) -> None:
    identity = scene.certificates.client(unique, password=KEY_PASSWORD)
    connection = scene.scram(unique) if way == "login" else scene.certificate(identity)
    debug = {"ATP_WORKER__LOG_LEVEL": "debug", "ATP_WORKER__LOG_FORMAT": log_format, "ATP_CLIENT__TOKEN": TOKEN}
    password = "ATP_KAFKA__SASL_PASSWORD" if way == "login" else "ATP_KAFKA__SSL_KEY_PASSWORD"
    heard: list[bytes] = []
    with scene.deployment(unique, tmp_path / "workers", {**connection, **debug}, partitions=1) as deployment:
        scene.broker.allow_all(unique)
        core = deployment.core
        # when all goes well, bad input included
        worker = deployment.worker("w1").start().ready()
        deployment.publish(core.stock("item-1", "10.00"))
        deployment.raw(deployment.source(STOCK), b"broken", b"key", 0)
        deployment.publish(core.created("item-1", "r-1", "1.00"))
        deployment.verify()
        heard += served(worker)
        heard += [asked(deployment, *each.split()) for each in ("config show --origin", "config show --json", "doctor")]
        assert worker.stop() == 0
        # when a password is wrong, at the broker and at the registry
        assert deployment.worker("w2").start(**{password: WRONG}).ends() in (77, 78)
        assert deployment.worker("w3").start(ATP_REGISTRY__PASSWORD=WRONG).ends() == 77
        # when a bug ends it, with all that is said then
        buggy = deployment.worker("w4", ("-m", "tests.pipeline.buggy_worker")).start().ready()
        deployment.publish(core.stock(ITEM, "10.00"))
        assert buggy.ends() == 70
        # when a permission is taken away
        worker.start().ready()
        scene.broker.allow(unique, [])
        deployment.publish(core.stock("item-1", "11.00"))
        assert worker.ends() == 77
        # then
        heard += written(deployment)
    everything = b"\n".join(heard)
    assert told(everything) == []
    # and there was something to be told
    assert b"a bug that was put in for the test" in everything
    assert told(json.dumps([REGISTRY_PASSWORD, connection[password]]).encode())
    assert b"/api/v1/workers 200" in everything
