"""What all commands share: the options that go with every command, and the settings they lead to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from atp_stream.settings import Settings
    from atp_stream.settings.load import Flag, LoadedSettings

PROGRAM = "atp-stream"
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(slots=True)
class State:
    """The options that go with every command, wherever on the line they were given."""

    as_json: bool = False
    debug: bool = False
    no_input: bool = False
    config: Path | None = None
    assignments: list[str] = field(default_factory=list)

    def load(self, flags: Sequence["Flag"] = ()) -> "LoadedSettings":
        """Read and check the settings. SettingsError: see settings.load."""
        from atp_stream.settings.load import load_settings

        return load_settings(self.config, self.assignments, flags)

    def settings_of_cluster(self, *, kafka: bool = True, registry: bool = True) -> "Settings":
        """Return the settings with the addresses of the cluster that is meant. UnavailableError: there is none."""
        from atp_stream.admin.resolve import with_cluster

        return with_cluster(self.load().settings, kafka=kafka, registry=registry)


def _config(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    state = ctx.ensure_object(State)
    state.config = value or state.config


def _assignments(ctx: click.Context, _: click.Parameter, values: tuple[str, ...]) -> None:
    ctx.ensure_object(State).assignments.extend(values)


def _no_input(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    state = ctx.ensure_object(State)
    state.no_input = state.no_input or value


def _debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    state = ctx.ensure_object(State)
    state.debug = state.debug or value


def _json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    # Only this decides, not the scan of the command line in `main`, which serves errors of the command line itself.
    ctx.ensure_object(State).as_json = value
    return value


def global_options(command: _F) -> _F:
    """Add the options that every command takes."""
    options = (
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="PATH",
            expose_value=False,
            callback=_config,
            help="Settings file. [env: ATP_CONFIG; default: config/local.toml, if it is there]",
        ),
        click.option(
            "--set",
            metavar="NAME=VALUE",
            multiple=True,
            expose_value=False,
            callback=_assignments,
            help="Set one setting, such as worker.log_level=debug. Repeatable.",
        ),
        click.option("--no-input", is_flag=True, expose_value=False, callback=_no_input, help="Never ask anything."),
        click.option("--debug", is_flag=True, expose_value=False, callback=_debug, help="Show tracebacks of errors."),
    )
    for option in reversed(options):
        command = option(command)
    return command


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_json, help="Print JSON on stdout, and nothing else there."
)
