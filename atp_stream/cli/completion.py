"""atp-stream completion bash | zsh | fish."""

import click
from click.shell_completion import ShellComplete, get_completion_class

from atp_stream.cli.common import PROGRAM


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    \b
    bash: eval "$(atp-stream completion bash)"    in ~/.bashrc
    zsh:  eval "$(atp-stream completion zsh)"     in ~/.zshrc
    fish: atp-stream completion fish | source     in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise LookupError(shell)
    script = found(ctx.find_root().command, {}, PROGRAM, "_ATP_STREAM_COMPLETE")
    # Bash's own `source` starts a bash to look at its version: not needed to print the script.
    print(ShellComplete.source(script))
    return 0
