"""Checks of everything a worker needs, each with one fix. Nothing is changed; what cannot be asked is not checked.

A check looks at one thing and yields findings. Those that need a cluster follow the one that reaches it, and are left
out when that fails: the first cause is what has to be put right.
"""

import resource
from collections.abc import Callable, Iterator, Sequence

from atp_stream.admin import data_dir
from atp_stream.admin import registry as registry_access
from atp_stream.admin.doctor_finding import Finding, failed
from atp_stream.admin.doctor_listeners import examine_listeners
from atp_stream.admin.doctor_topics import examine_topics
from atp_stream.admin.kafka import connect
from atp_stream.admin.resolve import with_cluster
from atp_stream.admin.web_port import is_free
from atp_stream.errors import AppError, ConfigurationError, UnavailableError
from atp_stream.settings import Settings
from atp_stream.settings.load import LoadedSettings

# Open files of RocksDB per partition, and those of connections and the program itself.
_FILES_PER_PARTITION, _FILES_BESIDE = 64, 256


def examine(loaded: LoadedSettings) -> Iterator[Finding]:
    """Run all checks, in the order in which a worker would meet what they look at."""
    yield Finding("settings", "ok", f"valid ({loaded.file or 'no file'})")
    for check in (_open_files, _data_dir, _web_port):
        yield from _caught(check.__name__, lambda check=check: check(loaded))  # type: ignore[misc]
    try:
        settings = with_cluster(loaded.settings, registry=False)
        cluster = connect(settings.kafka)
    except AppError as error:
        yield failed("kafka", error)
    else:
        yield Finding("kafka", "ok", f"reached through {', '.join(settings.kafka.bootstrap_servers)}")
        listeners = list(examine_listeners(settings.kafka, cluster))
        yield from listeners
        # Admin calls go to advertised addresses: without those they would only time out.
        if not any(finding.status == "fail" for finding in listeners):
            yield from _caught("topics", lambda: examine_topics(settings, cluster))
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
    return [failed("settings", problem) for problem in problems]


def _caught(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except AppError as error:
        yield failed(name.lstrip("_"), error)


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
    host, port = loaded.settings.web.host, loaded.settings.web.port
    if not port or is_free(host, port):
        yield Finding("web_port", "ok", f"{host}:{port} is free" if port else "any free port")
    elif loaded.origin("web.port").kind == "default":
        yield Finding("web_port", "ok", f"{host}:{port} is taken; a worker chooses a free one")
    else:
        yield Finding(
            "web_port",
            "fail",
            f"{host}:{port} is taken",
            "stop the program that listens there, or leave web.port unset",
            ConfigurationError.exit_code,
        )


def _registry(configured: Settings) -> Iterator[Finding]:
    settings = with_cluster(configured, kafka=False)
    differences = registry_access.check(settings)
    yield Finding("registry", "ok", f"reached at {settings.registry.url}")
    missing = [difference.subject for difference in differences if difference.kind == "missing"]
    if missing:
        yield Finding(
            "schemas",
            "fail",
            f"missing: {', '.join(missing)}",
            "run `atp-stream schemas register`",
            ConfigurationError.exit_code,
        )
    for difference in differences:
        if difference.kind == "missing":
            continue
        yield Finding(
            "schemas",
            "fail",
            f"{difference.subject} is {difference.kind}: {'; '.join(difference.details)}",
            "run `atp-stream schemas check` and bring the two together",
            ConfigurationError.exit_code,
        )
    if not differences:
        yield Finding("schemas", "ok", "all schemas are registered as they are here")
