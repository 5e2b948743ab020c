"""atp-stream local up | down | status."""

import dataclasses
import sys
from typing import TYPE_CHECKING

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.cli.output import print_json, print_table
from atp_stream.errors import EXIT_OK, UnavailableError
from atp_stream.tools.terminal import console

if TYPE_CHECKING:
    from atp_stream.local import LocalCluster


@click.group()
def local() -> None:
    """Run a Kafka and a schema registry on this machine.

    The first start fetches them; both listen on this machine only, and keep their data between runs.
    """


@local.command()
@json_option
@global_options
@click.pass_obj
def up(_: State, as_json: bool) -> int:
    """Start what does not run yet, and wait until it serves."""
    from atp_stream.local import LocalCluster, shown

    with shown(console(sys.stderr)) as report:
        cluster = LocalCluster.start(report=report)
    _show(cluster, as_json)
    return EXIT_OK


@local.command()
@click.option("--wipe", is_flag=True, help="Also delete topics, schemas and logs.")
@json_option
@global_options
@click.pass_obj
def down(_: State, wipe: bool, as_json: bool) -> int:
    """Stop what runs; the data is kept."""
    from atp_stream.local import LocalCluster

    cluster = LocalCluster.find()
    if cluster is not None:
        cluster.stop(wipe=wipe)
    elif wipe:
        LocalCluster.wipe()
    if as_json:
        print_json({"stopped": cluster is not None, "wiped": wipe})
    else:
        print(f"{'stopped' if cluster else 'nothing was running'}{', data deleted' if wipe else ''}")
    return EXIT_OK


@local.command()
@json_option
@global_options
@click.pass_obj
def status(_: State, as_json: bool) -> int:
    """Show what runs and where: exit 0 all, 69 not all of it."""
    from atp_stream.local import LocalCluster

    cluster = LocalCluster.find()
    _show(cluster, as_json)
    status = cluster.status() if cluster else None
    all_running = status is not None and status.kafka.running and status.registry.running
    return EXIT_OK if all_running else UnavailableError.exit_code


def _show(cluster: "LocalCluster | None", as_json: bool) -> None:
    status = cluster.status() if cluster else None
    if as_json:
        print_json({"running": status is not None, "cluster": dataclasses.asdict(status) if status else None})
    elif status is None:
        print("no local cluster is running; start it with `atp-stream local up`")
    else:
        rows = [
            ["Kafka", "running" if status.kafka.running else "stopped", status.bootstrap_servers],
            ["schema registry", "running" if status.registry.running else "stopped", status.registry_url],
        ]
        print_table(["SERVICE", "STATE", "ADDRESS"], rows)
        print(f"data and logs: {status.directory}")
