"""The AsyncAPI document of the topics that the settings name."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from atp_stream.admin.topics import specs
from atp_stream.contracts.asyncapi import asyncapi

if TYPE_CHECKING:
    from atp_stream.settings import Settings


def asyncapi_of(settings: "Settings") -> dict[str, Any]:
    """Return the document, as JSON has it."""
    topics, worker = settings.topics, settings.worker
    return asyncapi(
        specs(settings),
        topics.sources,
        changes=topics.changes,
        dead_letters=topics.dead_letters,
        cloud_events=worker.application_id if worker.cloud_events else None,
        version=version("atp-stream"),
    )
