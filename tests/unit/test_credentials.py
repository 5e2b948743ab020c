"""Faust's consumer gets the same protocol and login as the other Kafka clients."""

import ssl

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from pydantic import SecretStr

from atp_stream.app import faust_credentials
from atp_stream.settings import KafkaSettings, confluent_config


def test_given_no_encryption_and_no_login_then_there_are_no_credentials() -> None:
    assert faust_credentials(KafkaSettings()) is None


def test_given_tls_then_the_brokers_certificate_is_checked() -> None:
    auth = credentials_to_aiokafka_auth(faust_credentials(KafkaSettings(security_protocol="SSL")))
    assert auth["security_protocol"] == "SSL"
    assert auth["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert auth["ssl_context"].check_hostname


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_given_a_login_then_both_kinds_of_client_use_it(protocol: str, mechanism: str) -> None:
    kafka = KafkaSettings(
        security_protocol=protocol,  # type: ignore[arg-type]
        sasl_mechanism=mechanism,  # type: ignore[arg-type]
        sasl_username="worker",
        sasl_password=SecretStr("secret"),
    )
    auth = credentials_to_aiokafka_auth(faust_credentials(kafka))
    assert auth["security_protocol"] == confluent_config(kafka)["security.protocol"] == protocol
    assert auth["sasl_mechanism"] == confluent_config(kafka)["sasl.mechanism"] == mechanism
    assert (auth["sasl_plain_username"], auth["sasl_plain_password"]) == ("worker", "secret")
    assert (auth["ssl_context"] is not None) == (protocol == "SASL_SSL")
