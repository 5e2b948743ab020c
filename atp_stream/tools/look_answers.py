"""What a worker's web API answers, to views of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from atp_stream.errors import UnavailableError
from atp_stream.tools.api_client import Answer
from atp_stream.tools.look_view import Table, View
from atp_stream.web.models import Cause, HeldBack, ItemPage, Pools, WorkerInfo, Workers

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_M = TypeVar("_M")

_BALANCE: Final = (">on hand", ">available", ">reserved", ">held back", "status")


def pools_view(answer: Answer) -> View:
    """Return the view of an item. UnavailableError, as for the others: it is not what a worker answers."""
    item = _decoded(answer, Pools)
    channels = [
        [
            each.channel,
            *map(_quantity, (each.on_hand, each.available, each.reserved, each.held_back)),
            "oversold" if each.held_back < 0 else "out" if not each.available else "ok",
            _reasons(each.held_back_for),
        ]
        for each in item.channels
    ]
    places = [
        [each.location_id, each.channel or "(shared)", _quantity(each.on_hand), _time(each.as_of)]
        for each in item.on_hand
    ]
    age = answer.headers.get("Atp-Age")
    return View(
        [
            f"{item.tenant_id}/{item.item_id}   sequence {item.sequence}   rules {item.rules_version}   "
            f"safety stock {_quantity(item.safety_stock)}",
            f"last changed by {_cause(item.changed)}",
        ],
        [
            Table(("channel", *_BALANCE, "held back for"), channels),
            Table(("location", "channel", ">on hand", "as of"), places),
        ],
        [
            f"told by {answer.headers.get('Atp-Worker', 'the worker')}"
            + (f", whose last input is {age} s old" if age else "")
        ],
    )


def items_view(answer: Answer) -> View:
    """Return the view of a list of items."""
    page = _decoded(answer, ItemPage)
    rows = [
        [
            f"{each.tenant_id}/{each.item_id}",
            each.channel,
            *map(_quantity, (each.on_hand, each.available, each.reserved, each.held_back)),
            each.status.value,
            str(each.sequence),
            each.changed.kind if each.changed else "",
        ]
        for each in page.items
    ]
    foot = [f"more with --cursor {page.next_cursor}"] if page.next_cursor else []
    if page.missing_partitions:
        foot.append(f"not shown, as they cannot be read now: partitions {_numbers(page.missing_partitions)}")
    return View(
        [] if rows else ["no items"],
        [Table(("tenant/item", "channel", *_BALANCE, ">seq", "last changed by"), rows)] if rows else [],
        foot,
    )


def workers_view(answer: Answer) -> View:
    """Return the view of the workers of the group."""
    group = _decoded(answer, Workers)
    columns = ("worker", "state", "partitions", ">lag", ">up", "restoring", "why it waits")
    return View(
        [f"{len(group.workers)} workers, told by {group.asked}"],
        [Table(columns, [_worker(each) for each in group.workers])],
    )


def _worker(worker: WorkerInfo) -> list[str]:
    left, up = worker.restoring, worker.uptime_seconds
    restoring = "" if left is None else f"{left.partitions} partitions, {left.records:,} records"
    if left is not None and left.seconds is not None:
        restoring += f", {left.seconds:.0f} s"
    return [
        worker.url,
        worker.state,
        _numbers(worker.table_partitions) or "none",
        "" if worker.lag is None else f"{worker.lag:,}",
        "" if up is None else str(timedelta(seconds=int(up))),
        restoring,
        "" if worker.ready else worker.reason or "",
    ]


def _decoded(answer: Answer, model: type[_M]) -> _M:
    try:
        return msgspec.json.decode(answer.body, type=model)
    except msgspec.MsgspecError as error:
        raise UnavailableError(
            "what answers is no worker of this version",
            cause=str(error),
            setting="client.url",
            fix="use the `atp-stream` of the version that the worker has, or set client.url to a worker's address",
        ) from None


def _quantity(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _reasons(held: HeldBack) -> str:
    """Return the parts that are not nothing."""
    parts: Mapping[str, Decimal] = msgspec.structs.asdict(held)
    return ", ".join(f"{name.replace('_', ' ')} {_quantity(part)}" for name, part in parts.items() if part)


def _cause(changed: Cause | None) -> str:
    return "?" if changed is None else f"{changed.kind} {changed.event_id} of {_time(changed.timestamp)}"


def _time(milliseconds: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def _numbers(numbers: Sequence[int]) -> str:
    """Return whole numbers in order, runs of them as first-last."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
