"""The verbs `ls` and `show`."""

from __future__ import annotations

import fnmatch
import re
from typing import Any

import click

from calotype_client.cli.completing import image_argument
from calotype_client.cli.field_options import VISIBILITIES, read_properties
from calotype_client.cli.output import show_record, show_records
from calotype_client.cli.session import Session, output_options, pass_session, remote_option
from calotype_client.images import STATUSES

#: The columns of a table of images.
COLUMNS = ("id", "name", "status", "size", "disk_format", "visibility")
_FIRST = (*COLUMNS[:2], "status", "status_reason", "size", "disk_format", "container_format", "visibility")


@click.command("ls")
@click.argument("pattern", metavar="[[REMOTE:]PATTERN]", default="")
@click.option("--status", type=click.Choice(STATUSES), help="Only images with this status.")
@click.option("--visibility", type=VISIBILITIES, help="Only images with this visibility.")
@click.option("--owner", metavar="PROJECT", help="Only images of this project.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only images with this tag; repeatable.")
@click.option(
    "-p", "--property", "properties", multiple=True, metavar="KEY=VALUE", help="Only images with it."
)
@click.option("--hidden", is_flag=True, help="List hidden images instead.")
@click.option("--offered", is_flag=True, help="List images that were offered to you and not yet accepted.")
@click.option("--sort", metavar="KEY[:asc]", help="Sort by this field, such as name:asc or size:desc.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N images.")
@output_options
@remote_option
@pass_session
def ls(session: Session, /, pattern: str, **given: Any) -> None:
    """List images, newest first.

    PATTERN selects by name, with * and ? as in file names.

    \b
    Examples:
      calotype ls
      calotype ls 'debian-*' --status active --sort name:asc
      calotype ls prod: --tag web -o json
      calotype ls -o value -c id,name
    """
    reference = session.reference(pattern)
    filters: dict[str, object] = dict(read_properties(given["properties"]))
    filters |= {name: given[name] for name in ("status", "visibility", "owner", "sort")}
    filters |= {
        "tag": list(given["tags"]) or None,
        "os_hidden": "true" if given["hidden"] else None,
        **({"member_status": "pending", "visibility": "shared"} if given["offered"] else {}),
    }
    fits = re.compile(fnmatch.translate(reference.name or "*")).match
    most = given["limit"]
    found = []
    for image in reference.client.images(limit=None if reference.name else most, **filters):
        if fits(image.name or ""):
            found.append(image.document)
        if most is not None and len(found) == most:
            break
    show_records(session, found, COLUMNS)


@click.command("show")
@image_argument
@click.option("--members", is_flag=True, help="Show the projects that the image is shared with.")
@click.option("--tasks", is_flag=True, help="Show the imports and copies of the image.")
@output_options
@remote_option
@pass_session
def show(session: Session, /, image: str, members: bool, tasks: bool) -> None:
    """Show an image with all its fields.

    \b
    Examples:
      calotype show debian-12
      calotype show prod:debian-12 -o json
      calotype show debian-12 -o value -c size,os_hash_value
      calotype show debian-12 --tasks
    """
    client, found = session.find(image)
    if members:
        documents = [member.document for member in client.members(found)]
        show_records(session, documents, ("member_id", "status", "created_at"))
    elif tasks:
        show_records(
            session, [task.document for task in client.tasks(found)], ("id", "type", "status", "message")
        )
    else:
        first = tuple(name for name in _FIRST if name in found.document)
        show_record(session, found.document, first)


COMMANDS = {"ls": ls, "show": show}
