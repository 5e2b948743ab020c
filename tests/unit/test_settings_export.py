"""Settings that are handed on in the environment arrive as they were, whatever else there is."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from atp_stream.settings import Settings
from atp_stream.settings.export import environment_of
from atp_stream.settings.load import load_settings

CHANGED = {
    "kafka": {
        "bootstrap_servers": ["one:9092", "two:9092"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "me",
        "sasl_password": 'all, {of} "it"',
        "start_timeout_seconds": 1.5,
    },
    "registry": {"url": "http://registry:8081/api", "timeout_seconds": 3},
    "topics": {
        "changes": "other.changes",
        "state_partitions": 3,
        "sources": {
            "a.b": {"event": "StockAvailabilityChangedEvent", "keyed_by_item": True},
            "A.C": {"event": "ReservationCreatedEvent", "encoding": "json"},
            "d": {"event": "ReservationReleasedEvent"},
        },
    },
    "channels": ["POS", "Größe, 大"],
    "policy": {
        "version": "2",
        "safety_stock": "12.50",
        "channels": {"POS": {"protected": "0.10"}, "Größe, 大": {"limit": "9999999999999999.99"}},
    },
    "worker": {"emit": "latest_per_batch", "log_format": "json"},
    "web": {"port": 0},
}


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    file = tmp_path / "nothing.toml"
    file.write_text("")
    return file


def test_they_arrive_as_they_were(empty: Path) -> None:
    settings = Settings.model_validate(CHANGED)
    assert load_settings(environment=environment_of(settings, empty, {})).settings == settings


def test_a_path_arrives_from_wherever_it_was_meant(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = environment_of(Settings().replaced({"worker.data_dir": Path("here")}), empty, {})
    assert load_settings(environment=environment).settings.worker.data_dir == tmp_path / "here"


def test_what_has_its_default_stays_a_default(empty: Path) -> None:
    environment = environment_of(Settings(), empty, {})
    assert environment == {"ATP_CONFIG": str(empty)}
    assert load_settings(environment=environment).origin("web.port").kind == "default"


def test_files_and_variables_that_the_settings_came_from_do_not_count_again(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "local.toml").write_text('[policy]\nsafety_stock = "7"\n')
    base = {"ATP_POLICY__VERSION": "9", "ATP_CONFIG": "gone.toml", "ATP_LOCAL_DIR": "/place", "PATH": "/bin"}
    environment = environment_of(Settings(), empty, base)
    assert environment == {"ATP_CONFIG": str(empty), "ATP_LOCAL_DIR": "/place", "PATH": "/bin"}
    assert load_settings(environment=environment).settings.policy.safety_stock == Decimal(0)


def test_a_secret_is_handed_on_in_clear(empty: Path) -> None:
    settings = Settings().replaced({"registry.password": SecretStr("secret")})
    assert environment_of(settings, empty, {})["ATP_REGISTRY__PASSWORD"] == "secret"
