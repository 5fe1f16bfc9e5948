"""`calotype-manage images` and `calotype-manage sweep`: restore images, and end abandoned uploads."""

from __future__ import annotations

import click

from calotype.cli.ini import Refusal, ready_service, takes_settings, takes_word
from calotype.cli.operator import operator
from calotype.config.messages import counted
from calotype.config.settings import Settings
from calotype.database.errors import StatusConflict
from calotype.model.errors import NotFound


@click.group()
def images() -> None:
    """Restore single images."""


@images.command(short_help="Restore a deleted image within its grace period.")
@takes_settings(takes_word("image_id", "ID"))
def undelete(settings: Settings, image_id: str) -> None:
    """Restore a deleted image within its grace period (calotype.delete_grace)."""
    with ready_service(settings) as service:
        try:
            image = service.lifecycle.undelete(image_id, operator())
        except (NotFound, StatusConflict) as error:
            raise Refusal(str(error)) from None
    click.echo(f"{image.id} is {image.status} again")


@images.command(short_help="Put the good copies of an image back into service.")
@takes_settings(takes_word("image_id", "ID"))
def unquarantine(settings: Settings, image_id: str) -> None:
    """Read all copies of an image now, and put the good ones back into service.

    Bad copies are put in quarantine, or stay there. The exit status is 1 if there is a bad copy.
    """
    with ready_service(settings) as service:
        checked = service.lifecycle.recheck(image_id, operator().actor)
    if not checked:
        raise Refusal(f"there is no image '{image_id}' with copies that can be checked")
    for one in checked:
        found = f"{one.fault.kind} ({one.fault.detail}), in quarantine" if one.fault else "right"
        click.echo(f"store '{one.copy.store}': {found}")
    if any(one.fault for one in checked):
        raise click.exceptions.Exit(1)


@click.command(short_help="End abandoned uploads, and remove deleted bytes, once.")
@takes_settings()
def sweep(settings: Settings) -> None:
    """End abandoned uploads and remove bytes that are pending delete, once. Cron can run this.

    An upload that looks abandoned is watched for two thirds of a lease before it is ended.
    The exit status is 1 if something could not be removed.
    """
    ended = removed = failed = 0
    with ready_service(settings) as service:
        more = True
        while more:
            swept = service.lifecycle.sweep(once=True)
            ended, removed, failed = ended + swept.ended, removed + swept.removed, failed + swept.failed
            more = swept.full
    done = f"{counted(ended, 'upload')} ended, {counted(removed, 'blob')} removed"
    click.echo(f"{done}, {failed} left for a later sweep")
    if failed:
        raise click.exceptions.Exit(1)
