"""`calotype-manage token`: the static tokens of `calotype.identity = tokens`."""

from __future__ import annotations

import datetime

import click

from calotype.cli.ini import Refusal, ini_argument, load_settings, refusals, takes_ini, variables_argument
from calotype.config.messages import did_you_mean
from calotype.identity.token_file import TokenFile
from calotype.model import policy


@click.group()
def token() -> None:
    """Create, list and revoke the static tokens that callers send as X-Auth-Token."""


@token.command()
@takes_ini
@click.option("--user", required=True, help="The user that the token identifies.")
@click.option("--project", help="The user's project, which owns the images that the user creates.")
@click.option("--role", "roles", multiple=True, help="A role: admin, member or reader. Can be repeated.")
@click.option(
    "--days",
    metavar="DAYS",
    type=click.FloatRange(min=0, min_open=True),
    help="Days until the token expires. Default: never.",
)
def add(
    ini: str,
    variables: dict[str, str],
    user: str,
    project: str | None,
    roles: tuple[str, ...],
    days: float | None,
) -> None:
    """Create a token, and print it as the last word. It is never shown again."""
    for role in roles:
        if role.lower() not in policy.ROLES:
            raise Refusal(
                f"there is no role {role!r}{did_you_mean(role, policy.ROLES)}: "
                f"the roles are {', '.join(policy.ROLES)}"
            )
    expires = None
    if days is not None:
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    with refusals():
        text = _token_file(ini, variables).add(user, project, roles or ("member",), expires)
    if project is None and not {role.lower() for role in roles or ("member",)} & {"admin", "reader"}:
        click.echo(
            "calotype-manage: nothing can be uploaded with this token, because it has no project that would "
            "own the images: make one with --project, and revoke this one",
            err=True,
        )
    click.echo(
        f"token of {user}, good {f'until {expires:%Y-%m-%d %H:%M} UTC' if expires else 'for ever'}: {text}"
    )


@token.command("list")
@takes_ini
def show(ini: str, variables: dict[str, str]) -> None:
    """Print the ids, users and roles of the tokens. The tokens themselves are not stored."""
    with refusals():
        file = _token_file(ini, variables)
        entries = file.entries()
    if not file.path.exists():
        click.echo(f"calotype-manage: {_no_file(file)}", err=True)
    now = datetime.datetime.now(datetime.UTC)
    for entry in entries:
        end = "never expires" if entry.expires is None else f"expires {entry.expires:%Y-%m-%d %H:%M} UTC"
        who = f"user={entry.user} project={entry.project or '-'} roles={','.join(entry.roles) or '-'}"
        click.echo(f"{entry.id}  {who}  {'expired' if entry.expired(now) else end}")


@token.command()
@ini_argument
@click.argument("token_id", metavar="ID")
@variables_argument
def revoke(ini: str, token_id: str, variables: dict[str, str]) -> None:
    """Revoke a token, within a second and without a restart. ID: as shown by `list`, or the token."""
    with refusals():
        file = _token_file(ini, variables)
        if not file.path.exists():  # and its directory must not be made for a look at it
            raise Refusal(_no_file(file))
        found = file.revoke(token_id.partition(".")[0])
    if not found:
        raise Refusal(f"there is no token {token_id.partition('.')[0]}")


def _token_file(ini: str, variables: dict[str, str]) -> TokenFile:
    return TokenFile(load_settings(ini, variables).tokens_path())


def _no_file(file: TokenFile) -> str:
    return (
        f"there is no file of tokens at {file.path}: `calotype-manage token add` makes it; if another one is "
        "meant, correct calotype.tokens_file or data_dir"
    )
