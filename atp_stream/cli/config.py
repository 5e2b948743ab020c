"""atp-stream config show | check."""

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.cli.output import print_json, print_table


@click.group()
def config() -> None:
    """Show or check the settings."""


@config.command()
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@json_option
@global_options
@click.pass_obj
def show(state: State, origin: bool, as_json: bool) -> int:
    """Show every setting as it is in force; secrets are redacted."""
    loaded = state.load()
    shown = sorted(loaded.shown(), key=lambda row: row[0])
    if as_json:
        rows = [
            {"name": name, "value": value} | ({"origin": {"kind": where.kind, "where": where.where}} if origin else {})
            for name, value, where in shown
        ]
        print_json({"file": str(loaded.file) if loaded.file else None, "settings": rows})
        return 0
    cells = [[name, _text(value), where.where] for name, value, where in shown]
    print_table(
        ["SETTING", "VALUE", "ORIGIN"] if origin else ["SETTING", "VALUE"], cells if origin else [c[:2] for c in cells]
    )
    return 0


@config.command()
@json_option
@global_options
@click.pass_obj
def check(state: State, as_json: bool) -> int:
    """Check the settings without connecting to anything; exit 78 where something is wrong."""
    loaded = state.load()
    if as_json:
        print_json({"ok": True, "file": str(loaded.file) if loaded.file else None})
    else:
        print(f"the settings are valid ({loaded.file or 'no file'})")
    return 0


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
