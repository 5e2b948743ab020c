"""Checks of everything a worker needs, each with one fix. Nothing is changed; what cannot be asked is not checked.

A check looks at one thing and yields findings. Those that need a cluster follow the one that reaches it, and are left
out when that fails: the first cause is what has to be put right.
"""

import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from atp_stream import data_dir, doctor_listeners, registry_access, topics
from atp_stream.errors import AppError, ConfigurationError, UnavailableError
from atp_stream.kafka_admin import Cluster, advertised_error, connect, dial
from atp_stream.resolve import with_cluster
from atp_stream.settings import Settings
from atp_stream.settings_load import LoadedSettings
from atp_stream.web_port import is_free

# What the worker does with a topic of each role (Kafka's names of operations).
_NEEDED = {
    "input": frozenset({"READ", "DESCRIBE"}),
    "internal": frozenset({"READ", "WRITE", "DESCRIBE"}),
    "changelog": frozenset({"READ", "WRITE", "DESCRIBE"}),
    "output": frozenset({"WRITE", "DESCRIBE"}),
}
# Open files of RocksDB per partition, and those of connections and the program itself.
_FILES_PER_PARTITION, _FILES_BESIDE = 64, 256


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. exit_code: of a failure, by kind (errors.py); 0 otherwise."""

    check: str
    status: Literal["ok", "warn", "fail"]
    message: str
    fix: str | None = None
    exit_code: int = 0


def examine(loaded: LoadedSettings) -> Iterator[Finding]:
    """Run all checks, in the order in which a worker would meet what they look at."""
    yield Finding("settings", "ok", f"valid ({loaded.file or 'no file'})")
    for check in (_open_files, _data_dir, _web_port):
        yield from _caught(check.__name__, lambda check=check: check(loaded))  # type: ignore[misc]
    try:
        settings = with_cluster(loaded.settings, registry=False)
        cluster = connect(settings.kafka)
    except AppError as error:
        yield _failed("kafka", error)
    else:
        yield Finding("kafka", "ok", f"reached through {', '.join(settings.kafka.bootstrap_servers)}")
        listeners = list(_listeners(settings, cluster))
        yield from listeners
        # Admin calls go to advertised addresses: without those they would only time out.
        if not any(finding.status == "fail" for finding in listeners):
            yield from _caught("topics", lambda: _topics(settings, cluster))
    yield from _caught("registry", lambda: _registry(loaded.settings))


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 69 where something cannot be reached, else 78 where something fails, else 0."""
    codes = {finding.exit_code for finding in findings if finding.status == "fail"}
    if UnavailableError.exit_code in codes:
        return UnavailableError.exit_code
    return ConfigurationError.exit_code if codes else 0


def failed_settings(error: AppError) -> list[Finding]:
    """Return wrong settings as findings."""
    problems = getattr(error, "problems", (error,))
    return [_failed("settings", problem) for problem in problems]


def _failed(check: str, error: AppError) -> Finding:
    return Finding(check, "fail", f"{error.message}: {error.cause}", error.fix, error.exit_code)


