"""The command `calotype` with its verbs, each of which is imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any, NamedTuple

import click

from calotype_client import __version__
from calotype_client.cli.failures import exit_status_of
from calotype_client.cli.session import Session, remote_option


class Verb(NamedTuple):
    """Where a verb is, and what the list of verbs says about it."""

    module: str
    summary: str


#: Name -> verb, in the order of the list.
VERBS = {
    "push": Verb("push", "Send a file as a new image."),
    "pull": Verb("pull", "Fetch an image into a file."),
    "ls": Verb("images", "List images."),
    "show": Verb("images", "Show an image."),
    "set": Verb("changes", "Change an image."),
    "rm": Verb("changes", "Delete images."),
    "undelete": Verb("changes", "Restore a deleted image."),
    "import": Verb("imports", "Let the server fetch an image from a URL."),
    "copy": Verb("imports", "Copy an image to another server or store."),
    "share": Verb("sharing", "Share an image with other projects."),
    "wait": Verb("waits", "Wait until an image has a status."),
    "watch": Verb("waits", "Follow what happens to images."),
    "stores": Verb("servers", "List the stores of a server."),
    "usage": Verb("servers", "Show the quotas of your project."),
    "login": Verb("logins", "Keep the URL and the token of a server."),
    "logout": Verb("logins", "Forget a server."),
    "ping": Verb("servers", "Check whether a server answers."),
    "api": Verb("servers", "Send any request with authentication."),
    "completion": Verb("completions", "Print the completion for a shell."),
}


class Verbs(click.Group):
    """A group whose list of commands needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a verb, and return its command."""
        if name not in VERBS:
            return None
        module = importlib.import_module(f"calotype_client.cli.{VERBS[name].module}")
        command: click.Command = module.COMMANDS[name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs with their summaries."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb of a command line, or suggest a similar one."""
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            import difflib

            similar = difflib.get_close_matches(name, VERBS, n=1)
            hint = f" Did you mean {similar[0]!r}?" if similar else ""
            raise click.UsageError(f"There is no verb {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="VERB [ARGUMENTS]...",
)
@click.version_option(__version__, message="calotype %(version)s")
@remote_option
@click.pass_context
def calotype(ctx: click.Context) -> None:
    """Push, pull and manage machine images on Calotype or OpenStack Glance.

    An IMAGE is a name, an id, or the beginning of an id. REMOTE:IMAGE is an image on the server of that name,
    which `calotype login` has kept or clouds.yaml describes.

    \b
    Examples:
      calotype login http://127.0.0.1:9292 --no-token
      calotype push debian-12.qcow2
      calotype ls
      calotype pull debian-12 copy.qcow2
    """
    ctx.call_on_close(ctx.ensure_object(Session).close)


def run() -> None:
    """Run the command with the arguments of the process, and end the process."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str], **given: Any) -> int:
    """Run the command with these arguments, and return its exit status."""
    return exit_status_of(
        lambda: calotype.main(arguments, prog_name="calotype", standalone_mode=False, **given)
    )
