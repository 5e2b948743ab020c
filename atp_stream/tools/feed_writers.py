"""The schemas that the feed writes with, in the registry as Inventory Core would have put them there."""

import asyncio

from schema_registry.client.errors import ClientError
from schema_registry.client.schema import AvroSchema

from atp_stream.admin.registry import described
from atp_stream.contracts.errors import RegistryError
from atp_stream.contracts.registry_client import RegistryClient
from atp_stream.errors import DataError
from atp_stream.settings import RegistrySettings, Settings
from atp_stream.tools.feed_records import Writer, core_schemas


def open_writers(settings: Settings) -> dict[str, tuple[Writer, ...]]:
    """Return the writers for each input topic in Avro, the one with the fewest fields first.

    A subject without any schema gets Core's two. One that has some is left as it is, and those of the two that are in
    it are used. Errors: DataError (none of the two is), UnavailableError, PermissionDeniedError.
    """
    return asyncio.run(_open_writers(settings))


async def _open_writers(settings: Settings) -> dict[str, tuple[Writer, ...]]:
    registry = settings.registry
    client = RegistryClient(
        registry.url or "",
        username=registry.username,
        password=registry.password.get_secret_value() if registry.password else None,
        ca_location=str(registry.ca_location) if registry.ca_location else None,
        timeout_seconds=registry.timeout_seconds,
        transport=None,
    )
    try:
        return {
            topic: await _of_subject(client, f"{topic}-value", source.event, registry)
            for topic, source in settings.topics.sources.items()
            if source.encoding == "avro"
        }
    except RegistryError as error:
        raise described(error, registry) from None
    finally:
        await client.aclose()


async def _of_subject(
    client: RegistryClient, subject: str, event_type: str, registry: RegistrySettings
) -> tuple[Writer, ...]:
    schemas = core_schemas(event_type)
    try:
        if not await client.get_versions(subject):
            for schema in schemas:
                await client.register(subject, AvroSchema(schema))
        found = [(schema, await client.check_version(subject, AvroSchema(schema))) for schema in schemas]
    except ClientError as error:
        raise DataError(
            f"the schema registry does not take the schemas of {subject}",
            cause=f"{error} ({error.http_code}): {error.server_traceback}",
            setting="registry.url",
            fix=f"look at {subject} in the registry at {registry.url}",
        ) from None
    writers = tuple(Writer(int(version.schema_id), schema) for schema, version in found if version is not None)
    if not writers:
        raise DataError(
            f"{subject} holds other schemas than those that the feed writes with",
            cause="it was registered by somebody else, and is left as it is",
            setting="topics.sources",
            fix="feed into topics of your own (topics.sources), or into another registry",
        )
    return writers
