"""atp-stream tokens create | list | revoke."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.cli.output import print_json, print_table
from atp_stream.errors import EXIT_OK, ConfigurationError, UsageError
from atp_stream.tools.terminal import note

if TYPE_CHECKING:
    from atp_stream.web.token_file import Entry


@click.group()
def tokens() -> None:
    """Make and revoke the bearer tokens of the web server (web.auth = tokens).

    They are kept, as hashes, in the file that web.tokens_file names. A worker notices a change within a second or two.
    """


@tokens.command()
@click.option("--name", required=True, help="Who has it; a name can be had once.")
@click.option("--tenant", required=True, help='The one tenant it is for; "*": all.')
@click.option(
    "--role", required=True, type=click.Choice(["read", "allocate", "admin"]), help="Each may what those before it may."
)
@click.option(
    "--expires", metavar="WHEN", help="A moment (2027-01-31, 2027-01-31T12:00Z) or a time from now (90d, 12h)."
)
@json_option
@global_options
@click.pass_obj
def create(state: State, name: str, tenant: str, role: str, expires: str | None, as_json: bool) -> int:
    """Make a token and print it on stdout: this once, as it is kept nowhere."""
    path = _path(state)
    from atp_stream.web.token_file import create_token

    until = None if expires is None else _moment(expires, datetime.now(UTC))
    token = create_token(path, name, tenant, role, until)
    if as_json:
        print_json({"name": name, "tenant": tenant, "role": role, "expires": _text(until), "token": token})
    else:
        print(token)
        note(f"keep the token: it cannot be shown again ({path} has its hash)")
    return EXIT_OK


@tokens.command("list")
@json_option
@global_options
@click.pass_obj
def list_(state: State, as_json: bool) -> int:
    """List the tokens by name, without the tokens."""
    path = _path(state)
    from atp_stream.web.token_file import read_tokens

    rows = [_row(entry) for _, entry in sorted(read_tokens(path).items())] if path.exists() else []
    if as_json:
        print_json({"file": str(path), "tokens": rows})
    elif rows:
        now = datetime.now(UTC).isoformat()
        cells = [[row["name"], row["tenant"], row["role"], _shown(row["expires"], now)] for row in rows]
        print_table(["NAME", "TENANT", "ROLE", "EXPIRES"], cells)
    else:
        print(f"no tokens in {path}")
    return EXIT_OK


@tokens.command()
@click.argument("name")
@json_option
@global_options
@click.pass_obj
def revoke(state: State, name: str, as_json: bool) -> int:
    """Take a token out of the file: who has it is no longer let in."""
    path = _path(state)
    from atp_stream.web.token_file import revoke_token

    revoke_token(path, name)
    if as_json:
        print_json({"revoked": name})
    else:
        print(f"revoked: {name}")
    return EXIT_OK


def _path(state: State) -> Path:
    path = state.load().settings.web.tokens_file
    if path is None:
        raise ConfigurationError(
            "web.tokens_file is missing",
            cause="it names the file that the tokens are kept in",
            setting="web.tokens_file",
            fix="set web.tokens_file (ATP_WEB__TOKENS_FILE), or add --set web.tokens_file=PATH",
        )
    return path


def _moment(text: str, now: datetime) -> datetime:
    """Return when a token expires, as it was given. UsageError: it is no such moment, or is past."""
    span = re.fullmatch(r"(\d{1,5})([dh])", text)
    try:
        if span is not None:
            hours = int(span[1]) * (24 if span[2] == "d" else 1)
            found = now.replace(microsecond=0) + timedelta(hours=hours)
        else:
            found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--expires {text} is no moment",
            cause="a date, a date with a time, or a time from now is needed",
            fix="write for example --expires 2027-01-31, or --expires 90d",
        ) from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if found <= now:
        raise UsageError(
            f"--expires {text} is past", cause="the token would never be let in", fix="give a moment that is to come"
        )
    return found


def _row(entry: "Entry") -> dict[str, Any]:
    principal = entry.principal
    return {
        "name": principal.name,
        "tenant": "*" if principal.tenant is None else principal.tenant,
        "role": principal.role.name.lower(),
        "expires": _text(entry.expires),
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _shown(expires: str | None, now: str) -> str:
    if expires is None:
        return "never"
    return f"{expires} (expired)" if expires <= now else expires