def _caught(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except AppError as error:
        yield _failed(name.lstrip("_"), error)


def _open_files(loaded: LoadedSettings) -> Iterator[Finding]:
    needed = _FILES_BESIDE + _FILES_PER_PARTITION * loaded.settings.topics.state_partitions
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield Finding("open_files", "ok", f"{soft} files may be open, {needed} are needed")
    else:
        yield Finding(
            "open_files",
            "warn",
            f"{soft} files may be open, and a worker with every partition needs {needed}",
            f"raise the limit before the start: ulimit -n {needed}",
        )


def _data_dir(loaded: LoadedSettings) -> Iterator[Finding]:
    configured = loaded.settings.worker.data_dir
    if configured is not None:
        held_by = data_dir.holder(configured.expanduser())
        if held_by is not None:
            yield Finding(
                "data_dir",
                "fail",
                f"{configured} is held by {held_by}",
                "stop that worker, or leave worker.data_dir unset: a free directory is then chosen",
                ConfigurationError.exit_code,
            )
            return
    with data_dir.held(configured) as directory:
        yield Finding("data_dir", "ok", f"{directory} is free and can be written")


def _web_port(loaded: LoadedSettings) -> Iterator[Finding]:
    host, port = loaded.settings.worker.web_host, loaded.settings.worker.web_port
    if not port or is_free(host, port):
        yield Finding("web_port", "ok", f"{host}:{port} is free" if port else "any free port")
    elif loaded.origin("worker.web_port").kind == "default":
        yield Finding("web_port", "ok", f"{host}:{port} is taken; a worker chooses a free one")
    else:
        yield Finding(
            "web_port",
            "fail",
            f"{host}:{port} is taken",
            "stop the program that listens there, or leave worker.web_port unset",
            ConfigurationError.exit_code,
        )


def _listeners(settings: Settings, cluster: Cluster) -> Iterator[Finding]:
    for listener in cluster.listeners:
        name = f"broker {listener.broker} at its advertised address {listener}"
        failure = dial(listener.host, listener.port)
        if failure is not None:
            yield _failed("listener", advertised_error(listener, failure, settings.kafka))
            continue
        try:
            version = doctor_listeners.txn_offset_commit_version(settings.kafka, listener)
        except AppError as error:
            yield _failed("listener", error)
            continue
        if version < doctor_listeners.NEEDED_VERSION:
            yield Finding(
                "listener",
                "fail",
                f"{name} is too old for exactly-once by consumer group (KIP-447)",
                "use Kafka 2.5 or newer",
                ConfigurationError.exit_code,
            )
        else:
            yield Finding("listener", "ok", f"{name} answers, and supports KIP-447 (TxnOffsetCommit v{version})")


def _topics(settings: Settings, cluster: Cluster) -> Iterator[Finding]:
    specs = topics.specs(settings)
    states = topics.describe(cluster.admin, [spec.name for spec in specs])
    differences = topics.compare(specs, states, topics.any_count(settings)).differences
    for difference in differences:
        found = f"{difference.topic}: {difference.what} is {difference.found}, not {difference.expected}"
        if difference.what == "missing":
            found = f"{difference.topic} is missing"
        yield Finding("topics", "fail", found, difference.fix, ConfigurationError.exit_code)
    if not differences:
        yield Finding("topics", "ok", f"{len(specs)} topics are as the catalogue says")
    denied = [
        (spec.name, sorted(_NEEDED[spec.role] - states[spec.name].operations))
        for spec in specs
        if spec.name in states and states[spec.name].operations and _NEEDED[spec.role] - states[spec.name].operations
    ]
    for name, missing in denied:
        yield Finding(
            "acl",
            "fail",
            f"{' and '.join(missing)} on topic {name} is not allowed",
            f"give {settings.kafka.sasl_username or 'this user'} {', '.join(missing)} on topic {name}",
            ConfigurationError.exit_code,
        )
    if states and not denied:
        yield Finding("acl", "ok", "what is needed is allowed on every topic")
    yield from _replication(settings, len(cluster.listeners), states)


def _replication(settings: Settings, brokers: int, states: dict[str, topics.TopicState]) -> Iterator[Finding]:
    wanted = settings.topics.replication_factor
    single = sorted(name for name, state in states.items() if state.replication_factor < min(brokers, 3))
    if wanted > brokers:
        yield Finding(
            "replication",
            "fail",
            f"topics.replication_factor is {wanted}, and there are {brokers} brokers",
            f"set topics.replication_factor to {brokers} or less",
            ConfigurationError.exit_code,
        )
    elif single:
        yield Finding(
            "replication",
            "warn",
            f"fewer than {min(brokers, 3)} replicas, with {brokers} brokers: {', '.join(single)}",
            f"set topics.replication_factor to {min(brokers, 3)}, and reassign the partitions there are",
        )
    elif wanted < min(brokers, 3):
        yield Finding(
            "replication",
            "warn",
            f"topics.replication_factor is {wanted}, with {brokers} brokers",
            f"set topics.replication_factor to {min(brokers, 3)}",
        )
    else:
        yield Finding("replication", "ok", f"factor {wanted} with {brokers} broker(s)")


def _registry(configured: Settings) -> Iterator[Finding]:
    settings = with_cluster(configured, kafka=False)
    differences = registry_access.check(settings)
    yield Finding("registry", "ok", f"reached at {settings.registry.url}")
    for difference in differences:
        yield Finding(
            "schemas",
            "fail",
            f"{difference.subject} is {difference.kind}: {'; '.join(difference.details)}",
            "run `atp-stream schemas register`",
            ConfigurationError.exit_code,
        )
    if not differences:
        yield Finding("schemas", "ok", "all schemas are registered as they are here")
