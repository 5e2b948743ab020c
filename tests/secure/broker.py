"""A real broker that asks everyone for a login or a certificate, and whether they may.

Three listeners: one with SCRAM-SHA-512 and PLAIN over TLS, one with client certificates, and a plain one, on which the
tests administer it and look at what came out: who comes there is the broker's superuser.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports them without saying so
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.faults.jvm import Node, format_data
from tests.faults.kafka_proxy import port_of, reserved_port
from tests.pipeline.waiting import answered, until

from .certificates import HOST, Certificates

_SECONDS = 30.0
_SCRAM_ITERATIONS = 4096
_PROTOCOLS = {"CONTROLLER": "PLAINTEXT", "PLAIN": "PLAINTEXT", "LOGIN": "SASL_SSL", "CERTIFICATE": "SSL"}
_LOGIN_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Permission:
    """One operation on one resource. resource: TOPIC, GROUP or TRANSACTIONAL_ID. prefix: on all that begin so."""

    resource: str
    name: str
    operation: str
    prefix: bool = False

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}{'*' if self.prefix else ''}"

    def to(self, user: str) -> AclBinding:
        """The permission as Kafka's rule for a user."""
        pattern = ResourcePatternType.PREFIXED if self.prefix else ResourcePatternType.LITERAL
        allow, operation = AclPermissionType.ALLOW, AclOperation[self.operation]
        return AclBinding(ResourceType[self.resource], self.name, pattern, f"User:{user}", "*", operation, allow)


class SecureBroker:
    """The broker. Leaving the `with` ends it. `plain_users`: name to password of those who log in by PLAIN."""

    def __init__(self, directory: Path, certificates: Certificates, plain_users: Mapping[str, str]) -> None:
        self._certificates = certificates
        self._holders = {name: reserved_port() for name in _PROTOCOLS}
        self._node = Node(directory, directory / "data")
        self._node.configure(self._properties(plain_users))

    def _properties(self, plain_users: Mapping[str, str]) -> dict[str, str]:
        addresses = {name: f"{name}://{HOST}:{port_of(holder)}" for name, holder in self._holders.items()}
        users = " ".join(f'user_{name}="{password}"' for name, password in plain_users.items())
        topics = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        return {
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@{addresses['CONTROLLER'].removeprefix('CONTROLLER://')}",
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in _PROTOCOLS.items()),
            "listeners": ",".join(addresses.values()),
            "advertised.listeners": ",".join(text for name, text in addresses.items() if name != "CONTROLLER"),
            "inter.broker.listener.name": "PLAIN",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            **{f"{topic}.replication.factor": "1" for topic in topics},
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.num.partitions": "4",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._certificates.server().both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._certificates.ca),
            "ssl.principal.mapping.rules": r"RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
            "listener.name.certificate.ssl.client.auth": "required",
            "listener.name.login.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
            "listener.name.login.scram-sha-512.sasl.jaas.config": (
                f"{_LOGIN_MODULES}.scram.ScramLoginModule required;"
            ),
            "listener.name.login.plain.sasl.jaas.config": (
                f"{_LOGIN_MODULES}.plain.PlainLoginModule required {users};"
            ),
        }

    def address(self, listener: str) -> str:
        """Where clients connect: PLAIN, LOGIN or CERTIFICATE."""
        return f"{HOST}:{port_of(self._holders[listener])}"

    @property
    def log(self) -> str:
        """The end of its log."""
        return self._node.last_lines()

    def admin(self) -> AdminClient:
        """A client that may do everything."""
        return AdminClient({"bootstrap.servers": self.address("PLAIN"), "log_level": 0})

    def add_user(self, name: str, password: str) -> None:
        """Make a user who logs in by SCRAM-SHA-512."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _SCRAM_ITERATIONS)
        change = UserScramCredentialUpsertion(name, info, password.encode())
        admin = self.admin()  # held on to: its futures end with it
        for future in admin.alter_user_scram_credentials([change]).values():
            future.result(_SECONDS)

    def allow(self, user: str, permissions: Iterable[Permission]) -> None:
        """Give a user these permissions and no others, and return when the broker goes by them."""
        admin = self.admin()
        wanted = [permission.to(user) for permission in permissions]
        none: Any = None  # for "whatever it is", which the stubs do not know
        kind, pattern, allow = ResourceType.ANY, ResourcePatternType.ANY, AclPermissionType.ANY
        whose = AclBindingFilter(kind, none, pattern, f"User:{user}", none, AclOperation.ANY, allow)
        admin.delete_acls([whose])[whose].result(_SECONDS)
        if wanted:
            for future in admin.create_acls(wanted).values():
                future.result(_SECONDS)
        until(
            f"the broker knows what {user} may",
            lambda: len(admin.describe_acls(whose).result(_SECONDS)) == len(set(map(str, wanted))),
        )

    def allow_all(self, user: str) -> None:
        """Let a user do anything with topics, groups and transactions."""
        kinds = ("TOPIC", "GROUP", "TRANSACTIONAL_ID")
        self.allow(user, [Permission(kind, "*", "ALL") for kind in kinds])

    def __enter__(self) -> Self:
        format_data({1: self._node})
        self._node.start()
        try:
            answered("the broker answers", lambda: self.admin().list_topics(timeout=2))
        except BaseException:
            self._node.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._node.kill()
        for holder in self._holders.values():
            holder.close()
