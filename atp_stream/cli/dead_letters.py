"""atp-stream dead-letters list | show | replay."""

import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.errors import UsageError

_AGO: Final = re.compile(r"(\d{1,6})([mhd])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


class _When(click.ParamType):
    """A time: ISO 8601, in this machine's zone unless it names one, or how long ago. Given on as epoch milliseconds."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return epoch milliseconds."""
        ago = _AGO.fullmatch(str(value))
        try:
            if ago is not None:
                when = datetime.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            else:
                when = datetime.fromisoformat(str(value))
            return int(when.timestamp() * 1000)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither a time (2026-01-31T14:00) nor how long ago (90m, 24h, 7d).", param, ctx)


_error = click.option("--error", metavar="CODE", help="Only those with this error code, such as NOT_AVRO.")
_topic = click.option("--topic", metavar="TOPIC", help="Only those that came from this topic.")
_since = click.option(
    "--since", type=_When(), metavar="WHEN", help="Only those set aside since: a time, or 90m, 24h, 7d."
)
_until = click.option("--until", type=_When(), metavar="WHEN", help="Only those set aside before: likewise.")


@click.group("dead-letters")
def dead_letters() -> None:
    """See what was refused, and send it back, once.

    A dead letter is an event that could not be accepted, set aside with its cause. Its id is its place in the
    dead-letter topic, PARTITION:OFFSET.
    """


@dead_letters.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that were sent back.")
@_error
@_topic
@_since
@_until
@click.option("--limit", type=click.IntRange(min=1), help="Show only so many, the newest.  [default: 50; --json: all]")
@json_option
@global_options
@click.pass_obj
def list_letters(
    state: State,
    everything: bool,
    error: str | None,
    topic: str | None,
    since: int | None,
    until: int | None,
    limit: int | None,
    as_json: bool,
) -> int:
    """List the dead letters that are open, the newest last, and count them by error.

    With --json each line is one letter.

    \b
    Examples:
      atp-stream dead-letters list
      atp-stream dead-letters list --error UNKNOWN_SCHEMA_ID --since 24h
      atp-stream dead-letters list --all --json | jq .error
    """
    settings = state.settings_of_cluster(registry=False)
    from atp_stream.tools.dead_letters.connection import Wanted
    from atp_stream.tools.dead_letters.listing import run_list

    return run_list(settings, Wanted(error, topic, since, until, is_open=not everything), limit, as_json)


@dead_letters.command()
@click.argument("letter", metavar="ID")
@click.option("--value-to", type=_FILE, metavar="FILE", help="Write the value to a new file, in a form to be mended.")
@json_option
@global_options
@click.pass_obj
def show(state: State, letter: str, value_to: Path | None, as_json: bool) -> int:
    """Show all about one dead letter: cause, headers, value, what can be done, what has been done.

    --value-to writes what can be read as Avro as JSON, which encodes to the same bytes again: fields by name, decimals
    as strings, times as epoch milliseconds. Anything else is written as the bytes that it is.

    \b
    Examples:
      atp-stream dead-letters show 0:17
      atp-stream dead-letters show 0:17 --value-to event.json
    """
    from atp_stream.tools.dead_letters.connection import parse_id

    place = parse_id(letter)
    settings = state.settings_of_cluster()
    from atp_stream.tools.dead_letters.show import run_show

    return run_show(settings, place, value_to, as_json)


@dead_letters.command()
@click.argument("letters", nargs=-1, metavar="[ID]...")
@click.option("--all-open", is_flag=True, help="All that were not sent back yet; --error, --topic, ... narrow it down.")
@_error
@_topic
@_since
@_until
@click.option(
    "--value-from", type=_FILE, metavar="FILE", help="Send this value instead: JSON as of show, or its bytes."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be sent, and why the others would not.")
@click.option("--yes", is_flag=True, help="Send more than one without asking.")
@json_option
@global_options
@click.pass_obj
def replay(
    state: State,
    letters: tuple[str, ...],
    all_open: bool,
    error: str | None,
    topic: str | None,
    since: int | None,
    until: int | None,
    value_from: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Send dead letters back to the topic that they came from: each once, whoever else does the same.

    A letter that would be refused again is not sent, with the reason. Exit 0: all were sent; 65: not all.

    \b
    Examples:
      atp-stream dead-letters replay 0:17
      atp-stream dead-letters replay 0:17 --value-from event.json
      atp-stream dead-letters replay --all-open --error UNKNOWN_SCHEMA_ID --dry-run
    """
    narrowed = any(given is not None for given in (error, topic, since, until))
    _check(letters, all_open, narrowed, value_from)
    from atp_stream.tools.dead_letters.connection import Wanted, parse_id

    places = [parse_id(letter) for letter in letters]
    settings = state.settings_of_cluster()
    from atp_stream.tools.dead_letters.resend import run_resend

    def agree(count: int) -> None:
        if not yes:
            _agree(state, count)

    wanted = Wanted(error, topic, since, until) if all_open else places
    return run_resend(settings, wanted, value_from, agree, dry_run, as_json)


def _check(letters: tuple[str, ...], all_open: bool, narrowed: bool, value_from: Path | None) -> None:
    """See that it is clear which letters are meant. UsageError: it is not."""
    problem = None
    if all_open == bool(letters):
        problem = "give either the ids of dead letters or --all-open"
    elif narrowed and not all_open:
        problem = "--error, --topic, --since and --until go with --all-open"
    elif value_from is not None and len(letters) != 1:
        problem = "--value-from is for one dead letter, given by its id"
    if problem is not None:
        raise UsageError(
            problem, cause="the command line is not valid", fix="see `atp-stream dead-letters replay --help`"
        )


def _agree(state: State, count: int) -> None:
    if state.no_input or not sys.stdin.isatty():
        raise UsageError(
            f"{count:,} dead letters would be sent back",
            cause="more than one is sent only when that was agreed to, and nobody can be asked here",
            fix="look at it with --dry-run, then add --yes",
        )
    click.confirm(f"Send {count:,} dead letters back?", abort=True, err=True)
