"""Prints a digest of all bytes that one long fixed log brings about; run under several hash seeds."""

import hashlib
from decimal import Decimal

from atp_stream.contracts.keys import item_key
from atp_stream.domain.events import Input, ReservationCreated, ReservationReleased, StockAvailabilityChanged
from atp_stream.domain.policy import ChannelPolicy, Policy
from atp_stream.stages.decide import Decide
from tests.contract.samples import CREATED, RELEASED, STOCK, sample
from tests.property.histories import CONFIGURED, inputs
from tests.unit.stages.harness import Consumed, Written, decoder, encoder, run

POLICY = Policy("1", CONFIGURED, 5, {"POS": ChannelPolicy(protected=20), "ECOM": ChannelPolicy(limit=90)})


def _bytes(event: Input) -> bytes:
    common = {
        "eventId": event.event_id,
        "timestamp": event.timestamp,
        "tenantId": event.tenant_id,
        "itemId": event.item_id,
        "locationId": event.location_id,
        "channel": event.channel,
    }
    if isinstance(event, StockAvailabilityChanged):
        return sample(STOCK, **common, onHand=Decimal(event.on_hand) / 100)
    common |= {"reservationId": event.reservation_id, "quantity": Decimal(event.quantity) / 100}
    if isinstance(event, ReservationCreated):
        return sample(CREATED, **common, reference=event.reference, priority=event.priority, expiresAt=event.expires_at)
    assert isinstance(event, ReservationReleased)
    return sample(RELEASED, **common, reason=event.reason)


def digest(batch: int) -> str:
    """All output values and headers, in order, and the changelog's entries by key, for a log cut into batches."""
    stage = Decide(decoder(), encoder(), POLICY, "every_change")
    log = [
        Consumed(_bytes(event), item_key(event.tenant_id, event.item_id), [("encoding", b"avro")])
        for event in inputs(seed=20, length=1500)
    ]
    written = Written()
    for start in range(0, len(log), batch):
        run(stage, log[start : start + batch], written)
    sha256 = hashlib.sha256(repr(written.produced).encode())
    sha256.update(repr(sorted(written.table.entries.items())).encode())
    return f"{len(written.produced)} {sha256.hexdigest()}"


if __name__ == "__main__":
    print(digest(100))
