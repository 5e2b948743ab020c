"""All settings of atp-stream, typed and frozen. How they are read and checked: settings/load.py.

Names are given as SECTION.KEY: `kafka.bootstrap_servers` in a file, `ATP_KAFKA__BOOTSTRAP_SERVERS` in the environment,
`--set kafka.bootstrap_servers=...` on the command line. Building `Settings(...)` in code reads nothing from outside.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from atp_stream.settings.values import (
    ChannelCode,
    ExactQuantity,
    FilePath,
    HostName,
    HostPort,
    Identifier,
    Origin,
    ReadableFile,
    TopicName,
    Url,
    lower,
    upper,
)

InputEvent = Literal["StockAvailabilityChangedEvent", "ReservationCreatedEvent", "ReservationReleasedEvent"]


class Section(BaseModel):
    """A group of settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true where a number belongs: it would be taken for a 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError("a number")
        return value


class KafkaSettings(Section):
    """How to reach Kafka. No bootstrap servers: the cluster that `atp-stream local up` started on this machine.

    start_timeout_seconds: how long a worker waits at its start for a cluster that cannot be reached.
    """

    bootstrap_servers: tuple[HostPort, ...] = ()
    security_protocol: Annotated[Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], BeforeValidator(upper)] = (
        "PLAINTEXT"
    )
    sasl_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None, BeforeValidator(upper)] = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: ReadableFile | None = None
    ssl_certificate_location: ReadableFile | None = None
    ssl_key_location: ReadableFile | None = None
    ssl_key_password: SecretStr | None = None
    start_timeout_seconds: Annotated[float, Field(ge=0, le=3600)] = 30.0


class RegistrySettings(Section):
    """How to reach the schema registry (the Confluent API). No url: that of the local cluster."""

    url: Url | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_location: ReadableFile | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0


class SourceTopic(Section):
    """What an input topic carries. keyed_by_item: by our item keys, in `state_partitions` partitions."""

    event: InputEvent
    encoding: Annotated[Literal["avro", "json"], BeforeValidator(lower)] = "avro"
    keyed_by_item: bool = False


def _core_sources() -> dict[TopicName, SourceTopic]:
    """Inventory Core's topics (design section 2.1)."""
    return {
        "inventory.core.stock-availability.changed": SourceTopic(event="StockAvailabilityChangedEvent"),
        "inventory.core.reservation.created": SourceTopic(event="ReservationCreatedEvent"),
        "inventory.core.reservation.released": SourceTopic(event="ReservationReleasedEvent"),
    }


class TopicSettings(Section):
    """Names and sizes of the topics (design section 2)."""

    changes: TopicName = "atp.changes"
    dead_letters: TopicName = "atp.dead-letters"
    state_partitions: Annotated[int, Field(ge=1, le=1024)] = 12
    replication_factor: Annotated[int, Field(ge=1, le=15)] = 1
    sources: dict[TopicName, SourceTopic] = Field(default_factory=_core_sources)


class ChannelPolicySettings(Section):
    """Rules of one channel. protected: shared quantity kept for it; limit: the most that it may have reserved."""

    protected: ExactQuantity = Decimal(0)
    limit: ExactQuantity | None = None
    on_shortage: Literal["deny"] = "deny"

    @field_validator("on_shortage", mode="before")
    @classmethod
    def _not_yet(cls, value: Any) -> Any:
        if value == "backorder":
            raise ValueError("deny: keeping a reservation waiting (backorder) is not part of this version")
        return value


class PolicySettings(Section):
    """The rules in force (design section 3). Quantities are exact decimals with at most 2 places."""

    version: Identifier = "1"
    safety_stock: ExactQuantity = Decimal(0)
    channels: dict[ChannelCode, ChannelPolicySettings] = Field(default_factory=dict)


