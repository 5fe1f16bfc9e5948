"""`calotype-manage init`: write a directory from which an installed server starts without a checkout."""

from __future__ import annotations

import importlib.resources
import shlex
import shutil
from pathlib import Path

import click

from calotype.cli.ini import Refusal, load_settings
from calotype.config.interpolation import SettingsError
from calotype.identity.token_file import TokenFile, TokensNotWritten

#: The user and the project of the first token.
_FIRST = "admin"
_INI = "calotype.ini"


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write a working directory: an ini file, and a token of an administrator.

    DIR must be new or empty. `pserve DIR/calotype.ini` then starts a service on a loopback address, with
    SQLite and a file store below DIR/data. The token is printed once, and only its hash is stored.
    """
    made = _make(folder)
    ini = folder / _INI
    try:
        ini.write_text(_template(), encoding="utf-8")
        # Read the file as the server will, because a path may contain characters that ini files do not allow.
        tokens = TokenFile(load_settings(str(ini), {}).tokens_path())
        token = tokens.add(_FIRST, _FIRST, ("admin", "member"))
    except BaseException as error:
        _remove(folder, made)
        if isinstance(error, OSError):
            raise _unwritable(folder, error) from error
        if isinstance(error, SettingsError | TokensNotWritten):
            raise Refusal(str(error)) from error
        raise
    click.echo(f"{folder} has {_INI} and a token of the user '{_FIRST}', which is not shown again:\n")
    click.echo(f"  {token}\n\nStart the service, then store an image from another terminal:\n")
    click.echo(f"  pserve {shlex.quote(str(ini))}")
    click.echo(
        "  curl -X POST -T FILE http://127.0.0.1:9292/images -H 'X-Auth-Token: TOKEN' \\\n"
        "    -H 'Content-Type: application/octet-stream' -H 'x-image-meta-name: NAME'"
    )


def _make(folder: Path) -> bool:
    """Make the directory if it does not exist, and return whether it was made."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        pass
    except OSError as error:
        raise _unwritable(folder, error) from error
    else:
        return True
    try:
        if any(folder.iterdir()):
            raise Refusal(f"{folder} is not empty, and nothing was changed in it: name a new directory")
    except OSError as error:
        raise _unwritable(folder, error) from error
    return False


def _remove(folder: Path, made: bool) -> None:
    """Remove what the command wrote: everything in the directory, because it was empty before."""
    for entry in (folder / _INI, folder / "data"):
        shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
    if made:
        folder.rmdir()


def _template() -> str:
    file = importlib.resources.files("calotype.cli") / "templates" / "init" / f"{_INI}.template"
    return file.read_text(encoding="utf-8")


def _unwritable(folder: Path, error: OSError) -> Refusal:
    return Refusal(f"cannot write to {folder}: {error.strerror}")
