"""atp-stream dead-letters list."""

import dataclasses
import json
import os
import sys
from collections import Counter, deque
from typing import Final

from atp_stream.admin.streaming_errors import errors_for_people
from atp_stream.errors import EXIT_OK
from atp_stream.observability import set_up_logging
from atp_stream.settings import Settings
from atp_stream.streaming.dead_letter_records import Letter, Marker
from atp_stream.tools.dead_letters.connection import DeadLetters, Wanted, open_letters
from atp_stream.tools.dead_letters.view import Line, as_document, as_line, print_lines
from atp_stream.tools.feed_progress import Show, progress_on
from atp_stream.tools.terminal import note

_SHOWN_ON_A_SCREEN: Final = 50


def run_list(settings: Settings, wanted: Wanted, limit: int | None, as_json: bool) -> int:
    """Print the letters that are wanted, newest last; return 0.

    limit: print only so many, the newest; None: all of them as JSON, else as many as a person would look through. Kept
    in memory are one entry for each letter that was sent back, and the lines to print. AppError: Kafka cannot be
    reached, or the topic is missing.
    """
    set_up_logging("warning", "text")
    try:
        with errors_for_people(), progress_on(sys.stderr) as progress:
            listing = _Listing(open_letters(settings), wanted, limit, as_json, progress)
        listing.show()
        sys.stdout.flush()
    except BrokenPipeError:
        # As with `| head`: whoever reads has seen enough. What is still buffered must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OK


class _Listing:
    def __init__(self, letters: DeadLetters, wanted: Wanted, limit: int | None, as_json: bool, progress: Show) -> None:
        self._wanted, self._as_json = wanted, as_json
        self._by_error: Counter[str] = Counter()
        self._sent_back = 0
        most = limit if limit is not None or as_json else _SHOWN_ON_A_SCREEN
        self._kept: deque[Line | str] = deque(maxlen=most)
        self._at_once = as_json and limit is None
        any_state = dataclasses.replace(wanted, is_open=False)

        def take(letter: Letter, marker: Marker | None) -> None:
            if any_state.includes(letter, marker):
                self._sent_back += marker is not None
                if wanted.includes(letter, marker):
                    self._add(letter, marker)

        letters.each(take, progress)

    def _add(self, letter: Letter, marker: Marker | None) -> None:
        self._by_error[letter.code] += 1
        if not self._as_json:
            self._kept.append(as_line(letter, marker))
            return
        text = json.dumps(as_document(letter, marker), ensure_ascii=False)
        if self._at_once:
            print(text)
        else:
            self._kept.append(text)

    def show(self) -> None:
        """Print what was kept, and the sums."""
        found = self._by_error.total()
        more = found - len(self._kept)
        if self._as_json:
            for text in self._kept:
                print(text)
            if more and not self._at_once:
                note(f"{more:,} older ones are not shown")
            return
        lines = [line for line in self._kept if isinstance(line, Line)]
        if lines:
            print_lines(lines, sys.stdout)
        if more:
            print(f"... and {more:,} older ones: --limit {found} shows all, or narrow it down")
        print(self._sums(found))

    def _sums(self, found: int) -> str:
        what = "open dead letter" if self._wanted.is_open else "dead letter"
        sums = f"{found or 'no':,} {what}{'' if found == 1 else 's'}" if found else f"no {what}s"
        if found:
            sums += ": " + ", ".join(f"{count:,} {code}" for code, count in self._by_error.most_common())
        if self._sent_back and self._wanted.is_open:
            return f"{sums} ({self._sent_back:,} sent back before: --all shows them)"
        return f"{sums} ({self._sent_back:,} sent back)" if self._sent_back else sums
