"""`calotype-manage init`: write a folder in which an installed service starts, without a checkout."""

from __future__ import annotations

import getpass
import shutil
import sysconfig
from pathlib import Path

import click

from calotype.cli.ini import Refusal, load_settings
from calotype.config.interpolation import SettingsError
from calotype.identity.token_file import TokenFile, TokensNotWritten

#: The line of the ini file that this command switches on.
_OFF = "# calotype.identity = tokens"
#: What an operator copies from `share/calotype` for a real service.
_EXAMPLES = ("production.ini", "calotype.service", "nginx.conf")


@click.command(short_help="Write a folder with an ini file and a token.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--examples", is_flag=True, help="Also write production.ini, a systemd unit and a site for nginx."
)
def init(folder: Path, examples: bool) -> None:
    """Write an ini file, a folder for data, and a token of an administrator into DIR, which must be empty.

    The service in DIR uses SQLite and a store of files, and serves on the loopback
    address. The token is printed once.
    """
    share = Path(sysconfig.get_path("data"), "share", "calotype")
    if not (share / "calotype.ini").is_file():
        raise Refusal(
            f"there is no {share / 'calotype.ini'}, which the distribution calotype brings: install it"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Refusal(f"{folder} is not empty: name a new folder")
        _write(folder, share, examples)
        token = _add_token(folder / "calotype.ini")
    except (OSError, SettingsError, TokensNotWritten) as error:
        raise Refusal(f"{folder} cannot be set up: {error}") from error
    click.echo(f"Token of an administrator, which is never shown again: {token}")
    click.echo(f"Start the service: pserve {folder / 'calotype.ini'}")


def _write(folder: Path, share: Path, examples: bool) -> None:
    """Write the files, and create the folder for data, which only its owner may enter."""
    text = (share / "calotype.ini").read_text()
    if _OFF not in text:
        raise Refusal(f"{share / 'calotype.ini'} was changed: it has no line '{_OFF}'")
    (folder / "calotype.ini").write_text(text.replace(_OFF, _OFF.removeprefix("# ")))
    (folder / "var").mkdir(mode=0o700)
    for name in _EXAMPLES if examples else ():
        shutil.copyfile(share / name, folder / name)


def _add_token(ini: Path) -> str:
    """Create a token for the operating system's user, and return its text."""
    settings = load_settings(str(ini), {})
    return TokenFile(settings.tokens_path()).add(getpass.getuser(), "default", ("admin",))
