"""The command line. Commands are imported when they are run, so that `--help` and completion stay fast.

Nothing heavy is imported here: click and the standard library only.
"""

import importlib
import sys
from collections.abc import Sequence

import click
from click.exceptions import NoArgsIsHelpError

from atp_stream.cli.common import PROGRAM, State, global_options
from atp_stream.cli.report import report, report_bug
from atp_stream.errors import AppError, UsageError

# Name -> (module, help in one line). The command has the name of the function or group in its module, "-" being "_".
_COMMANDS = {
    "demo": ("feed", "Start everything on this machine and watch it work."),
    "worker": ("worker", "Run one worker."),
    "feed": ("feed", "Send made-up stock and reservation events."),
    "tail": ("feed", "Show the events that come out."),
    "inspect": ("look", "Show all about one item."),
    "items": ("look", "List items and channels."),
    "workers": ("look", "Show the workers of the group."),
    "dead-letters": ("dead_letters", "See what was refused, and send it back, once."),
    "topics": ("topics", "Create the Kafka topics, or compare them with the catalogue."),
    "tokens": ("tokens", "Make and revoke the bearer tokens of the web server."),
    "schemas": ("schemas", "Register the schemas, or compare them with the registry."),
    "local": ("local", "Run a Kafka and a schema registry on this machine."),
    "verify": ("verify", "Check that nothing was lost, doubled or miscounted."),
    "doctor": ("doctor", "Look for what would keep a worker from running."),
    "config": ("config", "Show or check the settings."),
    "completion": ("completion", "Print the completion script of a shell."),
}


class _Root(click.Group):
    """Looks up commands by name and imports only the one that is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"atp_stream.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"{PROGRAM} {version(PROGRAM)}")
        ctx.exit()


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@global_options
def root() -> None:
    """Available-to-promise as an exactly-once stream application on Kafka.

    Settings: option, then environment (ATP_SECTION__KEY), then file (--config), then default.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code; errors are reported on stderr, without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    state = State(as_json="--json" in arguments, debug="--debug" in arguments)
    try:
        result = root.main(args=arguments, prog_name=PROGRAM, standalone_mode=False, obj=state)
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else PROGRAM
        return report(
            UsageError(error.format_message(), cause="the command line is not valid", fix=f"see `{path} --help`"), state
        )
    except click.Abort:
        return 130
    except AppError as error:
        return report(error, state)
    except Exception as error:
        return report_bug(error, state)
    return result if isinstance(result, int) else 0
