"""Whether a dead letter would be accepted now, and where it has to go: what a worker would do with it, done before.

A letter goes back to the topic that it came from: one of Core's to the partition it lay in, with its own key. On the
changes log, and on a topic that is keyed by item, it goes under the key of its item, as a worker relies on that.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from atp_stream.admin import registry as registry_access
from atp_stream.admin.topics import describe
from atp_stream.contracts.errors import BadInput
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.keys import item_key
from atp_stream.contracts.registry import SchemaRegistry
from atp_stream.errors import UnavailableError
from atp_stream.settings import Settings
from atp_stream.stages.records import check_size, encoding_of, resolve_schemas
from atp_stream.streaming.dead_letter_records import Letter, Place, returned_headers
from atp_stream.streaming.dead_letter_replay import Return
from atp_stream.streaming.partitioner import partition_of
from atp_stream.streaming.records import PlainRecord
from atp_stream.tools.dead_letters.connection import DeadLetters


class Checker:
    """Checks letters against the settings, the registry and the topics as they are now."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters: Final = letters
        self._settings: Final = letters.settings
        self._partitions: Final[dict[str, int]] = {}

    def check(self, letters: Sequence[Letter], mended: bytes | None = None) -> dict[Place, Return | str]:
        """Return for each letter what is to be sent, or why it would be refused again. `mended`: the value instead.

        UnavailableError, PermissionDeniedError: the registry did not answer, or refused to.
        """
        self._look_up({letter.source.topic for letter in letters if letter.source is not None})
        found: dict[Place, Return | str] = {}
        sent: dict[Place, tuple[Letter, PlainRecord]] = {}
        for letter in letters:
            reason = self._unsendable(letter, is_mended=mended is not None)
            if reason is not None:
                found[letter.place] = reason
                continue
            assert letter.source is not None
            value, headers = letter.value if mended is None else mended, returned_headers(letter)
            sent[letter.place] = letter, PlainRecord(*letter.source, 0, letter.time, letter.key, value, headers)
        if sent:
            decoder = self._resolved([record for _, record in sent.values()])
            for place, (letter, record) in sent.items():
                try:
                    found[place] = self._decided(letter, record, decoder, is_mended=mended is not None)
                except BadInput as bad:
                    found[place] = f"it would be refused again: {bad}"
        return found

    def _look_up(self, topics: set[str]) -> None:
        known = {self._settings.topics.changes, *self._settings.topics.sources}
        missing = topics & known - self._partitions.keys()
        if missing:
            states = describe(self._letters.admin, missing)
            self._partitions.update({name: states[name].partitions if name in states else 0 for name in missing})

    def _unsendable(self, letter: Letter, *, is_mended: bool) -> str | None:
        if letter.source is None:
            return "it does not say where it came from"
        topic = letter.source.topic
        if topic not in self._partitions:
            return f"{topic} is not an input topic of these settings (topics.sources, topics.changes)"
        if self._partitions[topic] == 0:
            return f"{topic} does not exist any more"
        return None if is_mended else self._incomplete(letter, topic)

    def _incomplete(self, letter: Letter, topic: str) -> str | None:
        """Return what of a letter is not whole, so that it cannot go back as it was."""
        if "value" in letter.cut:
            return f"its value was cut to {len(letter.value or b''):,} bytes: send a whole one with --value-from"
        if "headers" in letter.cut:
            return "its headers were too large to be kept: --value-from sends its event, without them"
        if "key" in letter.cut and not self._is_keyed_by_item(topic):
            return f"its key was cut to {len(letter.key or b''):,} bytes: --value-from sends its event under that"
        return None

    def _is_keyed_by_item(self, topic: str) -> bool:
        source = self._settings.topics.sources.get(topic)
        return source is None or source.keyed_by_item

    def _resolved(self, records: Sequence[PlainRecord]) -> InputDecoder:
        settings = self._settings
        avro = [record for record in records if self._encoding(record) == "avro"]

        async def resolve(registry: SchemaRegistry) -> InputDecoder:
            decoder = InputDecoder(registry.fetch)
            await asyncio.wait_for(resolve_schemas(decoder, avro), settings.registry.timeout_seconds)
            return decoder

        try:
            return registry_access.run(settings, resolve)
        except TimeoutError:
            raise registry_silent(settings) from None

    def _encoding(self, record: PlainRecord) -> str:
        source = self._settings.topics.sources.get(record.topic)
        return encoding_of(record) if source is None else source.encoding

    def _decided(self, letter: Letter, record: PlainRecord, decoder: InputDecoder, *, is_mended: bool) -> Return:
        source = self._settings.topics.sources.get(record.topic)
        if source is None:
            check_size(record._replace(headers=()))
            event = decoder.decode(None, encoding_of(record), record.value)
        else:
            check_size(record)
            event = decoder.decode(source.event, source.encoding, record.value)
        key, partition = record.key, record.partition
        partitions = self._partitions[record.topic]
        if self._is_keyed_by_item(record.topic):
            key = item_key(event.tenant_id, event.item_id)
            partition = partition_of(key, partitions)
        elif partition >= partitions:
            partition = partition_of(key or b"", partitions)
        return Return(letter, record.topic, partition, key, record.value, is_mended)


def registry_silent(settings: Settings) -> UnavailableError:
    """Describe a registry that did not answer in time."""
    return UnavailableError(
        f"the schema registry did not answer within {settings.registry.timeout_seconds:g} s",
        cause=f"a schema was asked for at {settings.registry.url}",
        setting="registry.url",
        fix="start the registry, or correct registry.url (ATP_REGISTRY__URL)",
    )
