"""atp-stream inspect | items | workers: looking into the running workers."""

from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from atp_stream.tools.api_client import Answer
    from atp_stream.tools.look_view import View

_API = "/api/v1"
_ATP = f"{_API}/inventory/atp"

_watch = click.option("--watch", is_flag=True, help="Go on showing it as it changes, until Ctrl-C.")
_wait = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a worker that cannot tell yet is asked again; with --watch also one that is gone.",
)


@click.command()
@click.argument("item", metavar="ITEM")
@click.option("--tenant", metavar="TENANT", help="Whose item it is; ITEM is then its id as it is.")
@_watch
@_wait
@json_option
@global_options
@click.pass_obj
def inspect(state: State, item: str, tenant: str | None, watch: bool, wait: float, as_json: bool) -> int:
    """Show all about one item: what is there, what each channel has of it, and what is held back for what.

    Any worker is asked (client.url; else one that runs on this machine), and the one that has the item answers. ITEM is
    TENANT/ITEM ('/' in an id is %2F, '%' is %25); with --tenant, or a token of one tenant, the id of the item.

    \b
    Examples:
      atp-stream inspect north/DRILL
      atp-stream inspect DRILL --tenant north --watch
      atp-stream inspect north/DRILL --json | jq '.channels[] | {channel, available}'

    Exit code: 0 shown, 64 usage, 65 not known, 69 no worker reached, 75 the workers cannot tell yet, 77 refused.
    """
    tenant, item = _named(item, tenant)
    from atp_stream.tools.look_answers import pools_view

    parameters = {} if tenant is None else {"tenantId": tenant}
    # An item may have a name that a path gives a meaning to: ".." is the folder above.
    name = quote(item, safe="") if item.strip(".") else item.replace(".", "%2E")
    return _look(state, f"{_ATP}/pools/{name}", parameters, pools_view, watch, wait, as_json)


@click.command()
@click.option("--tenant", metavar="TENANT", help="Only the items of this tenant.")
@click.option("--q", metavar="TEXT", help="Only items whose id begins with this, capitals as they are.")
@click.option("--channel", metavar="CHANNEL", help="Only this channel.")
@click.option(
    "--status",
    type=click.Choice(["oversold", "out", "low", "ok"]),
    multiple=True,
    help="Only rows of this status. Repeatable.",
)
@click.option("--low", metavar="QUANTITY", help="Less than this available is `low`.  [default: 10.00]")
@click.option(
    "--order",
    type=click.Choice(["key", "attention"]),
    help="By name, or oversold, out and low first, for which every item is looked at.  [default: key]",
)
@click.option("--limit", type=click.IntRange(1, 1000), help="The most rows.  [default: 100]")
@click.option("--cursor", metavar="CURSOR", help="The rows that follow, as the list before said.")
@click.option("--partial", is_flag=True, help="Show what can be read although some partitions cannot.")
@_watch
@_wait
@json_option
@global_options
@click.pass_obj
def items(
    state: State,
    tenant: str | None,
    q: str | None,
    channel: str | None,
    status: tuple[str, ...],
    low: str | None,
    order: str | None,
    limit: int | None,
    cursor: str | None,
    partial: bool,
    watch: bool,
    wait: float,
    as_json: bool,
) -> int:
    """List items and channels: on hand = available + reserved + held back, in every row.

    \b
    Examples:
      atp-stream items --order attention --limit 20 --watch
      atp-stream items --tenant north --q DR --channel ECOM
      atp-stream items --status oversold --status out --json | jq .items

    Exit code: 0 shown, 64 usage, 69 no worker reached, 75 the workers cannot tell yet, 77 refused.
    """
    from atp_stream.tools.look_answers import items_view

    parameters = {
        "tenantId": tenant,
        "q": q,
        "channel": channel,
        "status": ",".join(status) or None,
        "low": low,
        "order": order,
        "limit": None if limit is None else str(limit),
        "cursor": cursor,
        "partial": "true" if partial else None,
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    return _look(state, f"{_ATP}/items", given, items_view, watch, wait, as_json)


@click.command()
@_watch
@_wait
@json_option
@global_options
@click.pass_obj
def workers(state: State, watch: bool, wait: float, as_json: bool) -> int:
    """Show the workers of the group: what they are at, their partitions, how far behind they are.

    \b
    Examples:
      atp-stream workers --watch
      atp-stream workers --json | jq '.workers[] | select(.ready | not)'

    Exit code: 0 shown, 64 usage, 69 no worker reached, 75 the workers cannot tell yet, 77 refused.
    """
    from atp_stream.tools.look_answers import workers_view

    return _look(state, f"{_API}/workers", {}, workers_view, watch, wait, as_json)


def _look(
    state: State,
    path: str,
    parameters: "Mapping[str, str]",
    view: "Callable[[Answer], View]",
    watch: bool,
    wait: float,
    as_json: bool,
) -> int:
    _readable(*parameters.values())
    from atp_stream.tools.look import Question, run_look

    settings = state.load().settings
    return run_look(settings, Question(path, parameters, view), watch=watch, wait=wait, as_json=as_json)


def _named(item: str, tenant: str | None) -> tuple[str | None, str]:
    """Return the tenant, if one is named, and the id of the item."""
    from atp_stream.contracts.keys import split_item_key

    _readable(item)
    if tenant is not None or "/" not in item:
        if not item or tenant == "":
            raise UsageError("an empty name", cause="items and tenants have names", fix="give the item as TENANT/ITEM")
        return tenant, item
    try:
        named, name = split_item_key(item.encode())
    except ValueError as error:
        raise UsageError(
            "that is no item", cause=str(error), fix="give TENANT/ITEM with '/' as %2F and '%' as %25, or use --tenant"
        ) from None
    return named, name


def _readable(*texts: str) -> None:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise UsageError(
            "an argument is not UTF-8", cause="ids are text in UTF-8", fix="give it in that encoding"
        ) from None
