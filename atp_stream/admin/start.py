"""What has to hold before a worker starts: Kafka is there, at addresses that can be reached, with topics that fit."""

import time
from collections.abc import Callable

from atp_stream.admin import permissions, topics
from atp_stream.admin.kafka import connect, require_advertised
from atp_stream.errors import DataError, UnavailableError
from atp_stream.settings import Settings

_PAUSE_SECONDS = 1.0


def check_start(settings: Settings, note: Callable[[str], None]) -> None:
    """Refuse a start that cannot go well. note: told when it waits, and what differs without harm.

    UnavailableError: Kafka was not reached within `kafka.start_timeout_seconds`. DataError: topics are missing, or have
    partition counts or cleanup policies with which state would be lost. PermissionDeniedError: a login, a certificate
    or an ACL. ConfigurationError: what is set does not fit the brokers' listener, or does not trust their certificates.
    """
    planned = _planned(settings, note)
    harmful = [
        difference
        for difference in planned.differences
        if difference.what in ("missing", "partitions", "cleanup.policy")
    ]
    for difference in planned.differences:
        if difference not in harmful:
            note(f"topic {difference.topic}: {difference.what} is {difference.found}, not {difference.expected}")
    if not harmful:
        return
    missing = [difference.topic for difference in harmful if difference.what == "missing"]
    if missing:
        raise DataError(
            f"{len(missing)} topics are missing", cause=", ".join(missing), fix="run `atp-stream topics apply`"
        )
    raise DataError(
        "topics are not as they have to be",
        cause="; ".join(f"{one.topic}: {one.what} is {one.found}, not {one.expected}" for one in harmful),
        setting="topics.state_partitions" if harmful[0].what == "partitions" else None,
        fix=harmful[0].fix,
    )


def _planned(settings: Settings, note: Callable[[str], None]) -> topics.Plan:
    """Ask Kafka; wait for a cluster that is still starting, as after a restart of brokers and workers together."""
    deadline = time.monotonic() + settings.kafka.start_timeout_seconds
    told = False
    while True:
        try:
            cluster = connect(settings.kafka)
            require_advertised(cluster, settings.kafka)
            specs = topics.specs(settings)
            states = topics.describe(cluster.admin, (spec.name for spec in specs))
            permissions.require(settings, specs, states)
            return topics.compare(specs, states, topics.any_count(settings))
        except UnavailableError as error:
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                raise
            if not told:
                note(f"waiting for Kafka: {error.cause}")
                told = True
            time.sleep(_PAUSE_SECONDS)
