"""Records whose header names are not UTF-8: the broker takes them, and no client library sends or reads them."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from aiokafka.protocol.produce import ProduceRequest_v3
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from typing_extensions import override

from tests.pipeline.waiting import until

from .raw import ask

_MAGIC, _BATCH_BYTES, _ANSWER_MS = 2, 1 << 20, 10_000
#: The topic is new, and the broker has not heard of it, or not of who leads it; it has written nothing.
_NOT_YET = (3, 5, 6)
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)


class Name(str):
    """A header name of any bytes."""

    _raw: bytes

    def __new__(cls, raw: bytes) -> Self:
        name = super().__new__(cls, raw.decode(errors="replace"))
        name._raw = raw
        return name

    @override
    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self._raw  # what the builder of batches takes


class Unsent(NamedTuple):
    """A record to be sent."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[bytes, bytes | None]] = ()


def batch_of(records: Sequence[Unsent], compression: int = NONE, time: int = 1_700_000_000_000) -> bytes:
    """A batch as it lies in the log, its first record at offset 0."""
    builder = _DefaultRecordBatchBuilderPy(_MAGIC, compression, 0, -1, -1, -1, _BATCH_BYTES)
    for offset, record in enumerate(records):
        headers: list[tuple[str, bytes | None]] = [(Name(name), value) for name, value in record.headers]
        assert builder.append(offset, time, record.key, record.value, headers) is not None
    return bytes(builder.build())


def send(leader: str, topic: str, partition: int, records: Sequence[Unsent], compression: int = NONE) -> None:
    """Write the records as one batch, at `host:port`. OSError: no answer."""
    request = ProduceRequest_v3(None, -1, _ANSWER_MS, [(topic, [(partition, batch_of(records, compression))])])

    def written() -> bool:
        error = ask(leader, request).topics[0][1][0][1]
        assert error in (0, *_NOT_YET), error
        return not error

    until("the broker takes the records", written)
