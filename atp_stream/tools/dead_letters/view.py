"""Dead letters as text and as JSON: in short for a list, and one in full."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TextIO

from atp_stream.streaming.dead_letter_records import Letter, Marker
from atp_stream.tools.dead_letters.causes import meaning, remedy
from atp_stream.tools.dead_letters.value import Shown
from atp_stream.tools.received import iso, printable
from atp_stream.tools.terminal import console, is_fancy

_LEAST_MESSAGE: Final = 40  # columns of a message that are worth a table
_TITLES: Final = ("ID", "TIME", "ERROR", "STATE", "FROM", "MESSAGE")


class Line(NamedTuple):
    """A letter in a list."""

    id: str
    time: str
    error: str
    state: str
    origin: str
    message: str


def as_line(letter: Letter, marker: Marker | None) -> Line:
    """Return a letter in short, without anything a terminal might obey. Times are those of this machine's zone."""
    texts = (str(letter.place), moment(letter.time), letter.code, state(letter, marker), letter.origin, letter.message)
    return Line(*(printable(text) for text in texts))


def as_document(letter: Letter, marker: Marker | None) -> dict[str, Any]:
    """Return a letter without key, value and headers, ready to be written as JSON."""
    source = letter.source
    return {
        "id": str(letter.place),
        "time": iso(letter.time),
        "topic": source.topic if source else None,
        "partition": source.number if source else None,
        "offset": letter.source_offset if source else None,
        "error": letter.code,
        "message": letter.message,
        "size": None if letter.value is None else len(letter.value),
        "cut": sorted(letter.cut),
        "state": "open" if marker is None else "replayed",
        "replayed": marker and {"time": iso(marker.time), "to": marker.to, "mended": marker.is_mended},
        "replay_of": letter.replay_of,
    }


def moment(milliseconds: int) -> str:
    """Return date and time of day in this machine's zone."""
    return datetime.fromtimestamp(milliseconds / 1000).strftime("%Y-%m-%d %H:%M:%S")


def state(letter: Letter, marker: Marker | None) -> str:
    """Return whether a letter is open or was sent back; and how often its record had been sent back before."""
    times = len(letter.replay_of)
    before = f", sent back {times}x before" if times else ""
    return f"open{before}" if marker is None else f"sent back {moment(marker.time)}{before}"


def print_lines(lines: Sequence[Line], stream: TextIO) -> None:
    """Print a list: on a terminal cut to its width, in three lines each where one does not do; else whole."""
    if not is_fancy(stream):
        _print_columns(lines, stream)
        return
    terminal = console(stream)
    # Where all are open there is nothing to say about it.
    columns = [n for n, title in enumerate(_TITLES) if title != "STATE" or any(line.state != "open" for line in lines)]
    others = sum(3 + max(len(line[n]) for line in (_TITLES, *lines)) for n in columns[:-1])
    if terminal.width - others >= _LEAST_MESSAGE:
        _print_table(lines, columns, stream)
        return
    from rich.text import Text

    for line in lines:
        first = Text.assemble((line.id, "bold"), "  ", line.time, "  ", (line.error, "red"), "  ", line.state)
        terminal.print(first)
        for text in (line.origin, line.message):
            terminal.print(Text(f"    {text}"), no_wrap=True, overflow="ellipsis", style="dim")


def in_full(letter: Letter, marker: Marker | None, shown: Shown, verdict: str) -> list[tuple[str, str]]:
    """Return title and text of each fact about a letter. verdict: what would become of it now."""
    sent = (
        f"sent back {moment(marker.time)} to {marker.to}{', mended' if marker.is_mended else ''}" if marker else "open"
    )
    facts = [
        ("dead letter", str(letter.place)),
        ("set aside", moment(letter.time)),
        ("from", letter.origin),
        ("error", f"{letter.code}: {meaning(letter.code)}"),
        ("message", letter.message),
        ("state", sent),
    ]
    if letter.replay_of:
        facts.append(("before", f"sent back {len(letter.replay_of)}x; it was {', '.join(letter.replay_of)}"))
    if letter.cut:
        facts.append(("not whole", ", ".join(sorted(letter.cut))))
    if marker is None:
        facts += [("if sent back", verdict), ("what to do", remedy(letter.code))]
    facts.append(("key", "none" if letter.key is None else bytes_as_text(letter.key)))
    facts += [("header", f"{name} = {bytes_as_text(value or b'')}") for name, value in letter.headers]
    return [*facts, ("value", _kind(letter, shown))]


def bytes_as_text(value: bytes) -> str:
    """Return bytes as the text they are, else as hex."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex()}"


def _kind(letter: Letter, shown: Shown) -> str:
    if letter.value is None:
        return "none"
    schema = f", schema id {shown.form['schema-id']}" if shown.kind == "avro" else ""
    kind = {"avro": "Avro", "json": "JSON", "text": "text", "bytes": "bytes"}[shown.kind]
    return f"{kind}{schema}, {len(letter.value):,} bytes" + (f"; {shown.why}" if shown.why else "")


def _print_columns(lines: Sequence[Line], stream: TextIO) -> None:
    widths = [max(len(line[column]) for line in (_TITLES, *lines)) for column in range(len(_TITLES))]
    for line in (_TITLES, *lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), file=stream)


def _print_table(lines: Sequence[Line], columns: Sequence[int], stream: TextIO) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, expand=True)
    for column in columns:
        title = _TITLES[column]
        table.add_column(title, no_wrap=True, overflow="ellipsis", ratio=1 if title == "MESSAGE" else None)
    for line in lines:
        table.add_row(*(Text(line[column], style="red" if _TITLES[column] == "ERROR" else "") for column in columns))
    console(stream).print(table)
