"""atp-stream dead-letters replay: letters sent back to where they came from, each once."""

import json
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from atp_stream.admin.streaming_errors import errors_for_people
from atp_stream.errors import EXIT_OK, DataError, UsageError
from atp_stream.observability import set_up_logging
from atp_stream.settings import Settings
from atp_stream.stages.records import SOURCE
from atp_stream.streaming.dead_letter_records import Letter, Marker, Place
from atp_stream.streaming.dead_letter_replay import Markers, Replayer, Return, Verdict
from atp_stream.tools.dead_letters.check import Checker
from atp_stream.tools.dead_letters.connection import DeadLetters, Wanted, open_letters
from atp_stream.tools.dead_letters.value import Schemas, encoded, is_form
from atp_stream.tools.dead_letters.view import moment
from atp_stream.tools.feed_progress import progress_on
from atp_stream.tools.received import printable
from atp_stream.tools.stopping import Stop, stop_signals
from atp_stream.tools.terminal import note

_AT_ONCE: Final = 200  # letters in one transaction: it is open in topics that workers read
_INTERRUPTED: Final = 130

Agree = Callable[[int], None]
"""Asks whether so many letters are to be sent back; raises if not."""


def run_resend(
    settings: Settings,
    wanted: Sequence[Place] | Wanted,
    value_from: Path | None,
    agree: Agree,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Send letters back that would be accepted now; return 0 if all of them were sent, 65 if not.

    wanted: these letters, or all open ones that it includes. value_from: a file with the value to send instead, for one
    letter. agree: asked before more than one is sent. dry_run: only say what would be done.
    AppError: Kafka or the registry cannot be reached, there is no such letter. What was sent until then has been sent.
    """
    set_up_logging("warning", "text")
    with errors_for_people():
        letters = open_letters(settings)
        if isinstance(wanted, Wanted):
            places, markers = _open(letters, wanted)
        else:
            places = sorted(set(wanted))
            letters.get(places)  # if one of them is not there, none is sent
            markers = letters.markers_of(places)
        if len(places) > 1 and not dry_run:
            agree(len(places))
        replayer = letters.replayer(markers, uuid.uuid4().hex)
        with stop_signals() as stop:
            return _Run(letters, replayer, value_from, dry_run, as_json).all_of(places, stop)


def _open(letters: DeadLetters, wanted: Wanted) -> tuple[list[Place], Markers]:
    places: list[Place] = []

    def take(letter: Letter, marker: Marker | None) -> None:
        if wanted.includes(letter, marker):
            places.append(letter.place)

    with progress_on(sys.stderr) as progress:
        markers = letters.each(take, progress)
    return places, markers


class _Run:
    def __init__(
        self, letters: DeadLetters, replayer: Replayer, value_from: Path | None, dry_run: bool, as_json: bool
    ) -> None:
        self._letters, self._replayer, self._value_from = letters, replayer, value_from
        self._dry_run, self._as_json = dry_run, as_json
        self._checker = Checker(letters)
        self._sent = self._not_sent = 0

    def all_of(self, places: Sequence[Place], stop: Stop) -> int:
        try:
            for start in range(0, len(places), _AT_ONCE):
                if stop.asked:
                    break
                with stop.interrupting():
                    letters = self._letters.get(places[start : start + _AT_ONCE])
                    checked = self._checked(letters)
                self._send(letters, checked)
        finally:
            self._replayer.close()
        left = len(places) - self._sent - self._not_sent
        if not self._as_json:
            self._print_sums(left)
        if left:
            note(f"stopped: {left:,} are left as they were")
            return _INTERRUPTED
        return DataError.exit_code if self._not_sent else EXIT_OK

    def _checked(self, letters: Sequence[Letter]) -> dict[Place, Return | str]:
        known = self._replayer.markers.by_letter
        fresh = [letter for letter in letters if letter.place not in known]
        if not fresh:
            return {}
        mended = None if self._value_from is None else self._mended(fresh[0], self._value_from)
        return self._checker.check(fresh, mended)

    def _mended(self, letter: Letter, path: Path) -> bytes:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read", cause=(error.strerror or str(error)).lower(), fix="correct --value-from"
            ) from None
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            return content
        if not is_form(document):
            return content
        return encoded(document, self._schema_topic(letter), Schemas(self._letters.settings))

    def _schema_topic(self, letter: Letter) -> str:
        """Return Core's topic that a letter came from, at first."""
        topic = letter.source.topic if letter.source else ""
        if topic == self._letters.settings.topics.changes:
            for name, value in letter.headers:
                if name == SOURCE and value is not None:
                    return value.decode(errors="replace").rsplit("/", 2)[0]
        return topic

    def _send(self, letters: Sequence[Letter], checked: dict[Place, Return | str]) -> None:
        returns = [each for each in checked.values() if isinstance(each, Return)]
        verdicts = self._replayer.send(returns) if returns and not self._dry_run else {}
        for letter in letters:
            what = checked.get(letter.place)
            if isinstance(what, str):
                self._print(letter, "refused", what)
            elif what is None or verdicts.get(letter.place) is Verdict.ALREADY_SENT:
                self._print(letter, "already_sent", self._before(letter.place))
            else:
                self._print(letter, "would_be_sent" if self._dry_run else "sent", _where(what))

    def _before(self, place: Place) -> str:
        marker = self._replayer.markers.by_letter[place]
        return f"it was sent back already, {moment(marker.time)} to {marker.to}"

    def _print(self, letter: Letter, result: str, text: str) -> None:
        if result in ("sent", "would_be_sent"):
            self._sent += 1
        else:
            self._not_sent += 1
        if self._as_json:
            document: dict[str, Any] = {"id": str(letter.place), "result": result, "details": text}
            print(json.dumps(document, ensure_ascii=False), flush=True)
            return
        words = {"sent": "sent back", "would_be_sent": "would be sent back"}.get(result, "not sent:")
        print(printable(f"{letter.place}  {words} {text}"), flush=True)

    def _print_sums(self, left: int) -> None:
        if self._sent + self._not_sent + left == 0:
            print("no dead letters to send back")
        elif self._sent + self._not_sent > 1:
            print(f"{self._sent:,} {'would be ' if self._dry_run else ''}sent back, {self._not_sent:,} not")


def _where(sent: Return) -> str:
    without = ", without its headers" if "headers" in sent.letter.cut else ""
    return f"to {sent.topic}[{sent.partition}], {'mended' if sent.is_mended else 'as it was'}{without}"
