"""atp-stream feed | tail | demo: seeing it work."""

import sys
from typing import TYPE_CHECKING

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.errors import UsageError

if TYPE_CHECKING:
    from atp_stream.settings import Settings

_LOOPBACK = ("127.", "localhost:", "[::1]:")

_rate = click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=50.0,
    show_default=True,
    metavar="EVENTS/S",
    help="Events per second.",
)
_yes = click.option("--yes", is_flag=True, help="Send made-up events to a cluster beyond this machine without asking.")
_items = click.option("--items", type=click.IntRange(min=1), default=300, show_default=True, help="Number of items.")


@click.command()
@_rate
@_items
@click.option("--seed", type=int, help="Repeat the same events: number to start the generator with.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.  [default: go on]")
@click.option(
    "--bad-percent",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    metavar="P",
    help="Percentage of events that are broken on purpose.",
)
@_yes
@global_options
@click.pass_obj
def feed(
    state: State, rate: float, items: int, seed: int | None, count: int | None, bad_percent: float, yes: bool
) -> int:
    """Send made-up stock and reservation events to Inventory Core's topics.

    It begins with stock of every item, at once, and then keeps to the rate.
    """
    settings = state.settings_of_cluster()
    _confirm(state, settings, yes)
    from atp_stream.tools.feed import run_feed

    return run_feed(settings, rate=rate, items=items, seed=seed, count=count, bad_percent=bad_percent)


@click.command()
@click.argument(
    "topics",
    nargs=-1,
    metavar="[TOPIC]...",
    type=click.Choice(["availability", "allocations", "denials", "dead-letters", "all"]),
)
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest events there are.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.  [default: go on]")
@json_option
@global_options
@click.pass_obj
def tail(state: State, topics: tuple[str, ...], from_beginning: bool, count: int | None, as_json: bool) -> int:
    """Show the events that come out, as they are committed.

    TOPIC is one or more of availability, allocations, denials, dead-letters, all (the default). With --json each line
    is one event with all its fields and headers.
    """
    settings = state.settings_of_cluster()
    from atp_stream.tools.tail import run_tail

    return run_tail(settings, topics=topics or ("all",), from_beginning=from_beginning, count=count, as_json=as_json)


@click.command()
@_rate
@_items
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop so long after the first numbers.  [default: go on]",
)
@_yes
@global_options
@click.pass_obj
def demo(state: State, rate: float, items: int, duration: float | None, yes: bool) -> int:
    """Start everything on this machine and watch it work.

    That is Kafka and the schema registry, a worker, and made-up events. All of it ends with the demo; topics and state
    are kept for the next time. A local cluster that runs already is used and left running. Where
    kafka.bootstrap_servers is set, that cluster is used and none is started.
    """
    settings = state.load().settings
    _confirm(state, settings, yes)
    from atp_stream.tools.demo import run_demo

    return run_demo(settings, rate=rate, items=items, duration=duration)


def _confirm(state: State, settings: "Settings", yes: bool) -> None:
    """See that made-up stock does not get into a cluster that others may use. UsageError: nobody can be asked."""
    beyond = [server for server in settings.kafka.bootstrap_servers if not server.startswith(_LOOPBACK)]
    if yes or not beyond:
        return
    topics = ", ".join(settings.topics.sources)
    if state.no_input or not sys.stdin.isatty():
        raise UsageError(
            f"made-up events would go to {beyond[0]}, which is not on this machine",
            cause=f"kafka.bootstrap_servers is set; the topics would be {topics}",
            setting="kafka.bootstrap_servers",
            fix="add --yes if that is meant",
        )
    click.echo(f"Made-up events will go to {beyond[0]}, topics {topics}.", err=True)
    click.confirm("Send them?", abort=True, err=True)
