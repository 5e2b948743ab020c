"""Settings: precedence and origin of values, and every wrong one named with its place and fix."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from atp_stream.errors import ConfigurationError, SettingsError, UsageError
from atp_stream.settings import (
    ChannelPolicySettings,
    KafkaSettings,
    PolicySettings,
    Settings,
    SourceTopic,
    WorkerSettings,
    confluent_config,
)
from atp_stream.settings.load import REDACTED, Flag, LoadedSettings, load_settings
from atp_stream.settings.policy import hundredths, to_policy


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str | None = None, environment: Mapping[str, str] | None = None, **options: Any) -> LoadedSettings:
    config = None
    if text is not None:
        config = Path("atp.toml")
        config.write_text(text, encoding="utf-8")
    return load_settings(config, environment=environment or {}, **options)


def problems(text: str | None = None, environment: Mapping[str, str] | None = None, **options: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(text, environment, **options)
    return [f"{one.message} | {one.cause} | {one.setting} | {one.fix}" for one in caught.value.problems]


def test_without_any_source_everything_has_a_default() -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert loaded.file is None
    assert {origin.kind for _, _, origin in loaded.shown()} == {"default"}


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default() -> None:
    text = '[worker]\nlog_level = "debug"\nemit = "latest_per_batch"\n[web]\nport = 7000\n'
    environment = {"ATP_WORKER__LOG_LEVEL": "warning", "ATP_WEB__PORT": "7001"}
    loaded = load(text, environment, flags=[Flag("web.port", 7002, "--web-port")])
    worker = loaded.settings.worker
    assert (loaded.settings.web.port, worker.log_level, worker.emit) == (7002, "warning", "latest_per_batch")
    assert str(loaded.origin("web.port")) == "--web-port"
    assert str(loaded.origin("worker.log_level")) == "ATP_WORKER__LOG_LEVEL in the environment"
    assert str(loaded.origin("worker.emit")) == "atp.toml:3"
    assert str(loaded.origin("worker.log_format")) == "default"


def test_config_local_toml_is_read_where_nothing_is_named_and_atp_config_names_another() -> None:
    Path("config").mkdir()
    Path("config/local.toml").write_text('[policy]\nversion = "here"\n', encoding="utf-8")
    Path("other.toml").write_text('[policy]\nversion = "other"\n', encoding="utf-8")
    assert load().settings.policy.version == "here"
    assert load(environment={"ATP_CONFIG": "other.toml"}).settings.policy.version == "other"
    assert load('[policy]\nversion = "flag"\n', {"ATP_CONFIG": "other.toml"}).settings.policy.version == "flag"


def test_lists_and_groups_can_be_given_in_the_environment() -> None:
    environment = {
        "ATP_KAFKA__BOOTSTRAP_SERVERS": "a:1, b:2",
        "ATP_CHANNELS": '["POS", "web shop"]',
        "ATP_POLICY__CHANNELS__POS__LIMIT": "12.50",
        "ATP_POLICY__CHANNELS": '{"web shop": {"protected": 1.10}}',
        "ATP_REGISTRY__URL": "",
    }
    settings = load('[registry]\nurl = "http://r"\n', environment).settings
    assert settings.kafka.bootstrap_servers == ("a:1", "b:2")
    assert settings.channels == ("POS", "web shop")
    assert settings.policy.channels["POS"].limit == Decimal("12.50")
    assert settings.policy.channels["web shop"].protected == Decimal("1.10")
    assert settings.registry.url is None


def test_sources_given_in_a_file_replace_the_preset_ones_and_single_values_can_be_overridden() -> None:
    text = "".join(
        f'[topics.sources."{name}"]\nevent = "{event}"\n'
        for name, event in (
            ("stock.v1", "StockAvailabilityChangedEvent"),
            ("created.v1", "ReservationCreatedEvent"),
            ("released.v1", "ReservationReleasedEvent"),
        )
    )
    settings = load(text, assignments=['topics.sources."created.v1".encoding=JSON']).settings
    assert dict(settings.topics.sources) == {
        "stock.v1": SourceTopic(event="StockAvailabilityChangedEvent"),
        "created.v1": SourceTopic(event="ReservationCreatedEvent", encoding="json"),
        "released.v1": SourceTopic(event="ReservationReleasedEvent"),
    }


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("[kafka]\nbootstrap_server = []\n", {}, "unknown setting kafka.bootstrap_server"),
        ("[kafak]\nx = 1\n", {}, "unknown setting kafak"),
        ("[policy.channels.POS]\nlimits = 1\n", {}, "did you mean policy.channels.POS.limit"),
        ("", {"ATP_WEB__PROT": "1"}, "did you mean ATP_WEB__PORT"),
        ("", {"ATP_WEB__PORT__X": "1"}, "unknown setting ATP_WEB__PORT__X"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_known_ones(
    text: str, environment: dict[str, str], expected: str
) -> None:
    (problem,) = problems(text, environment)
    assert expected in problem


def test_variables_that_kubernetes_adds_for_a_service_of_our_name_are_not_settings() -> None:
    environment = {
        "ATP_SERVICE_HOST": "10.0.0.1",
        "ATP_STREAM_SERVICE_PORT_HTTP": "80",
        "ATP_STREAM_PORT": "tcp://10.0.0.1:80",
        "ATP_STREAM_PORT_80_TCP_ADDR": "10.0.0.1",
        "ATP_CACHE_DIR": "x",
    }
    assert load(environment=environment).settings == Settings()


def test_all_wrong_settings_are_listed_at_once_with_their_places() -> None:
    text = (
        '[kafka]\nsecurity_protocol = "SSLX"\n[topics]\nstate_partitions = "many"\nchanges = "a b"\n'
        '[policy]\nsafety_stock = "1.234"\n[policy.channels.NEW]\nlimit = 1\n'
    )
    found = problems(text, {"ATP_WORKER__EMIT": "never"}, assignments=["registry.username=me"])
    assert [line.split(" ")[0] for line in found] == [
        "kafka.security_protocol",
        "topics.changes",
        "topics.state_partitions",
        "policy.safety_stock",
        "worker.emit",
        "registry.password",
        "policy.channels.NEW",
    ]
    assert "'SSLX'" in found[0]
    assert "(atp.toml:2)" in found[0]
    assert "ATP_WORKER__EMIT in the environment" in found[4]


@pytest.mark.parametrize("value", ["1.005", "-1", "1e3", "nan", "inf", "true", '"1,5"', '""', "99999999999999999"])
def test_a_quantity_that_is_not_exact_to_two_places_is_refused(value: str) -> None:
    (problem,) = problems(f"[policy]\nsafety_stock = {value}\n")
    assert "policy.safety_stock" in problem
    assert "at most 2 decimal places" in problem


def test_a_float_is_refused_even_when_it_looks_exact() -> None:
    with pytest.raises(ValidationError, match="exact number"):
        PolicySettings(safety_stock=12.5)  # type: ignore[arg-type]


@given(st.integers(min_value=0, max_value=10**18 - 1))
def test_quantities_become_hundredths_exactly(value: int) -> None:
    policy = PolicySettings(safety_stock=f"{value // 100}.{value % 100:02d}")  # type: ignore[arg-type]
    assert hundredths(policy.safety_stock) == value


def test_the_policy_of_the_domain_is_in_hundredths() -> None:
    text = '[policy]\nversion = "7"\nsafety_stock = 2.5\n[policy.channels.POS]\nprotected = "1.10"\nlimit = 3\n'
    policy = to_policy(load(text).settings)
    assert (policy.version, policy.safety_stock) == ("7", 250)
    assert (policy.by_channel["POS"].protected, policy.by_channel["POS"].limit) == (110, 300)
    assert policy.channels == ("POS", "ECOM", "WHOLESALE", "MARKETPLACE")


def test_backorder_is_refused_as_not_yet_built() -> None:
    (problem,) = problems('[policy.channels.POS]\non_shortage = "backorder"\n')
    assert "not part of this version" in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[kafka]\nsecurity_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\n', "kafka.sasl_username is missing"),
        ('[kafka]\nsasl_password = "s3cret"\n', "kafka.sasl_password is set but not used"),
        ('[kafka]\nssl_ca_location = "atp.toml"\n', "kafka.ssl_ca_location is set but not used"),
        (
            '[kafka]\nsecurity_protocol = "SSL"\nssl_key_location = "atp.toml"\n',
            "kafka.ssl_certificate_location is missing",
        ),
        ('[kafka]\nsecurity_protocol = "SSL"\nssl_ca_location = "gone.pem"\n', "no such file or directory"),
        ('[topics]\ndead_letters = "atp.changes"\n', "topics.dead_letters is 'atp.changes', as topics.changes is"),
        ('[topics]\nchanges = "inventory.core.reservation.created"\n', "which is also one of topics.sources"),
        ('[topics.sources.x]\nevent = "ReservationCreatedEvent"\n', "no topic of topics.sources carries Stock"),
        ('[topics.sources.x]\nencoding = "avro"\n', "topics.sources.x.event is missing"),
        ("channels = []\n", "a list of at least 1"),
        ('channels = ["POS", "POS"]\n', "channels names 'POS' twice"),
        ('channels = [" POS"]\n', "without spaces around them"),
        ("[worker]\nsession_timeout_seconds = 5\n", "6 or more"),
        ("[web]\nport = 70000\n", "65535 or less"),
        ("worker = 3\n", "worker is a group of settings"),
        ('[kafka]\nbootstrap_servers = ["host"]\n', "one or more HOST:PORT"),
        ('[kafka]\nbootstrap_servers = "host:1"\n', "it must be a list"),
        ('[registry]\nurl = "registry:8081"\n', "http://HOST[:PORT]"),
    ],
)
def test_a_contradiction_or_impossible_value_is_named(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(text))


def test_secrets_are_shown_nowhere() -> None:
    secret = "s3cret-" * 3
    text = '[kafka]\nsecurity_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\nsasl_username = "u"\n'
    loaded = load(f'{text}sasl_password = "{secret}"\n')
    shown = {name: value for name, value, _ in loaded.shown()}
    assert shown["kafka.sasl_password"] == REDACTED
    assert secret not in f"{loaded.settings!r}{loaded.settings.model_dump_json()}"
    assert confluent_config(loaded.settings.kafka)["sasl.password"] == secret


def test_a_wrong_secret_and_a_url_with_a_password_are_not_shown() -> None:
    found = problems(
        "[kafka]\nsasl_password = 12345678\n", {"ATP_REGISTRY__URL": "http://me:s3cret@host", "ATP_KAFKA__S3CRET": "x"}
    )
    assert len(found) == 3
    assert not any("12345678" in problem or "s3cret" in problem for problem in found)


@pytest.mark.parametrize("assignment", ["worker.emit", "a b=s3cret", "=s3cret", "s3cret.=s3cret", ""])
def test_an_assignment_that_is_none_is_refused_without_its_value(assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(assignments=[assignment])
    assert "=s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"[kafka\n", "at line 1"), (b"\xff\xfe", "not UTF-8"), (b"a = 1\na = 2\n", "at line 2"), (None, "no such file")],
)
def test_a_settings_file_that_cannot_be_read_is_named(content: bytes | None, expected: str) -> None:
    path = Path("broken.toml")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, environment={})
    assert "broken.toml" in caught.value.message
    assert expected in caught.value.cause


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().web.port = 1


def test_settings_built_in_code_read_nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATP_WEB__PORT", "1")
    monkeypatch.setenv("WEB", '{"port": 2}')
    settings = Settings(worker=WorkerSettings(emit="latest_per_batch"))
    assert settings.web.port == 6066


def test_replaced_changes_single_settings_of_a_copy() -> None:
    settings = Settings()
    changed = settings.replaced({"web.port": 1, "kafka.bootstrap_servers": ("a:1",)})
    assert (changed.web.port, changed.kafka.bootstrap_servers) == (1, ("a:1",))
    assert settings == Settings()


def test_librdkafka_gets_only_what_is_set() -> None:
    assert confluent_config(KafkaSettings(bootstrap_servers=("a:1", "b:2"))) == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "PLAINTEXT",
    }
    full = KafkaSettings(
        bootstrap_servers=("a:1",),
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="u",
        sasl_password=SecretStr("p"),
    )
    assert confluent_config(full)["sasl.mechanism"] == "SCRAM-SHA-512"


@pytest.mark.parametrize("name", ["local", "test", "production"])
def test_the_files_of_the_repository_are_valid(name: str) -> None:
    config = Path(__file__).parents[2] / "config" / f"{name}.toml"
    environment = {
        "ATP_KAFKA__SASL_USERNAME": "u",
        "ATP_KAFKA__SASL_PASSWORD": "p",
    }
    settings = load_settings(config, environment=environment if name == "production" else {}).settings
    assert settings.channels == Settings().channels
    assert dict(settings.topics.sources) == dict(Settings().topics.sources)
    assert settings.topics.replication_factor == (3 if name == "production" else 1)


def test_a_channel_policy_has_no_limit_unless_one_is_set() -> None:
    assert ChannelPolicySettings() == ChannelPolicySettings(protected=Decimal(0), limit=None, on_shortage="deny")


def test_a_watchdog_that_would_not_outlast_a_request_to_the_registry_is_named_and_none_is_allowed() -> None:
    for seconds in ("5", "10"):
        (found,) = problems(environment={"ATP_WORKER__WATCHDOG_SECONDS": seconds})
        assert f"worker.watchdog_seconds is {seconds}, not longer than registry.timeout_seconds" in found
        assert "set worker.watchdog_seconds to more than 10" in found
    assert load(environment={"ATP_WORKER__WATCHDOG_SECONDS": "11"}).settings.worker.watchdog_seconds == 11
    assert load(environment={"ATP_WORKER__WATCHDOG_SECONDS": "0"}).settings.worker.watchdog_seconds == 0
