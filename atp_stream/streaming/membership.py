"""Under which generation of the consumer group a batch was fetched, in the form that fences zombies (KIP-447)."""

import struct
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Consumer


class Membership(NamedTuple):
    """Generation and member id of this worker in its consumer group."""

    generation: int
    member_id: str

    @property
    def is_valid(self) -> bool:
        """Whether the broker would check it: it accepts a negative generation or an empty member id unseen."""
        return self.generation >= 0 and bool(self.member_id)


NO_MEMBER = Membership(-1, "")


def group_metadata(group: str, membership: Membership) -> bytes:
    """Return the membership as the bytes that confluent-kafka's `send_offsets_to_transaction` takes.

    librdkafka writes a magic word, the generation (native int32), the group, the member id and a flag for
    "no static instance id". aiokafka holds the membership here, librdkafka sends it, so the bytes are built by
    hand; `check_format` compares them with librdkafka's own at every start.
    """
    return (
        b"CGMDv2:"
        + struct.pack("=i", membership.generation)
        + group.encode()
        + b"\0"
        + membership.member_id.encode()
        + b"\0\x01"
    )


def check_format(kafka: Mapping[str, str | int | float | bool], group: str) -> None:
    """Compare `group_metadata` with what this librdkafka writes; a difference is a bug of this build.

    Raises `RuntimeError`: with other bytes the broker would refuse every commit, or fence nobody.
    """
    consumer = Consumer({**kafka, "group.id": group})
    try:
        theirs = consumer.consumer_group_metadata()
    finally:
        consumer.close()
    if theirs != group_metadata(group, NO_MEMBER):
        raise RuntimeError(f"this librdkafka writes group metadata as {theirs!r}, which this version does not know")
