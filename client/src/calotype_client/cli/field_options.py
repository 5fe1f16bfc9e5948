"""The options with which verbs set fields of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from calotype_client.changes import ImageFields
from calotype_client.images import BASE_FIELDS

Command = TypeVar("Command", bound=Callable[..., Any])
VISIBILITIES = click.Choice(["private", "shared", "community", "public"])


def property_option(command: Command) -> Command:
    """Add the option that sets properties."""
    return click.option(
        "-p",
        "--property",
        "properties",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a property; repeatable.",
    )(command)


def new_image_options(command: Command) -> Command:
    """Add the options of verbs that create images."""
    for option in reversed(
        [
            click.option(
                "--disk-format", metavar="FORMAT", help="Format of the disk, if not the one it shows."
            ),
            click.option(
                "--container-format", metavar="FORMAT", help="Format of the container, usually bare."
            ),
            click.option("--visibility", type=VISIBILITIES, help="Who sees the image."),
            click.option("--tag", "tags", multiple=True, metavar="TAG", help="Add a tag; repeatable."),
            property_option,
            click.option("--min-disk", type=click.IntRange(0), metavar="GIB", help="Smallest disk, in GiB."),
            click.option("--min-ram", type=click.IntRange(0), metavar="MIB", help="Smallest memory, in MiB."),
            click.option("--protected", is_flag=True, default=None, help="Protect it from deletion."),
            click.option("--hidden", "os_hidden", is_flag=True, default=None, help="Leave it out of lists."),
            click.option("--id", metavar="UUID", help="Create the image with this id."),
            click.option("--store", metavar="STORE", help="Put it into this store."),
        ]
    ):
        command = option(command)
    return command


def read_fields(given: Mapping[str, Any], name: str | None) -> ImageFields:
    """Return the fields that options describe; raises UsageError."""
    names = ImageFields.__slots__
    fields = {key: value for key, value in given.items() if key in names and value is not None}
    fields["properties"] = read_properties(given.get("properties", ()))
    fields["tags"] = tuple(given["tags"]) if given.get("tags") else None
    return ImageFields(**{**fields, "name": name or None})


def read_properties(texts: tuple[str, ...]) -> dict[str, str]:
    """Return the properties that texts such as `os_distro=debian` set; raises UsageError."""
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise click.UsageError(f"A property is KEY=VALUE, not {key + equals!r}.")
        if key in BASE_FIELDS:
            raise click.UsageError(f"{key!r} is a field and no property: use its option, if there is one.")
    return {key: value for key, _, value in pairs}
