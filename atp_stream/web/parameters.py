"""What the query API may be asked, as one table: requests are read with these, and the OpenAPI document says them.

A field is a parameter of the path or of the query, by its name in camelCase; its type and limits are what is accepted.
"""

import datetime
import difflib
import re
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from atp_stream.contracts.records import MAX_ID_BYTES
from atp_stream.web.errors import ApiError
from atp_stream.web.models import ItemStatus

MOST_ROWS: Final = 1000

ItemId = Annotated[
    str,
    Meta(
        min_length=1, max_length=MAX_ID_BYTES, description="The item, as Inventory Core names it.", examples=["DRILL"]
    ),
]
Channel = Annotated[
    str, Meta(min_length=1, max_length=MAX_ID_BYTES, description="The channel's code.", examples=["ECOM"])
]
Tenant = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID_BYTES,
        description="The tenant, for principals of all tenants; as well as the header X-Tenant-ID.",
        examples=["north"],
    ),
]
Position = Annotated[
    int,
    Meta(
        ge=0,
        le=2**63 - 1,
        description="Answer only from the item's event of this number on (header `sequence` of the outputs), to read "
        "what was written. Waits for it up to 5 s, then 503.",
        examples=[3],
    ),
]
_QUANTITY: Final = r"^[0-9]{1,16}(\.[0-9]{1,2})?$"


class Asked(msgspec.Struct, frozen=True, rename="camel"):
    """Base of what may be asked."""


class NothingAsked(Asked, frozen=True):
    """A route without parameters."""


class AvailabilityAsked(Asked, frozen=True):
    """`GET .../availability`."""

    item_id: ItemId
    channel: Channel
    promise_date: (
        Annotated[datetime.date, Meta(description="Echoed until future supply is known.", examples=["2026-01-31"])]
        | UnsetType
    ) = UNSET
    min_position: Position | UnsetType = UNSET
    tenant_id: Tenant | UnsetType = UNSET


class PoolsAsked(Asked, frozen=True):
    """`GET .../pools/{itemId}`."""

    item_id: ItemId
    min_position: Position | UnsetType = UNSET
    tenant_id: Tenant | UnsetType = UNSET


class ReservationAsked(Asked, frozen=True):
    """`GET .../reservations/{reservationId}`."""

    reservation_id: Annotated[
        str, Meta(min_length=1, max_length=MAX_ID_BYTES, description="The reservation.", examples=["r-1"])
    ]
    item_id: ItemId
    min_position: Position | UnsetType = UNSET
    tenant_id: Tenant | UnsetType = UNSET


class ItemsAsked(Asked, frozen=True):
    """`GET .../items`."""

    tenant_id: Tenant | UnsetType = UNSET
    q: Annotated[
        str,
        Meta(
            max_length=MAX_ID_BYTES,
            description="Only items whose id begins with this, capitals as they are.",
            examples=["DR"],
        ),
    ] = ""
    channel: Channel | UnsetType = UNSET
    status: (
        Annotated[
            str,
            Meta(
                pattern=f"^({'|'.join(ItemStatus)})(,({'|'.join(ItemStatus)}))*$",
                description="Only rows of these, separated by commas: oversold (more is committed than is there), out "
                "(nothing may be promised), low (less than `low`), ok.",
                examples=["oversold,out"],
            ),
        ]
        | UnsetType
    ) = UNSET
    low: Annotated[
        str,
        Meta(pattern=_QUANTITY, description="Less than this available is `low`: a decimal number.", examples=["10.00"]),
    ] = "10.00"
    order: Annotated[
        Literal["key", "attention"],
        Meta(
            description="`key`: by tenant, item and channel; costs the same however many items there are. `attention`: "
            "oversold, then out, then low, then the rest, each by what is available; looks at every item.",
        ),
    ] = "key"
    limit: Annotated[int, Meta(ge=1, le=MOST_ROWS, description="The most rows of an answer; there may be fewer.")] = 100
    cursor: (
        Annotated[
            str,
            Meta(
                min_length=1, max_length=3000, description="`nextCursor` of the answer before, for the rows after it."
            ),
        ]
        | UnsetType
    ) = UNSET
    partial: Annotated[
        bool,
        Meta(description="Answer also if some partitions cannot be read at the moment, and name them."),
    ] = False


A = TypeVar("A", bound=Asked)

_AT: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.(?P<name>\w+)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>\w+)`")


def parse(request: web.Request, wanted: type[A]) -> A:
    """Return what a request asks. Raises `ApiError` 400, which names the parameter."""
    query, path = request.query, request.match_info
    given = dict(query)
    names = wanted.__struct_encode_fields__
    for name in given:
        if name not in names or name in path:
            raise _unknown(name, [each for each in names if each not in path])
    if len(given) != len(query):
        (twice, *_) = [name for name in given if len(query.getall(name)) > 1]
        raise _bad(twice, "given more than once")
    given.update(path)
    try:
        return msgspec.convert(given, wanted, strict=False)
    except msgspec.ValidationError as error:
        missing = _MISSING.match(str(error))
        if missing is not None:
            raise _bad(missing["name"], "missing") from None
        at = _AT.fullmatch(str(error))
        assert at is not None
        raise _bad(at["name"] or "", at["what"][:1].lower() + at["what"][1:]) from None


def _bad(name: str, what: str) -> ApiError:
    return ApiError(400, "BAD_PARAMETER", f"{name}: {what}", details={"parameter": name})


def _unknown(name: str, names: list[str]) -> ApiError:
    nearest = difflib.get_close_matches(name[:100], names, n=1, cutoff=0.0)
    hint = f"; did you mean {nearest[0]}?" if nearest else "; this route has no parameters"
    details = {"parameter": name[:100], "nearest": nearest[0] if nearest else None, "known": names}
    return ApiError(400, "UNKNOWN_PARAMETER", f"there is no parameter {name[:100]!a}{hint}", details=details)
