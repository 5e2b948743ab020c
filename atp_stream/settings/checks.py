"""What settings must be towards each other. Each check names the settings it looked at and the one to change."""

from collections.abc import Iterator
from typing import get_args

from atp_stream.errors import ConfigurationError
from atp_stream.settings import InputEvent, KafkaSettings, RegistrySettings, Settings
from atp_stream.settings.names import env_name, name_of, path_of
from atp_stream.settings.web_checks import web_checks

Check = tuple[tuple[str, ...], ConfigurationError]


def cross_checks(settings: Settings) -> Iterator[Check]:
    """Yield every contradiction between settings: (names of the settings involved, error)."""
    yield from _kafka(settings.kafka)
    yield from _registry(settings.registry)
    yield from _topics(settings)
    yield from _channels(settings)
    yield from _watchdog(settings)
    yield from web_checks(settings.web)


def _error(names: tuple[str, ...], message: str, cause: str, fix: str) -> Check:
    return names, ConfigurationError(message, cause=cause, setting=names[0], fix=fix)


def _set(name: str) -> str:
    return f"set {name} ({env_name(path_of(name))})"


def _kafka(kafka: KafkaSettings) -> Iterator[Check]:
    protocol = "kafka.security_protocol"
    sasl = {
        "kafka.sasl_mechanism": kafka.sasl_mechanism,
        "kafka.sasl_username": kafka.sasl_username,
        "kafka.sasl_password": kafka.sasl_password,
    }
    for name, value in sasl.items():
        if kafka.security_protocol.startswith("SASL_") and not value:
            yield _error(
                (name, protocol),
                f"{name} is missing",
                f"{protocol} = {kafka.security_protocol} needs a mechanism, a user name and a password",
                _set(name),
            )
        elif value and not kafka.security_protocol.startswith("SASL_"):
            yield _error(
                (name, protocol),
                f"{name} is set but not used",
                f"{protocol} = {kafka.security_protocol} does not log in",
                f"set {protocol} to SASL_SSL or SASL_PLAINTEXT, or remove {name}",
            )
    tls: dict[str, object] = {
        "kafka.ssl_ca_location": kafka.ssl_ca_location,
        "kafka.ssl_certificate_location": kafka.ssl_certificate_location,
        "kafka.ssl_key_location": kafka.ssl_key_location,
        "kafka.ssl_key_password": kafka.ssl_key_password,
    }
    for name, location in tls.items():
        if location and not kafka.security_protocol.endswith("SSL"):
            yield _error(
                (name, protocol),
                f"{name} is set but not used",
                f"{protocol} = {kafka.security_protocol} does not encrypt",
                f"set {protocol} to SSL or SASL_SSL, or remove {name}",
            )
    certificate, key = "kafka.ssl_certificate_location", "kafka.ssl_key_location"
    for present, absent in ((certificate, key), (key, certificate)):
        if tls[present] and not tls[absent]:
            yield _error(
                (absent, present),
                f"{absent} is missing",
                f"{present} is set, and a client certificate needs both files",
                _set(absent),
            )


def _registry(registry: RegistrySettings) -> Iterator[Check]:
    username, password = "registry.username", "registry.password"
    values = {username: registry.username, password: registry.password}
    for present, absent in ((username, password), (password, username)):
        if values[present] and not values[absent]:
            yield _error((absent, present), f"{absent} is missing", f"{present} is set", _set(absent))


def _topics(settings: Settings) -> Iterator[Check]:
    topics = settings.topics
    if topics.changes == topics.dead_letters:
        yield _error(
            ("topics.dead_letters", "topics.changes"),
            f"topics.dead_letters is {topics.dead_letters!r}, as topics.changes is",
            "each needs a topic of its own",
            "give one of them another name",
        )
    for name, used in (("topics.changes", topics.changes), ("topics.dead_letters", topics.dead_letters)):
        if used in topics.sources:
            yield _error(
                (name, "topics.sources"),
                f"{name} is {used!r}, which is also one of topics.sources",
                "what is written there would be read again",
                f"give {name} another name",
            )
    covered = {source.event for source in topics.sources.values()}
    for event in get_args(InputEvent):
        if event not in covered:
            yield _error(
                ("topics.sources",),
                f"no topic of topics.sources carries {event}",
                "topics.sources, when given, replaces the preset topics, and every kind of event needs one",
                f"add a topic with event = {event!r}",
            )


def _channels(settings: Settings) -> Iterator[Check]:
    seen: set[str] = set()
    for channel in settings.channels:
        if channel in seen:
            yield _error(
                ("channels",), f"channels names {channel!r} twice", "each is one channel", "remove one of them"
            )
        seen.add(channel)
    for channel in settings.policy.channels:
        if channel not in seen:
            name = name_of(("policy", "channels", channel))
            yield _error(
                (name, "channels"),
                f"{name} has rules for a channel that is not configured",
                f"channels = {', '.join(settings.channels)}",
                f"add {channel!r} to channels, or remove its rules",
            )


def _watchdog(settings: Settings) -> Iterator[Check]:
    watchdog, timeout = settings.worker.watchdog_seconds, settings.registry.timeout_seconds
    if 0 < watchdog <= timeout:
        yield _error(
            ("worker.watchdog_seconds", "registry.timeout_seconds"),
            f"worker.watchdog_seconds is {watchdog:g}, not longer than registry.timeout_seconds",
            f"a request to the registry may take {timeout:g} s, and a worker that waits for it does not hang",
            f"set worker.watchdog_seconds to more than {timeout:g}, or to 0 for no watchdog",
        )
