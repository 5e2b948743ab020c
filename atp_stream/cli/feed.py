"""atp-stream feed | tail | demo: seeing it work."""

import click

from atp_stream.cli.common import State, global_options, json_option

_rate = click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=50.0,
    show_default=True,
    metavar="EVENTS/S",
    help="Events per second.",
)
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
@global_options
@click.pass_obj
def feed(state: State, rate: float, items: int, seed: int | None, count: int | None, bad_percent: float) -> int:
    """Send made-up stock and reservation events to Inventory Core's topics.

    It begins with stock of every item, at once, and then keeps to the rate.
    """
    settings = state.settings_of_cluster()
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
@global_options
@click.pass_obj
def demo(state: State, rate: float, items: int, duration: float | None) -> int:
    """Start everything on this machine and watch it work.

    That is Kafka and the schema registry, a worker, and made-up events. All of it ends with the demo; topics and state
    are kept for the next time. A local cluster that runs already is used and left running. Where
    kafka.bootstrap_servers is set, that cluster is used and none is started.
    """
    settings = state.load().settings
    from atp_stream.tools.demo import run_demo

    return run_demo(settings, rate=rate, items=items, duration=duration)
