"""atp-stream topics plan | apply | create | check."""

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.cli.output import print_json, print_table
from atp_stream.errors import EXIT_OK, DataError, UsageError

if TYPE_CHECKING:
    from atp_stream.admin.topics import Plan
    from atp_stream.settings import Settings


@click.group()
def topics() -> None:
    """Create the Kafka topics, or compare them with the catalogue."""


def _planned(state: State) -> tuple["Settings", Any, "Plan"]:
    settings = state.settings_of_cluster(registry=False)
    from atp_stream.admin.kafka import connect, require_advertised
    from atp_stream.admin.topics import any_count, plan, specs

    cluster = connect(settings.kafka)
    require_advertised(cluster, settings.kafka)
    return settings, cluster.admin, plan(cluster.admin, specs(settings), any_count(settings))


@topics.command()
@json_option
@global_options
@click.pass_obj
def plan(state: State, as_json: bool) -> int:
    """Show what `topics apply` would create and change; change nothing."""
    _, _, planned = _planned(state)
    _show(planned, as_json, applied=False)
    return EXIT_OK


@topics.command()
@click.option("--yes", is_flag=True, help="Change settings of topics that exist without asking.")
@json_option
@global_options
@click.pass_obj
def apply(state: State, yes: bool, as_json: bool) -> int:
    """Create what is missing and set what differs. Running it again does nothing.

    Partition counts of topics that exist are never changed: exit 65, with nothing done.
    """
    settings, admin, planned = _planned(state)
    from atp_stream.admin.topics_apply import apply

    if planned.alter and not planned.refused and not yes:
        _confirm(state, planned)
    apply(admin, planned, settings.topics.replication_factor)
    _show(planned, as_json, applied=True)
    return EXIT_OK


topics.add_command(click.Command("create", params=apply.params, callback=apply.callback, help="The same as apply."))


@topics.command()
@json_option
@global_options
@click.pass_obj
def check(state: State, as_json: bool) -> int:
    """Say what differs from the catalogue: exit 0 nothing, 65 something."""
    _, _, planned = _planned(state)
    differences = planned.differences
    if as_json:
        print_json({"ok": not differences, "differences": [dataclasses.asdict(one) for one in differences]})
    elif differences:
        rows = [[one.topic, one.what, one.expected, one.found, one.fix] for one in differences]
        print_table(["TOPIC", "WHAT", "EXPECTED", "FOUND", "FIX"], rows)
    else:
        print(f"all {len(planned.unchanged)} topics are as the catalogue says")
    return DataError.exit_code if differences else EXIT_OK


def _confirm(state: State, planned: "Plan") -> None:
    if state.no_input or not sys.stdin.isatty():
        raise UsageError(
            f"{len(planned.alter)} setting(s) of topics that exist would be changed",
            cause=", ".join(f"{one.topic}: {one.what} {one.found} -> {one.expected}" for one in planned.alter),
            fix="look at `atp-stream topics plan`, then run `atp-stream topics apply --yes`",
        )
    for one in planned.alter:
        click.echo(f"{one.topic}: {one.what} {one.found} -> {one.expected}", err=True)
    click.confirm("Change these settings?", abort=True, err=True)


def _show(planned: "Plan", as_json: bool, *, applied: bool) -> None:
    if as_json:
        print_json(
            {
                "applied": applied,
                "create": [
                    {"topic": spec.name, "partitions": spec.partitions, "config": dict(spec.config)}
                    for spec in planned.create
                ],
                "alter": [dataclasses.asdict(one) for one in planned.alter],
                "refused": [dataclasses.asdict(one) for one in planned.refused],
                "unchanged": list(planned.unchanged),
            }
        )
        return
    rows = [
        ["created" if applied else "create", spec.name, f"partitions: {spec.partitions}", _config(spec.config)]
        for spec in planned.create
    ]
    rows += [
        ["changed" if applied else "change", one.topic, one.what, f"{one.found} -> {one.expected}"]
        for one in planned.alter
    ]
    rows += [["refused", one.topic, one.what, f"{one.found}, not {one.expected}"] for one in planned.refused]
    if rows:
        print_table(["ACTION", "TOPIC", "WHAT", "DETAILS"], rows)
    print(f"topics that are as the catalogue says: {len(planned.unchanged)}")


def _config(config: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(config.items()))
