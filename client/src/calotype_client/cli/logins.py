"""The verbs `login` and `logout`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from calotype_client.cli.output import show_records
from calotype_client.cli.session import Session, output_options, pass_session
from calotype_client.client import Client
from calotype_client.errors import NotAuthenticated
from calotype_client.profiles.clouds import profile_of
from calotype_client.profiles.profile import check_url
from calotype_client.profiles.remotes import Remotes


@click.command("login")
@click.argument("url", default="")
@click.option("--name", default="default", show_default=True, metavar="NAME", help="The name of the server.")
@click.option("--token-file", type=click.Path(allow_dash=True), help="Read the token from a file, or from -.")
@click.option("--no-token", is_flag=True, help="Do not ask for a token: the server needs none.")
@click.option("--cacert", type=click.Path(exists=True, dir_okay=False), help="The CA of the server.")
@click.option("--insecure", is_flag=True, help="Do not check the server's certificate.")
@output_options
@pass_session
def login(session: Session, /, url: str, **given: Any) -> None:
    """Keep the URL of a server, and your token for it, and make it the default.

    The token is asked for, or read from a file, because others can see arguments. It is kept in
    ~/.config/calotype/remotes.yaml, which only you can read. Without a URL, the known servers are listed.
    For Keystone, write a clouds.yaml instead.

    \b
    Examples:
      calotype login http://127.0.0.1:9292 --no-token
      calotype login http://127.0.0.1:9292 --name lab --token-file token.txt
      calotype login
    """
    remotes = Remotes(os.environ)
    if not url:
        show_records(session, _known(remotes), ("name", "url", "token", "default"))
        return
    auth = {"endpoint": check_url(url)}
    if token := None if given["no_token"] else _read_token(given["token_file"]):
        auth["token"] = token
    cloud: dict[str, Any] = {"auth_type": "admin_token" if token else "none", "auth": auth}
    if given["cacert"]:
        cloud["cacert"] = str(Path(given["cacert"]).absolute())
    if given["insecure"]:
        cloud["verify"] = False
    with Client(profile_of(given["name"], cloud)) as client:
        try:
            next(client.images(limit=1), None)  # a wrong URL or token is noticed now
        except NotAuthenticated as error:
            error.advice = (
                "Check the token." if token else "This server asks for a token: leave out --no-token."
            )
            raise
    remotes.add(given["name"], cloud)
    kept = "with a token" if token else "without a token"
    click.echo(
        f"Commands use {auth['endpoint']} from now on, {kept}. Its name is {given['name']!r}.", err=True
    )


def _known(remotes: Remotes) -> list[dict[str, Any]]:
    """Return the remotes as records, without their tokens."""
    return [
        {
            "name": name,
            "url": cloud.get("auth", {}).get("endpoint"),
            "token": "yes" if cloud.get("auth", {}).get("token") else "no",
            "default": "yes" if name == remotes.default else "no",
        }
        for name, cloud in remotes.read().items()
    ]


def _read_token(file: str | None) -> str:
    if file:
        with click.open_file(file) as opened:
            return str(opened.read()).strip()
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    return str(click.prompt("Token (empty if none)", hide_input=True, default="", show_default=False)).strip()


@click.command("logout")
@click.argument("name", default="default")
def logout(name: str) -> None:
    """Forget a server and its token.

    \b
    Examples:
      calotype logout lab
    """
    remotes = Remotes(os.environ)
    was_default = remotes.default == name.rstrip(":")
    remotes.remove(name.rstrip(":"))
    if was_default and remotes.default is not None:
        (url,) = (each["url"] for each in _known(remotes) if each["default"])
        click.echo(f"Commands use {url} from now on. Its name is {remotes.default!r}.", err=True)


COMMANDS = {"login": login, "logout": logout}
