"""`calotype-manage token`: the static tokens of `calotype.identity = tokens`."""

from __future__ import annotations

import datetime

import click

from calotype.cli.ini import Refusal, takes_settings, takes_word
from calotype.config.settings import Settings
from calotype.identity.token_file import TokenFile
from calotype.model import policy

#: Roles with which a caller without a project has rights.
_WITHOUT_PROJECT = {"admin", "reader"}


def _read_name(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise click.BadParameter("it must not be empty")
    return text


def _read_expiry(
    context: click.Context, parameter: click.Parameter, days: str | None
) -> datetime.datetime | None:
    if days is None:
        return None
    try:
        number = float(days)
        if number <= 0:
            raise ValueError
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=number)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"it must be a number of days above 0, such as 365, not {days!r}") from None


@click.group(short_help="Create, list and revoke static tokens.")
def token() -> None:
    """Create, list and revoke the static tokens that callers send as X-Auth-Token."""


@token.command()
@takes_settings()
@click.option("--user", required=True, callback=_read_name, help="The user that the token identifies.")
@click.option(
    "--project", callback=_read_name, help="The user's project, which owns the images that the user creates."
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(policy.ROLES, case_sensitive=False),
    default=("member",),
    show_default=True,
    help="A role. Can be repeated.",
)
@click.option(
    "--days",
    "expires",
    metavar="DAYS",
    callback=_read_expiry,
    help="Days until the token expires. Default: never.",
)
def add(
    settings: Settings,
    user: str,
    project: str | None,
    roles: tuple[str, ...],
    expires: datetime.datetime | None,
) -> None:
    """Create a token, and print it as the last word. It is never shown again."""
    text = _token_file(settings).add(user, project, roles, expires)
    if project is None and _WITHOUT_PROJECT.isdisjoint(roles):
        click.echo(
            "calotype-manage: nothing can be uploaded with this token, because it has no project that would "
            "own the images: create one with --project, and revoke this one",
            err=True,
        )
    click.echo(f"token of {user}, {f'expires {expires:%F %R} UTC' if expires else 'never expires'}: {text}")


@token.command("list")
@takes_settings()
def show(settings: Settings) -> None:
    """Print the ids, users and roles of the tokens. The tokens themselves are not stored."""
    file = _token_file(settings)
    entries = file.entries()
    if not file.path.exists():
        click.echo(f"calotype-manage: {_no_file(file)}", err=True)
    now = datetime.datetime.now(datetime.UTC)
    for entry in entries:
        end = "never expires" if entry.expires is None else f"expires {entry.expires:%F %R} UTC"
        who = f"user={entry.user} project={entry.project or '-'} roles={','.join(entry.roles) or '-'}"
        click.echo(f"{entry.id}  {who}  {'expired' if entry.expired(now) else end}")


@token.command()
@takes_settings(takes_word("token_id", "ID"))
def revoke(settings: Settings, token_id: str) -> None:
    """Revoke a token. ID is the id that `list` shows, or the token itself.

    Requests with the token are refused within a second, without a restart."""
    file = _token_file(settings)
    if not file.path.exists():  # `revoke` would create the file's directory
        raise Refusal(_no_file(file))
    token_id = token_id.partition(".")[0]  # the rest of a token is its secret
    if not file.revoke(token_id):
        raise Refusal(f"there is no token {token_id}: `calotype-manage token list` shows the ids")
    click.echo(f"revoked {token_id}")


def _token_file(settings: Settings) -> TokenFile:
    return TokenFile(settings.tokens_path())


def _no_file(file: TokenFile) -> str:
    return (
        f"there is no file of tokens at {file.path}: `calotype-manage token add` creates it; if you mean "
        "another file, correct calotype.tokens_file or data_dir"
    )
