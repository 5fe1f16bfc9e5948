"""The verb `completion`."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

_CLASSES = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command("completion")
@click.argument("shell", type=click.Choice([*_CLASSES]))
def completion(shell: str) -> None:
    """Print the completion of `calotype` for a shell: verbs, options, remotes and names of images.

    \b
    Examples:
      calotype completion bash > ~/.local/share/bash-completion/completions/calotype
      calotype completion zsh > ~/.zfunc/_calotype
      calotype completion fish > ~/.config/fish/completions/calotype.fish
    """
    from calotype_client.cli.main import calotype

    click.echo(_CLASSES[shell](calotype, {}, "calotype", "_CALOTYPE_COMPLETE").source())


COMMANDS = {"completion": completion}
