"""`calotype-manage new`: write a complete distribution of a store driver or of an extension, with its tests.

The files come from the folder `templates`. In the path of a template, `PACKAGE` and `NAME` stand for the new
package and name, and `dot-` for the dot of a hidden file, because wheels leave out hidden files.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

import click

from calotype.api.v2.resources import V2
from calotype.cli.ini import Mistyped, Refusal
from calotype.config.plugins import Installed, Kind
from calotype.extensions import DIALECT, EXTENSION
from calotype.stores.contract import API_VERSION
from calotype.stores.discovery import DRIVER

CORE = "calotype-core"
#: The form of a name, which becomes part of the names of a distribution, a package, a class and ini keys.
_NAME = re.compile(r"(?=.{1,31}\Z)[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)
_SUFFIX = ".template"
_WAYS_OUT = "choose another name, or uninstall it if it is yours"


@dataclass(frozen=True, slots=True)
class Scaffold:
    """One kind of distribution that the command can write."""

    kind: Kind
    #: Its folder of templates.
    folder: str
    #: The beginning of the names of its distributions.
    prefix: str
    #: Other kinds of plugins, whose names this kind must not use.
    rivals: tuple[Kind, ...] = ()


STORE = Scaffold(DRIVER, "store", "calotype-store-")
EXTENDING = Scaffold(EXTENSION, "extension", "calotype-", (DIALECT,))


@click.group()
def new() -> None:
    """Write the distribution of a store driver or an extension."""


def _takes_name_and_folder(command: Callable[..., None]) -> Callable[..., None]:
    into = click.option(
        "--into",
        "folder",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="The directory to create. Default: the name of the distribution.",
    )
    return click.argument("name")(into(command))


@new.command(short_help="Write calotype-store-NAME, a store driver.")
@_takes_name_and_folder
def store(name: str, folder: Path | None) -> None:
    """Write calotype-store-NAME, a driver that keeps images as files until you change it.

    It comes with options, types, tests (the conformance kit), a README and a CI file, and all of its tests
    pass. NAME is also the driver's name in ini files.
    """
    _write(STORE, name, folder)


@new.command(short_help="Write calotype-NAME, an extension.")
@_takes_name_and_folder
def extension(name: str, folder: Path | None) -> None:
    """Write calotype-NAME, an extension that keeps a text on each image until you change it.

    It comes with options, a table and its migration, background work, types, tests, a README and a CI file,
    and all of its tests pass. NAME is also the extension's name in ini files.
    """
    _write(EXTENDING, name, folder)


def _write(scaffold: Scaffold, name: str, folder: Path | None) -> None:
    """Write the distribution, and print what to do next."""
    require_free_name(scaffold, name)
    values = values_for(scaffold, name)
    folder = folder or Path(values["distribution"])
    files = {path: Template(text).substitute(values) for path, text in _templates(scaffold, values)}
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise Refusal(f"{folder} exists already: remove it, or name a new directory with --into") from None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise _unwritable(folder, error) from error
        raise
    click.echo(f"{folder} has a working {scaffold.kind.word} '{name}'. Try it, then change it:\n")
    click.echo(f"  cd {folder}\n  pip install -e '.[test]'\n  pytest")


def require_free_name(scaffold: Scaffold, name: str) -> None:
    """Refuse a name that is malformed, reserved, or in use by an installed distribution."""
    word = scaffold.kind.word
    if not _NAME.fullmatch(name):
        raise Mistyped(
            f"{name!r} is not a name for a new {word}: use lower-case letters and digits, with a single _ "
            "between words, at most 31 characters, beginning with a letter"
        )
    if scaffold is EXTENDING:
        if name in V2.children:
            raise Mistyped(f"{name!r} is not a name for a new {word}, because the core has /v2/{name} itself")
        if name.startswith("store_"):
            raise Mistyped(f"{name!r} is not a name for a new {word}: names with store_ are for drivers")
    for kind in (scaffold.kind, *scaffold.rivals):
        if name in Installed().names(kind):
            raise Refusal(f"the {kind.word} '{name}' is installed already: {_WAYS_OUT}")
    distribution = values_for(scaffold, name)["distribution"]
    if _is_installed(distribution):
        raise Refusal(f"{distribution} is installed already: {_WAYS_OUT}")


def values_for(scaffold: Scaffold, name: str) -> dict[str, str]:
    """Return the values of the placeholders in the templates."""
    distribution = scaffold.prefix + name.replace("_", "-")
    version = importlib.metadata.version(CORE)
    major, minor, *_ = version.split(".")
    return {
        "name": name,
        "Name": "".join(word.capitalize() for word in name.split("_")),
        "distribution": distribution,
        "package": distribution.replace("-", "_"),
        "api_version": str(API_VERSION),
        "core": f"{major}.{minor}",
        "next_core": f"{major}.{int(minor) + 1}",
    }


def _templates(scaffold: Scaffold, values: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the path of each new file and its template."""
    root = importlib.resources.files("calotype.cli") / "templates"
    for folder in ("common", scaffold.folder):
        for path, file in _files(root / folder, ""):
            path = path.replace("PACKAGE", values["package"]).replace("NAME", values["name"])
            yield path.removesuffix(_SUFFIX).replace("dot-", "."), file.read_text(encoding="utf-8")


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield prefix + entry.name, entry


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _unwritable(folder: Path, error: OSError) -> Refusal:
    return Refusal(f"cannot write to {folder}: {error.strerror}")
