"""What Kafka's clients say, in plain words: what is wrong, which setting it depends on, and what to do.

librdkafka has one code for all that goes wrong with certificates, and none for a certificate of ours that the broker
refuses: its reason and the alert numbers of TLS (RFC 8446, section 6) tell them apart.
"""

import re
import socket
import ssl

from confluent_kafka import KafkaError

from atp_stream.errors import AppError, ConfigurationError, DataError, PermissionDeniedError, UnavailableError
from atp_stream.settings import KafkaSettings

BOOTSTRAP = "kafka.bootstrap_servers"
PERMISSIONS = 'docs/operations.md, "Permissions"'
_CERTIFICATE = "kafka.ssl_certificate_location"
_PROBE_SECONDS = 3.0
_FORBIDDEN = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_UNREACHABLE = frozenset(
    {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError.REQUEST_TIMED_OUT}
)
#: The broker does not take our certificate: bad, unsupported, revoked, expired, unknown, of an unknown authority, none.
_OURS_REFUSED = re.compile(r"SSL alert number (42|43|44|45|46|48|116)\b")
_THEIRS_REFUSED = "certificate verify failed"
_PROPERTY = re.compile(r"\b(?:ssl|sasl)(?:\.[a-z]+)+")


def is_final(error: KafkaError) -> bool:
    """Return whether asking again is of no use: the login, a certificate, or what is trusted has to be changed."""
    text = error.str()
    return error.code() in _LOGIN or _THEIRS_REFUSED in text or _OURS_REFUSED.search(text) is not None


def user_of(kafka: KafkaSettings) -> tuple[str, str]:
    """Return how to name the user that these settings log in as, and the setting that says so."""
    if kafka.sasl_username is not None:
        return f"user {kafka.sasl_username}", "kafka.sasl_username"
    if kafka.ssl_certificate_location is not None:
        return f"the user of the certificate in {kafka.ssl_certificate_location}", _CERTIFICATE
    return "this user", "kafka.security_protocol"


def described(error: KafkaError, message: str, kafka: KafkaSettings | None) -> AppError:
    """Return the error as one for people. message: what did not work; kafka: the settings it was tried with."""
    cause, code = error.str(), error.code()
    if code in _LOGIN:
        return PermissionDeniedError(
            "Kafka refuses the login",
            cause=cause,
            setting="kafka.sasl_username",
            fix="correct kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password",
        )
    if code in _FORBIDDEN:
        return PermissionDeniedError(
            message,
            cause=cause,
            setting="kafka.sasl_username" if kafka is None else user_of(kafka)[1],
            fix=f"give this user the permissions listed in {PERMISSIONS}",
        )
    if _OURS_REFUSED.search(cause):
        return PermissionDeniedError(
            "Kafka refuses the client certificate",
            cause=cause,
            setting=_CERTIFICATE,
            fix=f"set {_CERTIFICATE} and kafka.ssl_key_location to a certificate that is valid now and signed by an "
            "authority that the brokers trust",
        )
    if _THEIRS_REFUSED in cause:
        return ConfigurationError(
            "the broker's certificate cannot be trusted",
            cause=cause,
            setting="kafka.ssl_ca_location",
            fix="set kafka.ssl_ca_location to the certificate of the authority that signed the brokers' certificates, "
            "and see that these are valid now and for the addresses in use",
        )
    if code == KafkaError._INVALID_ARG:
        return _unusable(message, cause)
    if code == KafkaError._SSL:
        return UnavailableError(
            message,
            cause=cause,
            setting="kafka.ssl_ca_location",
            fix="correct kafka.security_protocol, kafka.ssl_ca_location and the client certificate",
        )
    if code in _UNREACHABLE:
        protocol = f" (kafka.security_protocol is {kafka.security_protocol})" if kafka else ""
        return UnavailableError(
            message,
            cause=cause + protocol,
            setting=BOOTSTRAP,
            fix="run `atp-stream doctor`; check that the listener speaks this security protocol",
        )
    return DataError(message, cause=f"{error.name()}: {cause}", fix="run `atp-stream doctor`")


def _unusable(message: str, cause: str) -> AppError:
    """Describe a property that librdkafka does not take: mostly a file that is not what it should be."""
    found = _PROPERTY.search(cause)
    setting = None if found is None else f"kafka.{found[0].replace('.', '_')}"
    more = " and kafka.ssl_key_password" if setting == "kafka.ssl_key_location" else ""
    return ConfigurationError(
        message,
        cause=cause,
        setting=setting,
        fix="run `atp-stream doctor`" if setting is None else f"correct {setting}{more}: files are in PEM format",
    )


def plain_at_tls(kafka: KafkaSettings) -> AppError | None:
    """Return the error for a listener that speaks TLS while the settings do not; None: there is none such.

    Only a handshake that goes well counts: a broker that is just starting answers nothing at all.
    """
    if kafka.security_protocol.endswith("SSL"):
        return None
    for address in kafka.bootstrap_servers:
        host, _, port = address.rpartition(":")
        if _speaks_tls(host.strip("[]"), int(port)):
            return ConfigurationError(
                "Kafka's listener wants TLS",
                cause=f"{address} speaks TLS, and kafka.security_protocol is {kafka.security_protocol}",
                setting="kafka.security_protocol",
                fix="set kafka.security_protocol (ATP_KAFKA__SECURITY_PROTOCOL) to SSL or SASL_SSL",
            )
    return None


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent: only the protocol is asked
    try:
        with (
            socket.create_connection((host, port), timeout=_PROBE_SECONDS) as connection,
            context.wrap_socket(connection),
        ):
            return True
    except OSError:
        return False
