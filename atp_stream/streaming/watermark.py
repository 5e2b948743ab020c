"""Watermark records: in each changelog partition, the source offsets that its last transaction committed.

At assignment they must equal the group's offsets. Where they do not, offsets were reset, expired or lost, or a topic
was recreated: the state and the place to go on reading do not belong together (design section 5).
"""

import json
from collections.abc import Mapping

from .errors import StateMismatch

#: Next offset to read, by source topic, of the partition with the same number as the changelog's.
Offsets = Mapping[str, int]


def encode_watermark(offsets: Offsets) -> bytes:
    """Return the record's value: JSON, keys in order, readable in a Kafka UI."""
    return json.dumps(offsets, sort_keys=True, separators=(",", ":")).encode()


def decode_watermark(value: bytes | None) -> dict[str, int]:
    """Return what a watermark record says; nothing where there is none yet."""
    found: dict[str, int] = json.loads(value) if value is not None else {}
    return found


def check_watermark(partition: int, watermark: Offsets, origin: Offsets, committed: Mapping[str, int]) -> None:
    """Compare what the changelog says was committed with what the group says, for one partition.

    `origin` is where reading of each source began: it stands in for a topic that no transaction has touched yet.
    Raises `StateMismatch`, naming each topic that differs.
    """
    expected = {topic: watermark.get(topic, start) for topic, start in origin.items()}
    wrong = [
        f"{topic}[{partition}]: the changelog says {offset}, the group {committed.get(topic)}"
        for topic, offset in sorted(expected.items())
        if committed.get(topic) != offset
    ]
    if wrong:
        raise StateMismatch(
            "the group's offsets and the state do not belong together",
            cause="; ".join(wrong),
            fix="offsets were reset, expired or deleted, or a topic was recreated: restore the group's offsets to what "
            "the changelog says, or plan a fresh start of offsets, changelog and local state together "
            "(docs/operations.md)",
        )
