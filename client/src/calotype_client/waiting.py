"""Wait until an image has a status, and follow what happens to images."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import urllib3

from calotype_client.errors import NotFound, NotSupported, Refused, Unavailable
from calotype_client.images import Image, Task
from calotype_client.service import ImageService
from calotype_client.transfers.progress import SILENT, Progress
from calotype_client.transport.transport import path_of

#: Seconds for which the server holds back its answer, if it can: less if somebody watches the progress.
_HELD, _WATCHED = 30, 2
#: Seconds between two questions to a server that cannot, at first and at last.
_FIRST, _SLOWEST = 0.5, 5.0
#: Statuses that an image never leaves by itself.
_ENDED = frozenset({"killed", "deleted", "active", "deactivated"})


def wait(
    service: ImageService,
    image: Image,
    status: str,
    timeout: float | None = None,
    progress: Progress = SILENT,
) -> Image:
    """Return the image when it has the status. `progress` hears what the server does meanwhile.

    A server that cannot hold back its answer is asked again and again.

    Raises:
        Refused: the image can no longer get the status; the message says why.
        Unavailable: it has not got the status after `timeout` seconds.
    """
    end = None if timeout is None else time.monotonic() + timeout
    pause, held = _FIRST, _HELD if progress is SILENT else _WATCHED
    while True:
        asked = time.monotonic()
        left = held if end is None else min(held, max(0, end - asked))
        try:
            found = service.show(image, wait=status, timeout=max(1, round(left)))
        except NotFound:
            if status == "deleted":
                return image
            raise
        if found.status == status:
            return found
        task = latest_task(service, found)
        _check_possible(found, status, task)
        _report(service, found, task, progress)
        if end is not None and time.monotonic() >= end:
            raise Unavailable(
                f"Image {found.label} is still {found.status} after {timeout:g} seconds.",
                advice="Run the command again to go on waiting.",
            )
        if time.monotonic() - asked < 1:
            time.sleep(pause if end is None else min(pause, max(0.0, end - time.monotonic())))
            pause = min(_SLOWEST, pause * 1.5)


def latest_task(service: ImageService, image: Image) -> Task | None:
    """Return the task of the image that was created last, or None if it has none."""
    return max(service.tasks(image), key=lambda task: str(task.document.get("created_at")), default=None)


def _report(service: ImageService, image: Image, task: Task | None, progress: Progress) -> None:
    """Tell the listener what the server does with an image, and how far it is, if it says so."""
    words, phase = f"{image.status} ({task.status})" if task else image.status, image.status
    if found := progress_of(service, image):
        done, size = found.get("bytes"), found.get("total")
        phase = words = str(found.get("phase") or words)
        if isinstance(done, int) and isinstance(size, int):
            words = f"{words}, {100 * done // max(1, size)} %"
    progress.phase(phase, f"{image.label}: {words}")


def wait_for_copies(service: ImageService, image: Image, progress: Progress = SILENT) -> Image:
    """Return the image when its last import or copy has ended.

    Raises:
        Refused: the copy failed.
    """
    pause = _FIRST
    while True:
        found = service.show(image)
        task = latest_task(service, found)
        if task is not None and task.status == "failure":
            raise Refused(
                f"The copy of image {found.label} failed: {task.message or 'the server says no more'}"
            )
        if not found.document.get("os_glance_importing_to_stores") and (
            task is None or task.status == "success"
        ):
            return found
        _report(service, found, task, progress)
        time.sleep(pause)
        pause = min(_SLOWEST, pause * 1.5)


def progress_of(service: ImageService, image: Image) -> dict[str, Any] | None:
    """Return how far the server is with an upload, an import or a copy, or None if it does not say."""
    answer = service.request("GET", path_of("images", image.id, "progress"))
    if answer.status != 200:
        return None
    found = answer.json
    return found if isinstance(found, dict) else None


def _check_possible(image: Image, status: str, task: Task | None) -> None:
    """Raise Refused if the image does not get the status any more by itself."""
    if task is not None and task.status == "failure" and image.status in ("queued", "killed"):
        raise Refused(
            f"The import of image {image.label} failed: {task.message or image.status_reason}",
            advice=f"The image stays {image.status}. Remove it with: calotype rm {image.id[:8]}",
        )
    if image.status in _ENDED:
        raise Refused(
            f"Image {image.label} is {image.status}, and will not become {status}"
            + (f": {image.status_reason}" if image.status_reason else ".")
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an image. `id` is where to go on after it."""

    id: str
    kind: str
    data: dict[str, Any]


def events(service: ImageService, after: str | None = None) -> Iterator[Event]:
    """Yield what happens to the images that the caller may see, as soon as it happens.

    After a broken connection it goes on with the next event.

    Raises:
        NotSupported: the server does not report events.
    """
    while True:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        try:
            with service.transport.receive("/events", headers) as response:
                # Glance answers every unknown path with its versions.
                if response.status != 200 or "event-stream" not in response.headers.get("Content-Type", ""):
                    raise NotFound("There is no such path.", status=response.status)
                for event in read_events(_lines(service, response)):
                    after = event.id or after
                    yield event
        except NotFound as error:
            raise NotSupported(f"{service.host} does not report events.", status=error.status) from None
        except Unavailable:
            time.sleep(1)


def _lines(service: ImageService, response: urllib3.HTTPResponse) -> Iterator[str]:
    rest = b""
    while block := service.transport.read_some(response):
        *lines, rest = (rest + block).split(b"\n")
        yield from (line.decode("utf-8", "replace").removesuffix("\r") for line in lines)


def read_events(lines: Iterator[str]) -> Iterator[Event]:
    """Yield the events of a stream of server-sent events whose data are JSON objects."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
            continue
        if "data" in fields:
            try:
                data = json.loads(fields["data"])
            except ValueError:
                data = {"text": fields["data"]}
            yield Event(fields.get("id", ""), fields.get("event", "message"), data)
        fields = {}


def changes(service: ImageService, pause: float = 2.0) -> Iterator[Event]:
    """Yield changes of images by comparing lists, for servers that report no events."""
    known: dict[str, Image] | None = None
    while True:
        try:
            current = {image.id: image for image in service.images()}
        except Unavailable:
            time.sleep(pause)
            continue
        if known is not None:
            for image_id, image in current.items():
                before = known.get(image_id)
                if before is None:
                    yield _event("created", image)
                elif before.status != image.status:
                    yield _event(image.status, image)
                elif before.document != image.document:
                    yield _event("changed", image)
            yield from (_event("deleted", known[image_id]) for image_id in known.keys() - current.keys())
        known = current
        time.sleep(pause)


def _event(kind: str, image: Image) -> Event:
    return Event("", kind, dict(image.document))
