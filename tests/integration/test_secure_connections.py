"""Each way in which a login or a certificate can be wrong ends a worker at its start, with the setting to change."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.pipeline.deployment import Deployment
from tests.secure.scene import KEY_PASSWORD, PLAIN_USER, Scene

KAFKA, REGISTRY = "ATP_KAFKA__", "ATP_REGISTRY__"
#: How long a worker waits for what may come up by itself; and how long at most for what is wrong.
WAITS_SECONDS, ENDS_WITHIN_SECONDS = 1, 25.0


@dataclass(frozen=True)
class Wrong:
    """What is set, from the scene and its SCRAM connection; the exit code and the setting that the worker names."""

    settings: Callable[[Scene, Mapping[str, str]], Mapping[str, str]]
    exit_code: int
    setting: str


def without(settings: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in settings.items() if not name.removeprefix(KAFKA).startswith(names)}


def certified(scene: Scene, **which: bool) -> dict[str, str]:
    """The settings of a client certificate."""
    name = "-".join(["certified", *which])
    return scene.certificate(scene.certificates.client(name, password=KEY_PASSWORD, **which))


WRONG = {
    "password, SCRAM": Wrong(lambda _, right: {**right, f"{KAFKA}SASL_PASSWORD": "wrong"}, 77, "kafka.sasl_username"),
    "password, PLAIN": Wrong(
        lambda scene, _: {**scene.plain(), f"{KAFKA}SASL_PASSWORD": "wrong"}, 77, "kafka.sasl_username"
    ),
    "user": Wrong(lambda _, right: {**right, f"{KAFKA}SASL_USERNAME": "nobody"}, 77, "kafka.sasl_username"),
    "mechanism": Wrong(
        lambda _, right: {**right, f"{KAFKA}SASL_MECHANISM": "SCRAM-SHA-256"}, 77, "kafka.sasl_username"
    ),
    "authority of the broker": Wrong(
        lambda scene, right: {**right, f"{KAFKA}SSL_CA_LOCATION": str(scene.certificates.other_ca)},
        78,
        "kafka.ssl_ca_location",
    ),
    "authority of the broker, the system's": Wrong(
        lambda _, right: without(right, "SSL_CA"), 78, "kafka.ssl_ca_location"
    ),
    "file of the authority": Wrong(
        lambda scene, right: {**right, f"{KAFKA}SSL_CA_LOCATION": certified(scene)[f"{KAFKA}SSL_KEY_LOCATION"]},
        78,
        "kafka.ssl_ca_location",
    ),
    "client certificate, expired": Wrong(
        lambda scene, _: certified(scene, expired=True), 77, "kafka.ssl_certificate_location"
    ),
    "client certificate, none": Wrong(
        lambda scene, _: without(certified(scene), "SSL_CERTIFICATE", "SSL_KEY"), 77, "kafka.ssl_certificate_location"
    ),
    "password of the key": Wrong(
        lambda scene, _: {**certified(scene), f"{KAFKA}SSL_KEY_PASSWORD": "wrong"}, 78, "kafka.ssl_key_location"
    ),
    "password of the key, none": Wrong(
        lambda scene, _: without(certified(scene), "SSL_KEY_PASSWORD"), 78, "kafka.ssl_key_location"
    ),
    "key of another certificate": Wrong(
        lambda scene, _: {
            **certified(scene),
            f"{KAFKA}SSL_KEY_LOCATION": certified(scene, expired=True)[f"{KAFKA}SSL_KEY_LOCATION"],
        },
        78,
        "kafka.ssl_key_location",
    ),
    "no TLS, and the listener wants it": Wrong(
        lambda scene, _: {f"{KAFKA}BOOTSTRAP_SERVERS": scene.broker.address("LOGIN")}, 78, "kafka.security_protocol"
    ),
    "no TLS, and the listener wants a certificate": Wrong(
        lambda scene, _: {f"{KAFKA}BOOTSTRAP_SERVERS": scene.broker.address("CERTIFICATE")},
        78,
        "kafka.security_protocol",
    ),
    "a login without TLS": Wrong(
        lambda _, right: {**without(right, "SSL_CA"), f"{KAFKA}SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
        78,
        "kafka.security_protocol",
    ),
    "TLS, and the listener is plain": Wrong(
        lambda scene, right: {**right, f"{KAFKA}BOOTSTRAP_SERVERS": scene.broker.address("PLAIN")},
        69,
        "kafka.bootstrap_servers",
    ),
    "registry: password": Wrong(lambda _, right: {**right, f"{REGISTRY}PASSWORD": "wrong"}, 77, "registry.username"),
    "registry: no login": Wrong(
        lambda _, right: {**right, f"{REGISTRY}USERNAME": "", f"{REGISTRY}PASSWORD": ""}, 77, "registry.username"
    ),
    "registry: authority": Wrong(
        lambda scene, right: {**right, f"{REGISTRY}CA_LOCATION": str(scene.certificates.other_ca)},
        78,
        "registry.ca_location",
    ),
    "registry: file of the authority": Wrong(
        lambda scene, right: {**right, f"{REGISTRY}CA_LOCATION": certified(scene)[f"{KAFKA}SSL_KEY_LOCATION"]},
        78,
        "registry.ca_location",
    ),
    "registry: no TLS, and it wants it": Wrong(
        lambda scene, right: {**right, f"{REGISTRY}URL": scene.door.url.replace("https:", "http:")}, 69, "registry.url"
    ),
}


@pytest.fixture(scope="module")
def deployment(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Topics and schemas for all of them; the users may do everything."""
    directory = tmp_path_factory.mktemp("connections") / "workers"
    with scene.deployment("connections", directory, scene.scram("scrammed"), partitions=1) as deployment:
        for user in ("scrammed", "certified", PLAIN_USER):
            scene.broker.allow_all(user)
        yield deployment


@pytest.mark.parametrize("wrong", WRONG)
def test_given_something_wrong_with_a_connection_when_a_worker_starts_then_it_ends_and_names_the_setting(
    scene: Scene, deployment: Deployment, wrong: str
) -> None:
    expected = WRONG[wrong]
    settings = {**scene.registry(), **expected.settings(scene, scene.scram("scrammed"))}
    settings[f"{KAFKA}START_TIMEOUT_SECONDS"] = str(WAITS_SECONDS)
    kept = {name: value for name, value in deployment.environment.items() if not name.startswith((KAFKA, REGISTRY))}
    deployment.environment = kept | {name: value for name, value in settings.items() if value}
    worker = deployment.worker(f"w-{len(deployment.workers)}")
    began = time.monotonic()
    try:
        assert worker.start().ends() == expected.exit_code, worker.log()
    finally:
        worker.kill()
    assert time.monotonic() - began < ENDS_WITHIN_SECONDS
    lines = worker.log().splitlines()
    assert f"setting: {expected.setting}" in lines
    assert "Traceback" not in worker.log()
    assert [line.partition(":")[0] for line in lines[-4:]] == ["error", "cause", "setting", "fix"]
