"""Speaking Kafka with one broker at its own address: TLS, login, and which requests it understands."""

import asyncio
import logging
import ssl
from collections.abc import Iterator
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from atp_stream.admin.doctor_finding import Finding, failed
from atp_stream.admin.kafka import Cluster, Listener, advertised_error, dial
from atp_stream.admin.kafka_errors import BOOTSTRAP
from atp_stream.errors import AppError, ConfigurationError, UnavailableError
from atp_stream.settings import KafkaSettings

# TxnOffsetCommit carries group, generation and member from version 3 on (KIP-447, Kafka 2.5).
_TXN_OFFSET_COMMIT, NEEDED_VERSION = 28, 3
_TIMEOUT_SECONDS = 10


def examine_listeners(kafka: KafkaSettings, cluster: Cluster) -> Iterator[Finding]:
    """Dial every advertised listener, and ask it whether it knows what exactly-once needs."""
    for listener in cluster.listeners:
        name = f"broker {listener.broker} at its advertised address {listener}"
        failure = dial(listener.host, listener.port)
        if failure is not None:
            yield failed("listener", advertised_error(listener, failure, kafka))
            continue
        try:
            version = txn_offset_commit_version(kafka, listener)
        except AppError as error:
            yield failed("listener", error)
            continue
        if version < NEEDED_VERSION:
            yield Finding(
                "listener",
                "fail",
                f"{name} is too old for exactly-once by consumer group (KIP-447)",
                "use Kafka 2.5 or newer",
                ConfigurationError.exit_code,
            )
        else:
            yield Finding("listener", "ok", f"{name} answers, and supports KIP-447 (TxnOffsetCommit v{version})")


def txn_offset_commit_version(kafka: KafkaSettings, listener: Listener) -> int:
    """Return the newest version of TxnOffsetCommit that a broker knows, asked at its advertised address; -1: none.

    UnavailableError: it does not answer as a Kafka broker would; ConfigurationError: a certificate file is wrong.
    """
    # The failure is what we return; the library also logs it.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        versions = asyncio.run(_versions(kafka, listener))
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"TLS with broker {listener.broker} at {listener} fails",
            cause=str(error.reason or error),
            setting="kafka.ssl_ca_location",
            fix="correct kafka.ssl_ca_location and the client certificate",
        ) from None
    except (KafkaError, OSError, TimeoutError) as error:
        raise UnavailableError(
            f"broker {listener.broker} does not answer at its advertised address {listener}",
            cause=str(error) or type(error).__name__,
            setting=BOOTSTRAP,
            fix="let advertised.listeners name a listener with the protocol in kafka.security_protocol",
        ) from None
    return int(versions.get(_TXN_OFFSET_COMMIT, (-1, -1))[1])


async def _versions(kafka: KafkaSettings, listener: Listener) -> dict[int, tuple[int, int]]:
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = create_ssl_context(
            cafile=_text(kafka.ssl_ca_location),
            certfile=_text(kafka.ssl_certificate_location),
            keyfile=_text(kafka.ssl_key_location),
            password=kafka.ssl_key_password.get_secret_value() if kafka.ssl_key_password else None,
        )
    connection: Any = await asyncio.wait_for(
        create_conn(
            listener.host,
            listener.port,
            request_timeout_ms=_TIMEOUT_SECONDS * 1000,
            ssl_context=context,
            security_protocol=kafka.security_protocol,
            sasl_mechanism=kafka.sasl_mechanism,
            sasl_plain_username=kafka.sasl_username,
            sasl_plain_password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
        ),
        _TIMEOUT_SECONDS,
    )
    try:
        versions: dict[int, tuple[int, int]] = connection._versions
        return versions
    finally:
        connection.close()


def _text(value: object) -> str | None:
    return None if value is None else str(value)
