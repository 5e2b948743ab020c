"""atp-stream schemas register | check | asyncapi."""

import dataclasses

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.cli.output import print_json, print_table
from atp_stream.errors import EXIT_OK, DataError


@click.group()
def schemas() -> None:
    """Register the schemas, or compare them with the registry."""


@schemas.command()
@json_option
@global_options
@click.pass_obj
def register(state: State, as_json: bool) -> int:
    """Register the schemas that are not yet in the registry. Running it again does nothing."""
    settings = state.settings_of_cluster(kafka=False)
    from atp_stream.admin.registry import register

    registered = register(settings)
    if as_json:
        print_json({"subjects": [dataclasses.asdict(one) for one in registered]})
    else:
        rows = [[one.subject, str(one.schema_id), "registered" if one.new else "unchanged"] for one in registered]
        print_table(["SUBJECT", "ID", "RESULT"], rows)
    return EXIT_OK


@schemas.command()
@json_option
@global_options
@click.pass_obj
def check(state: State, as_json: bool) -> int:
    """Say which subjects are missing or differ: exit 0 none, 65 some."""
    settings = state.settings_of_cluster(kafka=False)
    from atp_stream.admin.registry import check

    differences = check(settings)
    if as_json:
        print_json({"ok": not differences, "differences": [dataclasses.asdict(one) for one in differences]})
    elif differences:
        print_table(
            ["SUBJECT", "WHAT", "DETAILS"], [[one.subject, one.kind, "; ".join(one.details)] for one in differences]
        )
    else:
        print("all schemas are registered as they are here")
    return DataError.exit_code if differences else EXIT_OK


@schemas.command()
@global_options
@click.pass_obj
def asyncapi(state: State) -> int:
    """Print the AsyncAPI 3 document of all topics, as the settings name them.

    Nothing is connected to. A worker serves the same at /api/v1/asyncapi.json, and a page of it at /docs/events.
    """
    from atp_stream.admin.asyncapi import asyncapi_of

    print_json(asyncapi_of(state.load().settings))
    return EXIT_OK
