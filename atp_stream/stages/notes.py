"""What the stages tell the observers of commits: for metrics, traces and the board."""

from typing import NamedTuple

from atp_stream.domain.decide import Outcome
from atp_stream.domain.events import Input, OutputEvent
from atp_stream.streaming.records import Record


class Ingested(NamedTuple):
    """A record of a source topic, forwarded to the changes log."""

    record: Record
    event: Input


class Decided(NamedTuple):
    """A record that was decided, and what went out because of it."""

    record: Record
    event: Input
    outcome: Outcome
    outputs: tuple[OutputEvent, ...]
