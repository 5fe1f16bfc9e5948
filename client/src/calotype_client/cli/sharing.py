"""The verb `share`."""

from __future__ import annotations

import click

from calotype_client.changes import ImageFields
from calotype_client.cli.completing import image_argument
from calotype_client.cli.output import show_records
from calotype_client.cli.session import Session, output_options, pass_session, remote_option
from calotype_client.client import Client
from calotype_client.images import Image

_COLUMNS = ("member_id", "status", "updated_at")


@click.command("share")
@image_argument
@click.argument("projects", metavar="[PROJECT...]", nargs=-1)
@click.option("--remove", is_flag=True, help="Stop sharing it with these projects.")
@click.option("--accept", "answer", flag_value="accepted", help="Accept an offered image, for your project.")
@click.option("--reject", "answer", flag_value="rejected", help="Reject an offered image.")
@output_options
@remote_option
@pass_session
def share(
    session: Session, /, image: str, projects: tuple[str, ...], remove: bool, answer: str | None
) -> None:
    """Share an image with projects, or show with which ones it is shared.

    A project sees the image in its lists once it has accepted it. A private image becomes shared.

    \b
    Examples:
      calotype share debian-12 9f3c1c5a
      calotype share debian-12
      calotype share debian-12 --accept
      calotype share debian-12 9f3c1c5a --remove
    """
    client, found = session.find(image)
    if answer and not projects:
        projects = _offered_to(client, found)
    if remove and not projects:
        raise click.UsageError("Name the project.")
    if remove and answer:
        raise click.UsageError("--remove, --accept and --reject exclude each other.")
    if projects and not remove and not answer and found.visibility == "private":
        client.update(found, ImageFields(visibility="shared"))
    for project in projects:
        if remove:
            client.unshare(found, project)
        elif answer:
            client.answer_offer(found, project, answer)
        else:
            client.share(found, project)
    show_records(session, [member.document for member in client.members(found)], _COLUMNS)


def _offered_to(client: Client, image: Image) -> tuple[str, ...]:
    """Return the caller's project: the members that a caller sees are only his own, unless he may see all."""
    members = tuple(member.project for member in client.members(image))
    if len(members) != 1:
        raise click.UsageError(f"Name the project, which is one of: {', '.join(members) or 'none'}")
    return members


COMMANDS = {"share": share}
