"""atp-stream dead-letters show: all about one letter, and its value in a file to be mended."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

from atp_stream.admin.streaming_errors import errors_for_people
from atp_stream.errors import EXIT_OK, AppError, DataError, UsageError
from atp_stream.observability import set_up_logging
from atp_stream.settings import Settings
from atp_stream.streaming.dead_letter_records import Letter, Place
from atp_stream.tools.dead_letters.causes import meaning, remedy
from atp_stream.tools.dead_letters.check import Checker
from atp_stream.tools.dead_letters.connection import DeadLetters, open_letters
from atp_stream.tools.dead_letters.value import Schemas, Shown, decoded, hex_dump
from atp_stream.tools.dead_letters.view import as_document, bytes_as_text, in_full
from atp_stream.tools.received import printable
from atp_stream.tools.terminal import console, is_fancy, note


def run_show(settings: Settings, place: Place, value_to: Path | None, as_json: bool) -> int:
    """Print all that is known of a letter; return 0. value_to: a new file for its value, in a form to be mended.

    DataError: there is no such letter. Other AppError: Kafka cannot be reached, the file cannot be written. A registry
    that is away costs only the decoded value.
    """
    set_up_logging("warning", "text")
    with errors_for_people():
        letters = open_letters(settings)
        (letter,) = letters.get([place])
        marker = letters.markers_of([place]).by_letter.get(place)
        shown, verdict = _shown(settings, letter), _verdict(letters, letter)
    if as_json:
        document = as_document(letter, marker) | _rest(letter, shown)
        document |= {"meaning": meaning(letter.code), "remedy": remedy(letter.code)}
        document["if_sent_back"] = None if marker else verdict
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print(in_full(letter, marker, shown, verdict), _body(letter, shown))
    if value_to is not None:
        _write(letter, shown, value_to)
    return EXIT_OK


def _shown(settings: Settings, letter: Letter) -> Shown:
    try:
        return decoded(letter.value, Schemas(settings))
    except AppError as error:
        return Shown("bytes", why=f"not decoded: {error.message}")


def _verdict(letters: DeadLetters, letter: Letter) -> str:
    try:
        outcome = Checker(letters).check([letter])[letter.place]
    except AppError as error:
        return f"not known: {error.message}"
    return outcome if isinstance(outcome, str) else "it would be accepted: `replay` sends it back as it is"


def _rest(letter: Letter, shown: Shown) -> dict[str, Any]:
    return {
        "key": None if letter.key is None else base64.b64encode(letter.key).decode(),
        "headers": [[name, bytes_as_text(value or b"")] for name, value in letter.headers],
        "value": None if letter.value is None else base64.b64encode(letter.value).decode(),
        "decoded": shown.form,
        "undecoded_because": shown.why,
    }


def _body(letter: Letter, shown: Shown) -> list[str]:
    if shown.kind in ("avro", "json"):
        return json.dumps(shown.form, indent=2, ensure_ascii=False).split("\n")
    if shown.kind == "text":
        return str(shown.form).splitlines()
    return hex_dump(letter.value or b"")


def _print(facts: list[tuple[str, str]], body: list[str]) -> None:
    width = max(len(title) for title, _ in facts)
    if not is_fancy(sys.stdout):
        for title, text in facts:
            print(f"{title:{width}}  {printable(text)}")
        for line in body:
            print(f"  {printable(line)}")
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for title, text in facts:
        style = "red" if title == "error" else ""
        grid.add_row(Text(title, style="dim"), Text(printable(text), style=style, overflow="fold"))
    terminal = console(sys.stdout)
    terminal.print(grid)
    for line in body:
        terminal.print(Text(f"  {printable(line)}"))


def _write(letter: Letter, shown: Shown, path: Path) -> None:
    if letter.value is None:
        raise DataError(
            f"dead letter {letter.place} has no value to write",
            cause="its record had none",
            fix="write one yourself, and send it with --value-from",
        )
    is_form = shown.kind == "avro"
    content = f"{json.dumps(shown.form, indent=2, ensure_ascii=False)}\n".encode() if is_form else letter.value
    try:
        with path.open("xb") as file:  # never over a file that somebody has mended
            file.write(content)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written",
            cause=(error.strerror or str(error)).lower(),
            fix="name a file that does not exist yet, in a directory that does",
        ) from None
    form = "as JSON" if is_form else "as its bytes"
    note(f"the value is in {path}, {form}: mend it, then `atp-stream dead-letters replay {letter.place} --value-from`")
