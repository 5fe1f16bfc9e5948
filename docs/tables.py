"""Write the tables of docs/configuration.md and docs/commands.md from the code.

    python docs/tables.py

A test fails when a page and the code differ.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from calotype.cli.manage import main
from calotype.config.event_settings import WebhookOptions
from calotype.config.plugins import Installed
from calotype.config.quantities import Seconds, parse_size
from calotype.config.settings import Settings
from calotype.stores import discovery
from calotype.stores.core_options import CoreOptions
from calotype_server.kinds import addresses, count, flag, names, process_count, seconds, size
from calotype_server.settings import ServerSettings, Setting

PAGE = Path(__file__).with_name("configuration.md")
COMMANDS = Path(__file__).with_name("commands.md")
DRIVERS = ("file", "s3", "swift", "http")

_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.S)
#: The metadata that marks a field as a time, because the type of such a field is that of a number.
_TIME = typing.get_args(Seconds)[1]
_COLLECTIONS = (tuple, list, set, frozenset)
_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "integer",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret",
    ByteSize: "size",
}
_SERVER_KINDS: dict[Any, str] = {
    count: "integer",
    process_count: "integer or auto",
    size: "size",
    seconds: "time",
    flag: "true or false",
    names: "list",
    addresses: "list",
}


def write() -> None:
    """Bring the pages' tables up to date."""
    for page in (PAGE, COMMANDS):
        page.write_text(with_tables(page.read_text()))


def with_tables(text: str) -> str:
    """Return the page's text, with all tables written again from the models."""
    return _TABLE.sub(lambda match: match[1] + _table(match[2]) + match[3], text)


def _table(name: str) -> str:
    if name == "commands":
        return "".join(_command(words, command) for words, command in commands(main, ("calotype-manage",)))
    if name == "settings":
        return _rows(_fields(Settings, "calotype."))
    if name == "webhook":
        return _rows(_fields(WebhookOptions, "webhook.NAME."))
    if name == "store":
        return _rows(_fields(CoreOptions, "store.NAME."))
    if name == "server":
        declared = ServerSettings.declared.items()
        return _rows((name, *_server_setting(one), one.description) for name, one in declared)
    return _rows(_fields(discovery.load(Installed(), name).store_class.Options, ""))


def commands(
    command: click.Command, words: tuple[str, ...]
) -> Iterable[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below a group, and the words that call it, in the order of the help."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, (*words, name))
    else:
        yield words, command


def _command(words: tuple[str, ...], command: click.Command) -> str:
    """Return a section of docs/commands.md: the command line, the description and the options."""
    arguments = [
        one.make_metavar(click.Context(command))
        for one in command.params
        if one.param_type_name == "argument"
    ]
    lines = [f"\n### `{' '.join((*words, *arguments))}`\n", inspect.cleandoc(command.help or "")]
    options = [one for one in command.params if isinstance(one, click.Option)]
    if options:
        lines += ["", "| option | does |", "| --- | --- |"]
        lines += [_option(click.Context(command), one) for one in options]
    return "\n".join(lines) + "\n"


def _option(context: click.Context, option: click.Option) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    help_ = (option.help or "") + (" It must be given." if option.required else "")
    shown = option.get_help_extra(context).get("default")
    default = f" Default: {shown}." if shown else ""
    called = f"{', '.join(option.opts)}{value}".replace("|", "\\|")
    return f"| `{called}` | {help_}{default} |"


def _fields(model: type[BaseModel], prefix: str) -> Iterable[tuple[str, str, str, str]]:
    own = model.__annotations__
    # The fields of base classes come last, although pydantic lists them first.
    for name, field in sorted(model.model_fields.items(), key=lambda item: item[0] not in own):
        if not field.exclude:
            key = field.alias or prefix + name
            kind = "time" if _TIME in field.metadata else _kind(field.annotation)
            yield key, kind, _default(field), field.description or ""


def _server_setting(setting: Setting[Any]) -> tuple[str, str]:
    """Return the type and the default of a setting of the server."""
    default = ByteSize(setting.default) if setting.kind is size else setting.default
    return _SERVER_KINDS.get(setting.kind, "text"), _text(default)


def _rows(rows: Iterable[tuple[str, str, str, str]]) -> str:
    lines = ["| key | type | default | what it is for |", "| --- | --- | --- | --- |"]
    for key, kind, default, why in rows:
        lines.append(f"| `{key}` | {kind} | {default} | {why.replace('|', '&#124;')} |")
    return "\n".join(lines) + "\n"


def _kind(annotation: Any) -> str:
    """Return a description of a type."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _kind(parts[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(part) for part in parts if part is not types.NoneType)
    if origin is typing.Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if (origin or annotation) in _COLLECTIONS:
        return "list"
    return _NAMES.get(annotation) or _by_base(annotation)


def _by_base(annotation: Any) -> str:
    return next((name for base, name in _NAMES.items() if issubclass(annotation, base)), annotation.__name__)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    return _text(field.get_default(call_default_factory=True))


def _text(value: Any) -> str:
    """Return a default in the form of the ini file."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, ByteSize):
        short = value.human_readable().replace(".0", "")
        return f"`{short if parse_size(short) == value else int(value)}`"
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, _COLLECTIONS):
        return f"`{' '.join(str(one) for one in value)}`" if value else ""
    return f"`{value}`"


if __name__ == "__main__":
    write()
