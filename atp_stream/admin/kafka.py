"""Reaching a Kafka cluster for administration, and saying in plain words why it did not work."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from atp_stream.admin.kafka_errors import BOOTSTRAP, described, is_final, plain_at_tls
from atp_stream.errors import AppError, UnavailableError
from atp_stream.settings import KafkaSettings, confluent_config

_K = TypeVar("_K")
TIMEOUT_SECONDS = 30.0
_DIAL_SECONDS = 3.0
#: A plain listener that is only slow is not bothered with TLS.
_PROBED_AFTER = 2


@dataclass(frozen=True, slots=True)
class Listener:
    """An address under which a broker says it can be reached (`advertised.listeners`)."""

    broker: int
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A connected admin client and the brokers' advertised listeners."""

    admin: AdminClient
    listeners: tuple[Listener, ...]


def dial(host: str, port: int) -> str | None:
    """Open and close a TCP connection. None: it works; otherwise why it does not."""
    try:
        socket.create_connection((host.strip("[]"), port), timeout=_DIAL_SECONDS).close()
    except TimeoutError:
        return f"no answer within {_DIAL_SECONDS:.0f} s"
    except socket.gaierror:
        return "host name not known"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def connect(kafka: KafkaSettings, timeout_seconds: float = 10.0) -> Cluster:
    """Log in and ask for the brokers.

    UnavailableError, PermissionDeniedError, ConfigurationError: why that did not work.
    """
    failures = []
    for address in kafka.bootstrap_servers:
        host, _, port = address.rpartition(":")
        failure = dial(host, int(port))
        if failure is None:
            break
        failures.append(f"{address}: {failure}")
    else:
        raise UnavailableError(
            "Kafka cannot be reached",
            cause="; ".join(failures),
            setting=BOOTSTRAP,
            fix="start the broker, or correct kafka.bootstrap_servers (ATP_KAFKA__BOOTSTRAP_SERVERS)",
        )
    seen: list[KafkaError] = []
    config: dict[str, Any] = {**confluent_config(kafka), "log_level": 0, "error_cb": seen.append}
    config |= {"socket.connection.setup.timeout.ms": 5_000, "reconnect.backoff.ms": 250}
    try:
        admin = AdminClient(config)
    except KafkaException as error:
        raise described(error.args[0], "Kafka's client cannot be built", kafka) from None
    deadline, failed = time.monotonic() + timeout_seconds, 0
    while True:
        try:
            metadata = admin.list_topics(timeout=1.0)
            break
        except KafkaException as error:
            admin.poll(0)
            final = [one for one in seen if is_final(one)]
            failed += 1
            if not final and failed == _PROBED_AFTER and (wants_tls := plain_at_tls(kafka)) is not None:
                raise wants_tls from None
            if final or time.monotonic() > deadline:
                reason = (final or [one for one in seen if one.code() != KafkaError._ALL_BROKERS_DOWN])[:1]
                raise described(reason[0] if reason else error.args[0], "Kafka does not answer", kafka) from None
    return Cluster(
        admin,
        tuple(Listener(b.id, str(b.host), b.port) for b in sorted(metadata.brokers.values(), key=lambda b: b.id)),
    )


def require_advertised(cluster: Cluster, kafka: KafkaSettings) -> None:
    """Raise UnavailableError where a broker gives an address that cannot be reached: only bootstrapping would work."""
    for listener in cluster.listeners:
        failure = dial(listener.host, listener.port)
        if failure is not None:
            raise advertised_error(listener, failure, kafka)


def advertised_error(listener: Listener, failure: str, kafka: KafkaSettings) -> AppError:
    """Describe a broker whose advertised address cannot be reached from here."""
    return UnavailableError(
        f"broker {listener.broker} cannot be reached at its advertised address {listener}",
        cause=f"{failure}; {', '.join(kafka.bootstrap_servers)} answers, but tells clients to go on with {listener}",
        setting=BOOTSTRAP,
        fix="set advertised.listeners of the broker to an address that this machine can reach",
    )


def admin_call(call: Callable[[], dict[_K, "Future[Any]"]], doing: str) -> dict[_K, "Future[Any]"]:
    """Make a call that answers with one future per topic. AppError: it failed before; doing: as in `kafka_error`."""
    try:
        return call()
    except KafkaException as error:
        raise kafka_error(error, doing) from None


def kafka_error(error: KafkaException, doing: str) -> AppError:
    """Turn a failed admin call into an error that says what to do. doing: "topic x cannot be described"."""
    return described(error.args[0], doing, None)
