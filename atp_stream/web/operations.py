"""The routes of the query API, as one table: served by web/api.py, documented by web/openapi.py."""

from dataclasses import dataclass
from typing import Any, Final

from atp_stream.web.models import Availability, ItemPage, Model, Pools, Reservation, Workers
from atp_stream.web.parameters import (
    Asked,
    AvailabilityAsked,
    ItemsAsked,
    NothingAsked,
    PoolsAsked,
    ReservationAsked,
)

_ATP: Final = "/api/v1/inventory/atp"


@dataclass(frozen=True)
class Operation:
    """A route: what is asked, what is answered, and which errors it has, by status, besides those of every route.

    of_item: it is about one item, answered by the worker that has it.
    """

    name: str
    path: str
    summary: str
    asks: type[Asked]
    answers: type[Model]
    example: dict[str, Any]
    errors: dict[int, tuple[str, ...]]
    of_item: bool = False


_ITEM_ERRORS: Final = {
    400: ("BAD_PARAMETER", "UNKNOWN_PARAMETER", "TENANT_REQUIRED", "BAD_REQUEST"),
    404: ("ITEM_UNKNOWN",),
    503: ("MOVING", "OWNER_UNREACHABLE", "NOT_YET", "STATE_UNUSABLE", "TIMEOUT"),
}

_CAUSE: Final = {"eventId": "e-7", "kind": "ReservationCreatedEvent", "timestamp": 1767323045007}
_HELD_BACK: Final = {
    "safetyStock": 0.0,
    "reservedByOthers": 0.0,
    "protectedForOthers": 0.0,
    "overLimit": 0.0,
    "short": 0.0,
}

OPERATIONS: Final = (
    Operation(
        name="availability",
        path=f"{_ATP}/availability",
        summary="What a channel may still promise of an item",
        asks=AvailabilityAsked,
        answers=Availability,
        example={"itemId": "DRILL", "channel": "ECOM", "available": 120.0, "reserved": 30.0, "promiseDate": None},
        errors={**_ITEM_ERRORS, 404: ("ITEM_UNKNOWN", "CHANNEL_UNKNOWN")},
        of_item=True,
    ),
    Operation(
        name="pools",
        path=f"{_ATP}/pools/{{itemId}}",
        summary="All that is known of an item: stock by location, and each channel's part of it",
        asks=PoolsAsked,
        answers=Pools,
        example={
            "tenantId": "north",
            "itemId": "DRILL",
            "sequence": 3,
            "rulesVersion": "1",
            "safetyStock": 0.0,
            "onHand": [{"locationId": "l-1", "channel": "ECOM", "onHand": 150.0, "asOf": 1767323045001}],
            "channels": [
                {
                    "channel": "ECOM",
                    "protected": 0.0,
                    "limit": None,
                    "onHand": 150.0,
                    "dedicated": 150.0,
                    "reserved": 30.0,
                    "available": 120.0,
                    "heldBack": 0.0,
                    "heldBackFor": _HELD_BACK,
                }
            ],
            "changed": _CAUSE,
        },
        errors=_ITEM_ERRORS,
        of_item=True,
    ),
    Operation(
        name="reservation",
        path=f"{_ATP}/reservations/{{reservationId}}",
        summary="What has become of a reservation",
        asks=ReservationAsked,
        answers=Reservation,
        example={
            "itemId": "DRILL",
            "reservationId": "r-1",
            "status": "committed",
            "channel": "ECOM",
            "quantity": 30.0,
            "allocationId": "5b8d0b8a-5a0e-5a54-a5a3-2f0f1f6c9d11",
            "releases": [],
        },
        errors={**_ITEM_ERRORS, 404: ("ITEM_UNKNOWN", "RESERVATION_UNKNOWN")},
        of_item=True,
    ),
    Operation(
        name="items",
        path=f"{_ATP}/items",
        summary="Items of the whole cluster, a row for each channel that their events have made known",
        asks=ItemsAsked,
        answers=ItemPage,
        example={
            "items": [
                {
                    "tenantId": "north",
                    "itemId": "DRILL",
                    "channel": "ECOM",
                    "onHand": 150.0,
                    "available": 120.0,
                    "reserved": 30.0,
                    "heldBack": 0.0,
                    "heldBackFor": _HELD_BACK,
                    "status": "ok",
                    "sequence": 3,
                    "changed": _CAUSE,
                }
            ],
            "nextCursor": None,
            "missingPartitions": [],
        },
        errors={
            400: ("BAD_PARAMETER", "UNKNOWN_PARAMETER", "BAD_REQUEST"),
            503: ("NOT_COMPLETE", "SCANNING", "TOO_MANY_SCANS", "STATE_UNUSABLE", "TIMEOUT"),
        },
    ),
    Operation(
        name="workers",
        path="/api/v1/workers",
        summary="Every worker of the group, as it says of itself",
        asks=NothingAsked,
        answers=Workers,
        example={
            "asked": "http://127.0.0.1:6066",
            "workers": [
                {
                    "url": "http://127.0.0.1:6066",
                    "state": "processing",
                    "ready": True,
                    "tablePartitions": [0, 1],
                    "pid": 4711,
                    "host": "atp-1",
                    "version": "0.1.0",
                    "uptimeSeconds": 12.5,
                    "reason": None,
                    "partitions": {"atp.changes": [0, 1]},
                    "lag": 0,
                    "restoring": None,
                    "transactions": 40,
                    "records": 5000,
                }
            ],
        },
        errors={400: ("UNKNOWN_PARAMETER",), 503: ("TIMEOUT",)},
    ),
)
