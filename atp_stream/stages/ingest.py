"""Ingest: from Inventory Core's topics, of any key and partition count, to the changes log (design section 4, step 1).

Stateless. A valid event is forwarded as the bytes it came in, under its item's key: from there on there is one order
per item. What is not valid goes to the dead letters.
"""

from collections.abc import Sequence

from atp_stream.contracts.errors import BadInput
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.keys import item_key
from atp_stream.settings import SourceTopic
from atp_stream.stages.notes import Ingested
from atp_stream.stages.records import ENCODING, SOURCE, check_header_names, check_size, resolve_schemas
from atp_stream.streaming.records import Partition, Record
from atp_stream.streaming.transaction import Transaction


class Ingest:
    """The stage of one source topic."""

    def __init__(self, decoder: InputDecoder, source: SourceTopic, changes: str) -> None:
        self._decoder = decoder
        self._source = source
        self._changes = changes
        self._encoding = (ENCODING, source.encoding.encode())

    async def prepare(self, records: Sequence[Record]) -> None:
        """Ask the registry for schemas of these records that are not known yet."""
        if self._source.encoding == "avro":
            await resolve_schemas(self._decoder, records)

    def process(self, partition: Partition, records: Sequence[Record], transaction: Transaction) -> None:
        """Forward each valid record; headers `encoding` and `source` (topic/partition/offset) come before its own."""
        place = f"{partition.topic}/{partition.number}/"
        for record in records:
            try:
                check_size(record)
                check_header_names(record.headers)
                event = self._decoder.decode(self._source.event, self._source.encoding, record.value)
            except BadInput as bad:
                transaction.refuse(record, bad.error_class, bad.message)
                continue
            # The client takes a name up to its first zero byte: "encoding\0" would arrive as ours.
            own = [header for header in record.headers if header[0].partition("\0")[0] not in (ENCODING, SOURCE)]
            headers = [self._encoding, (SOURCE, f"{place}{record.offset}".encode()), *own]
            transaction.note(Ingested(record, event))
            transaction.produce(self._changes, record.value, item_key(event.tenant_id, event.item_id), headers)
