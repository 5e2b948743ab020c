"""The demo's board drawn for a terminal, or written as plain lines. No I/O, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from atp_stream.tools.demo_board import Board, ItemView, Row
from atp_stream.tools.event_line import COLORS, WORDS, clock
from atp_stream.tools.received import DEAD_LETTER, Received, printable

_SIDE_BY_SIDE: Final = 120
"""Columns from which the events have room beside the table."""
_TABLE_COLUMNS: Final = 79
_HEADER_LINES: Final = 1
_FRAME_COLUMNS: Final = 4
_JUST_NOW_MS: Final = 1_000
_QUIET_MS: Final = 10_000
_PLAIN_ITEMS: Final = 12
_PLAIN_EVENTS: Final = 6
_COLUMNS: Final = {
    "tenant/item": 0,  # what the others leave
    "channel": 11,
    "available": 10,
    "reserved": 9,
    "seq": 5,
    "last event": 13,
    "age": 5,
}
_NUMBERS: Final = ("available", "reserved", "seq", "age")


@dataclass(frozen=True, slots=True)
class Status:
    """What goes with the board. now: epoch ms; seconds: since the first numbers; sent, broken: events fed in."""

    kafka: str
    worker: str
    now: int
    seconds: float
    sent: int
    broken: int
    in_rate: float
    out_rate: float
    foot: str


def drawn(board: Board, status: Status, width: int, height: int) -> RenderableType:
    """Return the whole screen."""
    head, foot = _head(board, status), Text(status.foot, style="dim", no_wrap=True, overflow="ellipsis")
    body_lines = height - len(head) - 1
    layout, body = Layout(), Layout(name="body")
    if width >= _SIDE_BY_SIDE:
        table_lines = event_lines = body_lines
        body.split_row(Layout(name="table", size=_TABLE_COLUMNS), Layout(name="events"))
        event_columns = width - _TABLE_COLUMNS - _FRAME_COLUMNS
    else:
        event_lines = max(5, body_lines // 3)
        table_lines = body_lines - event_lines
        body.split_column(Layout(name="table"), Layout(name="events", size=event_lines))
        event_columns = width - _FRAME_COLUMNS
    items = board.shown(max(1, table_lines - _HEADER_LINES), status.now)
    body["table"].update(Padding(_table(items, status.now), (0, 1, 0, 0)))
    recent = _latest(board, event_lines - 2)
    lines = [_event(event, event_columns) for event in recent] or [Text("nothing yet", style="dim")]
    body["events"].update(Panel(Group(*lines), title="what went out last", title_align="left", border_style="dim"))
    layout.split_column(Layout(Group(*head), size=len(head)), body, Layout(foot, size=1))
    return layout


def plain(board: Board, status: Status) -> list[str]:
    """Return the lines to print now and then where nothing can be drawn: totals, a table, the last events."""
    lines = ["", *(line.plain for line in _head(board, status)), ""]
    cells: list[tuple[str, ...]] = [tuple(_COLUMNS)]
    latest = board.shown(_PLAIN_ITEMS, status.now)
    cells += [
        _cells(item.name, channel, row, status.now) for item in latest for channel, row in sorted(item.rows.items())
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        aligned = [
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(_COLUMNS, line, widths, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return [*lines, "", *(_event(event, 200).plain for event in _latest(board, _PLAIN_EVENTS))]


def _head(board: Board, status: Status) -> list[Text]:
    totals, ages = board.totals, board.ages(status.now)
    minutes, seconds = divmod(int(status.seconds), 60)
    first = Text.assemble(
        ("atp-stream demo", "bold"), f"   {minutes:02d}:{seconds:02d}   Kafka {status.kafka}   worker {status.worker}"
    )
    second = Text.assemble(
        "in ",
        (f"{status.sent:,}", "bold"),
        f" ({status.in_rate:,.0f}/s, {status.broken:,} broken on purpose)   out ",
        (f"{board.out:,}", "bold"),
        f" ({status.out_rate:,.0f}/s)   latency ",
        (f"{ages[0]} ms" if ages else "-", "bold"),
        f" (p99 {ages[1]} ms)" if ages else "",
    )
    parts: list[str | tuple[str, str]] = []
    for kind in WORDS:
        if kind == "AllocationBackorderedEvent" and not totals[kind]:
            continue
        name = {"AvailabilityCalculatedEvent": "availability", DEAD_LETTER: "dead letters"}.get(kind, WORDS[kind])
        parts += [f"{name} ", (f"{totals[kind]:,}", COLORS[kind] or "bold"), "   "]
    items, rows = board.size
    third = Text.assemble(*parts, f"items {items:,}, with channels {rows:,}")
    for line in (first, second, third):
        line.no_wrap, line.overflow = True, "ellipsis"
    return [first, second, third]


def _table(items: Sequence[ItemView], now: int) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold underline")
    for name, width in _COLUMNS.items():
        table.add_column(
            name,
            justify="right" if name in _NUMBERS else "left",
            no_wrap=True,
            min_width=width or None,
            ratio=None if width else 1,
        )
    for item in items:
        name = item.name
        for channel, row in sorted(item.rows.items()):
            cells = _cells(name, channel, row, now)
            table.add_row(*(Text(cell, overflow="ellipsis") for cell in cells), style=_row_style(row, now))
            name = ""
    return table


def _row_style(row: Row, now: int) -> str:
    age = now - row.changed
    color = "yellow" if row.available == 0 else ""
    return f"{color} {'bold' if age < _JUST_NOW_MS else 'dim' if age > _QUIET_MS else ''}".strip()


def _cells(name: str, channel: str, row: Row, now: int) -> tuple[str, ...]:
    age = max(0, now - row.changed) / 1000
    return (
        printable(name),
        printable(channel),
        f"{row.available:,.2f}",
        f"{row.reserved:,.2f}",
        str(row.sequence),
        row.last,
        f"{age:.0f} s",
    )


def _latest(board: Board, count: int) -> list[Received]:
    return list(board.recent)[-count:] if count > 0 else []


def _event(received: Received, columns: int) -> Text:
    if received.unreadable is not None:
        body = received.unreadable
    elif received.kind == DEAD_LETTER:
        topic = received.cause("topic").rsplit(".", 1)[-1]
        body = f"{received.cause('error')} in {topic}[{received.cause('partition')}]@{received.cause('offset')}"
    else:
        fields = received.fields
        body = f"{fields['quantity']:7.2f} {fields['tenantId']}/{fields['itemId']} {fields['channel']}"
        if "available" in fields:
            body += f" has {fields['available']:.2f}"
    text = printable(f"{clock(received.time)[:-4]} {WORDS[received.kind]:11} {body}")
    line = Text(text, style=COLORS[received.kind] or "", no_wrap=True, overflow="ellipsis")
    line.truncate(columns, overflow="ellipsis")
    return line
