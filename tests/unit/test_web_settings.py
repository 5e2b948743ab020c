"""Settings of the web server: nobody gets in by a setting that was forgotten, and each refusal names what to change."""

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import trustme

from atp_stream.errors import ConfigurationError, SettingsError
from atp_stream.settings import WebSettings
from atp_stream.settings.load import load_settings
from atp_stream.settings.web_checks import is_loopback, web_checks
from atp_stream.web.api import open_forwarding
from atp_stream.web.credentials import tls_context

JWT = {"auth": "jwt", "jwt_issuer": "https://i", "jwt_audience": "a", "jwt_keys": "keys.json"}


def found(**settings: Any) -> list[tuple[str | None, str]]:
    return [(error.setting, str(error.fix)) for _, error in web_checks(WebSettings(**settings))]


def test_by_default_it_is_on_loopback_without_authentication() -> None:
    web = WebSettings()
    assert (web.host, web.auth, web.insecure, web.url) == ("127.0.0.1", "off", False, "http://127.0.0.1:6066")
    assert found() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_given_an_address_of_loopback_then_no_authentication_is_needed(host: str) -> None:
    assert is_loopback(host)
    assert found(host=host) == []


@pytest.mark.parametrize("host", ["10.0.0.1", "worker-1", "localhost.example.com", "2001:db8::1", "127.0.0.1.nip.io"])
def test_given_any_other_address_then_it_takes_authentication_or_the_explicit_flag(host: str) -> None:
    assert not is_loopback(host)
    ((setting, fix),) = found(host=host)
    assert setting == "web.auth"
    assert "web.auth" in fix
    assert "web.insecure = true" in fix
    assert found(host=host, insecure=True) == []
    assert found(host=host, auth="tokens", tokens_file="t.toml") == []
    assert found(host=host, **JWT) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_given_all_addresses_then_it_must_be_said_how_others_reach_this_worker(host: str) -> None:
    assert [setting for setting, _ in found(host=host, insecure=True)] == ["web.advertised_url"]
    assert found(host=host, insecure=True, advertised_url="http://10.0.0.7:6066") == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"auth": "tokens"}, ["web.tokens_file"]),
        ({"auth": "jwt"}, ["web.jwt_issuer", "web.jwt_audience", "web.jwt_keys"]),
        ({"jwt_issuer": "https://i"}, ["web.jwt_issuer"]),
        ({"tokens_file": "t.toml"}, []),  # `atp-stream tokens` makes it before it is used
        ({**JWT, "jwt_keys": "http://login.example.com/keys"}, ["web.jwt_keys"]),
        ({**JWT, "jwt_keys": "ftp://127.0.0.1/keys"}, ["web.jwt_keys"]),
        ({**JWT, "jwt_keys": "https://[::1/keys"}, ["web.jwt_keys"]),
        ({**JWT, "jwt_keys": "https:///keys"}, ["web.jwt_keys"]),
        ({**JWT, "jwt_keys": "http://127.0.0.1:1/keys"}, []),
        ({**JWT, "jwt_keys": "https://login.example.com/keys"}, []),
        ({"tls_certificate": __file__}, ["web.tls_key"]),
        ({"tls_key": __file__}, ["web.tls_certificate"]),
    ],
)
def test_given_a_part_of_what_belongs_together_then_the_missing_part_is_named(
    settings: dict[str, Any], expected: list[str]
) -> None:
    assert [setting for setting, _ in found(**settings)] == expected


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"port": 7000}, "http://127.0.0.1:7000"),
        ({"host": "::1"}, "http://[::1]:6066"),
        ({"tls_certificate": __file__, "tls_key": __file__}, "https://127.0.0.1:6066"),
        ({"advertised_url": "https://atp.example.com/"}, "https://atp.example.com"),
    ],
)
def test_the_url_of_a_worker_is_the_advertised_one_else_host_and_port(settings: dict[str, Any], url: str) -> None:
    assert WebSettings(**settings).url == url


@pytest.mark.parametrize(
    "wrong",
    [
        *("atp.example.com", "http://a/b", "http://a?b", "http://u:p@a", "http://a#b", "ftp://a"),
        *("http://:6066", "http://a:0", "http://a:99999", "http://a:b", "http://[::1", "http://[:::]", "http://a\\b"),
    ],
)
def test_given_an_advertised_url_that_is_no_plain_address_then_it_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment={"ATP_CONFIG": "", "ATP_WEB__ADVERTISED_URL": wrong}, config=None)
    assert (caught.value.problems[0].setting or "").startswith("web.advertised_url")


def test_given_a_tokens_file_in_the_home_directory_then_the_worker_reads_what_the_command_wrote() -> None:
    loaded = load_settings(assignments=["web.tokens_file=~/tokens.toml"], environment={})
    assert loaded.settings.web.tokens_file == Path.home() / "tokens.toml"


@pytest.mark.parametrize("wrong", ["", "a b", "http://a", "a/b", "a@b"])
def test_given_a_host_that_is_none_then_it_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(assignments=[f"web.host={wrong}"], environment={})
    assert (caught.value.problems[0].setting or "").startswith("web.host")


def test_given_certificate_files_that_are_none_then_the_start_is_refused(tmp_path: Path) -> None:
    assert tls_context(WebSettings()) is None
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("not a certificate", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        tls_context(WebSettings(tls_certificate=wrong, tls_key=wrong))
    assert caught.value.setting == "web.tls_certificate"


def test_given_an_authority_for_the_other_workers_that_is_none_then_the_start_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("not a certificate", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        open_forwarding(MagicMock(), wrong)
    assert caught.value.setting == "client.ca_location"


def test_given_a_certificate_then_no_old_protocol_is_spoken(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made.cert_chain_pems[0].write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    context = tls_context(WebSettings(tls_certificate=certificate, tls_key=key))
    assert context is not None
    assert context.minimum_version.name == "TLSv1_2"
