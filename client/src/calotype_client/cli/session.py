"""The options that all verbs share, and what they make of them: clients, and references to images."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from calotype_client.client import Client
    from calotype_client.images import Image

Command = TypeVar("Command", bound=Callable[..., Any])


class Reference(NamedTuple):
    """A client, and the name or id that the user has given for an image of its server."""

    client: Client
    name: str

    def find(self) -> Image:
        """Return the image; raises NotFound, Ambiguous."""
        return self.client.image(self.name)


@dataclass
class Session:
    """What the options of one command line say, and the clients that it needs."""

    remote: str | None = None
    format: str = "table"
    columns: tuple[str, ...] = ()
    quiet: bool = False
    clients: dict[str | None, Client] = field(default_factory=dict)

    def client(self, remote: str | None = None) -> Client:
        """Return the client of a remote or a cloud, or of the chosen one; raises SettingsError."""
        from calotype_client.client import Client

        name = remote or self.remote
        if name not in self.clients:
            self.clients[name] = Client.connect(name)
        return self.clients[name]

    def close(self) -> None:
        """Close the connections of all clients."""
        for client in self.clients.values():
            client.close()

    def reference(self, text: str) -> Reference:
        """Return what REMOTE:IMAGE, :IMAGE or IMAGE refers to.

        After a first colon, and with --remote, a colon belongs to the name. Otherwise a misspelt remote would
        send an image to the wrong server.
        """
        from calotype_client.profiles.finding import profile_names

        remote, colon, name = text.partition(":")
        if not colon:
            return Reference(self.client(), text)
        if not remote or remote in profile_names(os.environ):
            return Reference(self.client(remote or None), name)
        if self.remote is not None:
            return Reference(self.client(), text)
        raise click.UsageError(
            f"There is no remote {remote!r}: `calotype login` lists them. "
            f"If the colon belongs to the image's name, write {':' + text!r}."
        )

    def find(self, text: str) -> tuple[Client, Image]:
        """Return the client and the image that a reference means; raises NotFound, Ambiguous."""
        reference = self.reference(text)
        if not reference.name:
            raise click.UsageError(f"{text!r} has no name or id of an image.")
        return reference.client, reference.find()


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep the value of an option in the session."""
    if value is not None and value != () and value is not False:
        setattr(ctx.ensure_object(Session), str(param.name), value)


def remote_option(command: Command) -> Command:
    """Add the option that chooses the server."""
    return click.option(
        "-r",
        "--remote",
        "--os-cloud",
        "remote",
        metavar="NAME",
        expose_value=False,
        callback=_keep,
        help="Use the server of this name, from `calotype login` or clouds.yaml.",
    )(command)


def output_options(command: Command) -> Command:
    """Add the options about the output."""
    command = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_keep, help="Print only ids."
    )(command)
    command = click.option(
        "-c",
        "--column",
        "columns",
        multiple=True,
        metavar="NAME",
        expose_value=False,
        callback=_keep_columns,
        help="Print these columns, which may be separated by commas.",
    )(command)
    return click.option(
        "-o",
        "--output",
        "format",
        type=click.Choice(["table", "json", "yaml", "csv", "value"]),
        expose_value=False,
        callback=_keep,
        help="Print in this format. Sizes are in bytes, except in tables.",
    )(command)


def _keep_columns(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        ctx.ensure_object(Session).columns = tuple(name for text in value for name in text.split(",") if name)


pass_session = click.make_pass_decorator(Session, ensure=True)
