"""The writers' schemas of inputs and outputs, for reading what lies in the topics."""

import asyncio
import json
from typing import Final

from fastavro import parse_schema

from atp_stream.admin import registry as registry_access
from atp_stream.admin.topics import specs
from atp_stream.contracts.avro import Json, header, plain_schema, raw_schema
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.errors import UnavailableError
from atp_stream.settings import Settings


class Schemas:
    """Asks the registry for a schema when a record needs it, once each."""

    def __init__(self, settings: Settings) -> None:
        """AppError: the registry is not reached."""
        self._settings: Final = settings
        outputs = [spec for spec in specs(settings) if spec.role == "output"]
        ids = registry_access.run(settings, lambda registry: registry.ids(outputs))
        self._parsed: Final = {
            header(ids[spec.subject]): raw_schema(spec.event) for spec in outputs if spec.subject in ids and spec.event
        }
        self.decoder: Final = InputDecoder(self._fetched)

    def output(self, prefix: bytes) -> Json:
        """Return the parsed schema, without logical types, of an output that begins with these bytes.

        Raises `BadInput` for an id the registry does not know, `ValueError` for bytes that hold none.
        """
        found = self._parsed.get(prefix)
        if found is None:
            if len(prefix) < len(header(0)) or prefix[0] != 0:
                raise ValueError("no Confluent wire format")
            text = asyncio.run(self._fetched(int.from_bytes(prefix[1:], "big")))
            found = self._parsed[prefix] = parse_schema(plain_schema(json.loads(text)))
        return found

    def resolve(self, schema_ids: set[int]) -> None:
        """Let the decoder of inputs know these schemas. UnavailableError: the registry is away."""
        asyncio.run(self.decoder.resolve(sorted(schema_ids)))

    async def _fetched(self, schema_id: int) -> str:
        seconds = self._settings.registry.timeout_seconds
        try:
            async with registry_access.open_registry(self._settings.registry) as registry:
                return await asyncio.wait_for(registry.fetch(schema_id), seconds)
        except TimeoutError:
            raise UnavailableError(
                f"the schema registry does not answer for {seconds:.0f} s",
                cause=f"asked for the schema with the id {schema_id}",
                setting="registry.url",
                fix="start the registry, or correct registry.url (ATP_REGISTRY__URL)",
            ) from None
