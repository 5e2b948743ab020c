"""Header names that are not UTF-8. The protocol says that they are, the broker looks at none, the clients fail.

aiokafka raises at such a record, and comes no further. confluent-kafka raises once; asked again it hands out a name
that ends the process when it is looked at. Here such a name is read as an `EscapedName`, so that its record can be
refused as bad input. What is relied on is held by tests/integration/test_faust_internals.py.
"""

from collections.abc import Iterator
from itertools import islice
from operator import methodcaller
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from confluent_kafka import Message
from typing_extensions import override

_LENGTH_END: Final = 12
"""A batch begins with its offset in 8 bytes, and the number of bytes that follow these in 4."""


#: Not called as a method: where that is done often, Python leaves out the check that finds confluent-kafka to return a
#: result with an exception set, and goes on with names that are not there.
_headers: Final = methodcaller("headers")


class EscapedName(str):
    """A header name that was not UTF-8. The bytes that are not are written as backslash, x and two hex digits."""

    __slots__ = ()


def read_any_header_name() -> None:
    r"""Have aiokafka's consumers of this process read names that are not UTF-8 as `EscapedName`, not raise for them.

    aiokafka takes the class that reads what was fetched from its module, and has no other place to name one.
    """
    fetcher.MemoryRecords = _Records


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """Return the headers of a message that confluent-kafka has read, in order.

    Of one with a name that is not UTF-8 that name, as an `EscapedName`, and nothing else: no more of it can be read.
    """
    try:
        found = _headers(message) or []
    except SystemError as error:
        cause = error.__cause__
        if not isinstance(cause, UnicodeDecodeError):
            raise
        found = [(EscapedName(cause.object.decode(errors="backslashreplace")), None)]
        message.set_headers(found)  # instead of those that must not be looked at
    pairs = found.items() if isinstance(found, dict) else found
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]


class _Records:
    """What was fetched of a partition, as aiokafka's class of that name: batch by batch."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._records: Any = MemoryRecords(data)

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def size_in_bytes(self) -> int:
        return int(self._records.size_in_bytes())

    def next_batch(self) -> "_Batch":
        begin, length = self._at, self._at + _LENGTH_END
        self._at = length + int.from_bytes(self._data[length - 4 : length], "big")
        return _Batch(self._records.next_batch(), memoryview(self._data)[begin : self._at])


class _Batch:
    """A batch as aiokafka has it, read anew with any names where it fails at one."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except (UnicodeDecodeError, CorruptRecordException) as error:
            # aiokafka without its compiled part says that the record is corrupt.
            if not isinstance(error, UnicodeDecodeError) and not isinstance(error.__cause__, UnicodeDecodeError):
                raise
            yield from islice(self._with_any_names(), read, None)

    def _with_any_names(self) -> _DefaultRecordBatchPy:
        batch = _DefaultRecordBatchPy(self._data)
        iter(batch)  # uncompresses it
        batch._buffer = _AnyNames(batch._buffer)
        return batch


class _AnyNames(bytearray):
    """The records of a batch. aiokafka cuts keys, values and names out of them, and decodes the names."""

    @override
    def __getitem__(self, at: Any) -> Any:
        found: Any = super().__getitem__(at)
        return _AnyNames(found) if isinstance(at, slice) else found

    @override
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        try:
            return super().decode(encoding, errors)
        except UnicodeDecodeError:
            return EscapedName(super().decode(encoding, "backslashreplace"))