class WorkerSettings(Section):
    """The worker process. data_dir None: the first free one of the user's data directory.

    watchdog_seconds: a worker that could go on and has not for so long is ended; 0: never, as under a debugger.
    cloud_events: outputs have the headers of CloudEvents besides their own.
    """

    application_id: Identifier = "atp-stream"
    data_dir: Path | None = None
    emit: Literal["every_change", "latest_per_batch"] = "every_change"
    cloud_events: bool = False
    max_batch_records: Annotated[int, Field(ge=1, le=20_000)] = 5_000
    session_timeout_seconds: Annotated[int, Field(ge=6, le=300)] = 6
    watchdog_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0
    dead_letters_per_minute: Annotated[int, Field(ge=0, le=1_000_000_000)] = 1_000
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = "info"
    log_format: Annotated[Literal["text", "json"], BeforeValidator(lower)] = "text"


class WebSettings(Section):
    """The worker's web server: query API, board, health and metrics (docs/security.md).

    advertised_url: how people and the other workers reach it; not given: host and port. insecure: serve an address that
    is not of loopback without authentication. auth: who is let in. tokens_file: written by `atp-stream tokens`.
    jwt_keys: a file or URL of the issuer's public keys (JWKS). jwt_tenant_claim: the claim that holds the tenant, "*"
    for all. requests_per_second: of one principal.
    """

    host: HostName = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 6066
    advertised_url: Origin | None = None
    insecure: bool = False
    auth: Annotated[Literal["off", "tokens", "jwt"], BeforeValidator(lower)] = "off"
    tokens_file: FilePath | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_keys: str | None = None
    jwt_tenant_claim: str = "tenant"
    jwt_role_claim: str = "role"
    tls_certificate: ReadableFile | None = None
    tls_key: ReadableFile | None = None
    requests_per_second: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    max_connections: Annotated[int, Field(ge=10, le=100_000)] = 500

    @property
    def url(self) -> str:
        """How this worker is reached, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.advertised_url or f"{'https' if self.tls_certificate else 'http'}://{host}:{self.port}"


class ClientSettings(Section):
    """How the commands that look into workers (inspect, items, workers) reach one of them; any one does.

    url None: a worker that runs on this machine. token: where workers ask for one. ca_location: the authority that
    signed the certificates of workers, for https, also where they ask each other; None: those that the system trusts.
    """

    url: Url | None = None
    token: SecretStr | None = None
    ca_location: ReadableFile | None = None


class TelemetrySettings(Section):
    """Traces. otlp_endpoint: the collector's base URL (OTLP over HTTP); None: no traces, and nothing needs installing.

    service_name: what the spans are shown under.
    """

    otlp_endpoint: Url | None = None
    service_name: Identifier = "atp-stream"


class Settings(BaseSettings):
    """Everything that can be set. Built by settings.load.load_settings in the program, by name in tests."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    topics: TopicSettings = Field(default_factory=TopicSettings)
    channels: Annotated[tuple[ChannelCode, ...], Field(min_length=1)] = ("POS", "ECOM", "WHOLESALE", "MARKETPLACE")
    policy: PolicySettings = PolicySettings()
    worker: WorkerSettings = WorkerSettings()
    web: WebSettings = WebSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    client: ClientSettings = ClientSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the outside to load_settings, which also keeps where each value comes from."""
        return (init_settings,)

    def replaced(self, changes: Mapping[str, Any]) -> "Settings":
        """Return a copy with the settings in `changes` ("web.port" -> value) replaced, unchecked."""
        copy = self
        for name, value in changes.items():
            section, key = name.split(".")
            copy = copy.model_copy(update={section: getattr(copy, section).model_copy(update={key: value})})
        return copy


def confluent_config(kafka: KafkaSettings) -> dict[str, str]:
    """Return librdkafka's configuration for this cluster: addresses, protocol, credentials, certificates."""
    values: dict[str, str | Path | SecretStr | None] = {
        "bootstrap.servers": ",".join(kafka.bootstrap_servers),
        "security.protocol": kafka.security_protocol,
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password,
        "ssl.ca.location": kafka.ssl_ca_location,
        "ssl.certificate.location": kafka.ssl_certificate_location,
        "ssl.key.location": kafka.ssl_key_location,
        "ssl.key.password": kafka.ssl_key_password,
    }
    return {
        key: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for key, value in values.items()
        if value is not None
    }
