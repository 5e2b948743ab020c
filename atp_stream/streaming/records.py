"""What passes through the engine: raw Kafka records, still undecoded."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes | None]]


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Record(Protocol):
    """A consumed record as aiokafka hands it over: key, value and headers as the bytes that lie in Kafka."""

    @property
    def topic(self) -> str:
        """Topic."""

    @property
    def partition(self) -> int:
        """Number of the partition."""

    @property
    def offset(self) -> int:
        """Offset in the partition."""

    @property
    def timestamp(self) -> int:
        """Epoch milliseconds."""

    @property
    def key(self) -> bytes | None:
        """Key, undecoded."""

    @property
    def value(self) -> bytes | None:
        """Value, undecoded."""

    @property
    def headers(self) -> Headers:
        """Names and values, in order."""


class PlainRecord(NamedTuple):
    """A record that was put together here, or consumed by another client than aiokafka."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
