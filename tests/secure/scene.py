"""Broker, registry and users together, and what a worker has to be set to and allowed for them."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from atp_stream.admin.topics import specs
from tests.pipeline.deployment import Deployment

from .broker import Permission, SecureBroker
from .certificates import Certificates, Identity
from .door import RegistryDoor

REGISTRY_USER, REGISTRY_PASSWORD = "registry-user", "registry-secret-4711"
PLAIN_USER, PLAIN_PASSWORD = "plain-user", "plain-secret-4712"
SCRAM_PASSWORD = "scram-secret-4713"
KEY_PASSWORD = "key-secret-4714"
#: Of those, all that are given to workers in a setting.
SECRETS = (REGISTRY_PASSWORD, PLAIN_PASSWORD, SCRAM_PASSWORD, KEY_PASSWORD)

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


class Scene:
    """A broker that asks for logins and permissions, and the registry `target` behind TLS and a login."""

    def __init__(self, directory: Path, target: str) -> None:
        self.certificates = Certificates(directory)
        self.door = RegistryDoor(target, self.certificates.server(), REGISTRY_USER, REGISTRY_PASSWORD)
        self.broker = SecureBroker(directory / "broker", self.certificates, {PLAIN_USER: PLAIN_PASSWORD})
        self._target = target
        self._stack = ExitStack()
        self._users: set[str] = set()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.broker)
            stack.enter_context(self.door)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def deployment(self, name: str, directory: Path, connection: Mapping[str, str], **options: Any) -> Deployment:
        """A deployment whose workers have only the secured ways; the test itself uses the plain ones."""
        directory.mkdir()
        settings = {**self.registry(), **connection}
        plain = self.broker.address("PLAIN")
        deployment = Deployment(plain, self._target, name, directory, **options)
        deployment.environment |= settings
        return deployment

    def registry(self) -> dict[str, str]:
        """What workers are set to for the registry."""
        return {
            "ATP_REGISTRY__URL": self.door.url,
            "ATP_REGISTRY__CA_LOCATION": str(self.certificates.ca),
            "ATP_REGISTRY__USERNAME": REGISTRY_USER,
            "ATP_REGISTRY__PASSWORD": REGISTRY_PASSWORD,
        }

    def scram(self, user: str) -> dict[str, str]:
        """What workers are set to for a login by SCRAM; the user is made if there is none."""
        if user not in self._users:
            self.broker.add_user(user, SCRAM_PASSWORD)
            self._users.add(user)
        return self._login("SCRAM-SHA-512", user, SCRAM_PASSWORD)

    def plain(self) -> dict[str, str]:
        """What workers are set to for a login by PLAIN."""
        return self._login("PLAIN", PLAIN_USER, PLAIN_PASSWORD)

    def certificate(self, identity: Identity) -> dict[str, str]:
        """What workers are set to for a client certificate, with the password of its key."""
        return {
            "ATP_KAFKA__BOOTSTRAP_SERVERS": self.broker.address("CERTIFICATE"),
            "ATP_KAFKA__SECURITY_PROTOCOL": "SSL",
            "ATP_KAFKA__SSL_CA_LOCATION": str(self.certificates.ca),
            "ATP_KAFKA__SSL_CERTIFICATE_LOCATION": str(identity.certificate),
            "ATP_KAFKA__SSL_KEY_LOCATION": str(identity.key),
            "ATP_KAFKA__SSL_KEY_PASSWORD": KEY_PASSWORD,
        }

    def _login(self, mechanism: str, user: str, password: str) -> dict[str, str]:
        return {
            "ATP_KAFKA__BOOTSTRAP_SERVERS": self.broker.address("LOGIN"),
            "ATP_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "ATP_KAFKA__SASL_MECHANISM": mechanism,
            "ATP_KAFKA__SASL_USERNAME": user,
            "ATP_KAFKA__SASL_PASSWORD": password,
            "ATP_KAFKA__SSL_CA_LOCATION": str(self.certificates.ca),
        }


def needed(deployment: Deployment) -> dict[str, list[Permission]]:
    """What a worker's user needs by the table in docs/operations.md, by row and operation, and no more."""
    name = deployment.name
    outputs = [spec.name for spec in specs(deployment.settings) if spec.role == "output"]
    resources: dict[str, tuple[str, list[str]]] = {
        "source topics": ("TOPIC", list(deployment.sources)),
        "`atp.changes`": ("TOPIC", [deployment.changes]),
        "`inventory.atp.*`, `atp.dead-letters`": ("TOPIC", [*outputs, deployment.dead_letters]),
        "`<application id>-state-changelog`, `<application id>-origins`": (
            "TOPIC",
            [deployment.changelog, deployment.origins],
        ),
        "group `<application id>`": ("GROUP", [name]),
        "transactional ids that begin with `<application id>-`": ("TRANSACTIONAL_ID", [f"{name}-"]),
    }
    documented = documented_permissions()
    assert documented.keys() == resources.keys()
    return {
        f"{row}: {operation}": [Permission(kind, each, operation, prefix=kind == "TRANSACTIONAL_ID") for each in names]
        for row, (kind, names) in resources.items()
        for operation in documented[row]
    }


def documented_permissions() -> dict[str, list[str]]:
    """The table of permissions in docs/operations.md: Kafka's names of operations by resource."""
    section = DOCUMENT.read_text("utf-8").partition("## Permissions\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")][2:]
    return {
        resource: [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper() for operation in operations.split(", ")]
        for resource, operations in rows
    }
