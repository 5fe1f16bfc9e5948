"""The names that shells complete: images, remotes and clouds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from calotype_client.cli.session import Session
from calotype_client.errors import CalotypeError
from calotype_client.profiles.finding import profile_names
from calotype_client.profiles.folders import cache_folder

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Seconds for which the names of images are kept, and the most names.
_FRESH, _MOST = 30, 1000


def complete_image(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the references to images that begin so. A server that does not answer has none."""
    from click.shell_completion import CompletionItem

    session = ctx.find_object(Session) or Session()
    try:
        remotes = profile_names(os.environ)
        remote, colon, _ = incomplete.partition(":")
        if colon and remote in remotes:
            found = [f"{remote}:{name}" for name in _names(session, remote)]
        else:
            found = [*_names(session, None), *(f"{name}:" for name in remotes)]
    except CalotypeError:
        return []
    return [CompletionItem(each) for each in found if each.startswith(incomplete)]


def complete_remote(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the remotes and clouds that begin so."""
    from click.shell_completion import CompletionItem

    try:
        return [CompletionItem(name) for name in profile_names(os.environ) if name.startswith(incomplete)]
    except CalotypeError:
        return []


#: The argument that names an image.
image_argument = click.argument("image", metavar="[REMOTE:]IMAGE", shell_complete=complete_image)


def _names(session: Session, remote: str | None) -> list[str]:
    """Return the names of the images of a server, which may be half a minute old."""
    client = session.client(remote)
    key = f"{client.profile.name}\0{client.profile.endpoint}"
    file = cache_folder(os.environ) / f"names-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, ValueError):
        if time.time() - file.stat().st_mtime < _FRESH:
            return [str(name) for name in json.loads(file.read_text())]
    names = sorted({image.name for image in client.images(limit=_MOST) if image.name})
    with contextlib.suppress(OSError):
        _write(file, json.dumps(names))
    return names


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(file)
