"""Upload by tus 1.0: sessions that a server keeps, so that an upload goes on after a broken line.

https://tus.io/protocols/resumable-upload. Calotype's own header Upload-Zeros adds zeros without sending them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from calotype_client.errors import Conflict, NotFound, ProtocolError, Unavailable
from calotype_client.images import Image
from calotype_client.service import ImageService
from calotype_client.transfers.pacing import Patience
from calotype_client.transfers.segments import Segment, segments
from calotype_client.transfers.state import TransferState
from calotype_client.transfers.uploads import Upload, connections_for, forget_sessions
from calotype_client.transfers.workers import Workers

_VERSION = {"Tus-Resumable": "1.0.0"}
_BYTES = "application/offset+octet-stream"
_UPLOADS = "/uploads"
#: Smallest file that gets a session, and smallest part that gets a connection of its own.
SMALLEST, PART = 8 << 20, 64 << 20
#: The parts begin at multiples of this, so that blocks of zeros are not divided.
_ALIGNED = 1 << 20
#: Seconds to wait for a server that has to store what it has received.
_FINISHED = 3600.0


def offered(service: ImageService) -> frozenset[str]:
    """Return the extensions of tus that the server has; nothing if it does not speak tus."""
    answer = service.transport.request("OPTIONS", _UPLOADS, headers=_VERSION)
    if answer.status >= 300 or "1.0.0" not in answer.headers.get("tus-version", "").split(","):
        return frozenset()
    return frozenset(answer.headers.get("tus-extension", "").split(","))


def send(upload: Upload, image: Image, state: TransferState) -> bool:
    """Send the file through sessions, and return True; return False if it does not need or get any.

    Raises:
        CalotypeError: the server refused, or the connection kept breaking.
    """
    extensions = offered(upload.service) if upload.source.size >= SMALLEST else frozenset()
    if "creation" not in extensions:
        return False
    count = min(connections_for(upload), upload.source.size // PART) if "concatenation" in extensions else 1
    parts = _resumed(upload, state) or _begun(upload, image, state, max(1, count))
    if len(parts) == 1:
        _Sender(upload, parts[0], Workers()).run()
        return True
    workers = Workers()
    workers.run(_Sender(upload, part, workers).run for part in parts)
    upload.progress.phase("join", f"The server joins the parts of {image.label}")
    headers = {**_metadata(upload, image), "Upload-Concat": "final;" + " ".join(part.path for part in parts)}
    upload.service.transport.call("POST", _UPLOADS, headers={**_VERSION, **headers}, wait=_FINISHED)
    return True


class Part(NamedTuple):
    """A range of the file, and the path of the session that it goes into."""

    start: int
    end: int
    path: str


def _resumed(upload: Upload, state: TransferState) -> list[Part]:
    """Return the parts of an interrupted upload, or nothing if a part or a session is missing."""
    parts = [Part(*each) for each in state.data.get("parts", ())]
    is_whole = bool(parts) and parts[-1].end == upload.source.size
    if is_whole and all(_offset(upload.service, part.path) is not None for part in parts):
        return parts
    forget_sessions(upload.service, state)
    return []


def _begun(upload: Upload, image: Image, state: TransferState, count: int) -> list[Part]:
    """Return new parts with new sessions. A single one belongs to the image; several are joined later."""
    size = upload.source.size
    headers = {"Upload-Concat": "partial"} if count > 1 else _metadata(upload, image)
    step = -(-size // count // _ALIGNED) * _ALIGNED
    parts: list[Part] = []
    for start in range(0, size, step):
        end = min(start + step, size)
        given = {**_VERSION, "Upload-Length": f"{end - start}", **headers}
        answer = upload.service.transport.call("POST", _UPLOADS, headers=given)
        parts.append(Part(start, end, session_path(upload.service, answer.headers.get("location", ""))))
        state.save(parts=parts)
    return parts


def _metadata(upload: Upload, image: Image) -> dict[str, str]:
    given = {"image_id": image.id, **({"store": upload.options.store} if upload.options.store else {})}
    pairs = (f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in given.items())
    return {"Upload-Metadata": ",".join(pairs)}


def session_path(service: ImageService, location: str) -> str:
    """Return the path of a session; raises ProtocolError if it is on another server."""
    endpoint = service.transport.endpoint
    absolute = urljoin(f"{endpoint}{_UPLOADS}", location)
    if not location or urlsplit(absolute).netloc != urlsplit(endpoint).netloc:
        raise ProtocolError(
            f"The server began an upload at an address that is not its own: {location[:200]!r}."
        )
    return urlsplit(absolute).path


def _offset(service: ImageService, path: str) -> int | None:
    """Return the number of bytes that a session has, or None if it has ended."""
    answer = service.transport.request("HEAD", path, headers=_VERSION, wait=_FINISHED)
    offset = answer.headers.get("upload-offset", "")
    return int(offset) if answer.status < 300 and offset.isdigit() else None


class _Sender:
    """Sends one part into its session."""

    def __init__(self, upload: Upload, part: Part, workers: Workers):
        self._upload = upload
        self._part = part
        self._workers = workers
        self._patience = Patience(upload.progress)
        self._position = part.start
        self._takes_zeros = True

    def run(self) -> None:
        """Send what the session does not have; after a broken line, ask it where to go on."""
        while not self._workers.stopped:
            began = self._position
            try:
                began = self._ask()
                for segment in segments(self._upload.source, began, self._part.end):
                    self._append(segment)
                    self._patience.reset()
                    if self._workers.stopped:
                        return
                return
            except Unavailable as error:
                self._patience.wait(error)
            except Conflict:
                # The session is elsewhere than this sender thought, because an answer was lost.
                if self._ask() == began:
                    raise

    def _ask(self) -> int:
        """Return the position in the file at which the session goes on."""
        offset = _offset(self._upload.service, self._part.path)
        if offset is None:
            raise NotFound(
                "The server has given up the upload.", advice="Run the command again to begin anew."
            )
        self._move(self._part.start + offset, by_sending=False)
        return self._position

    def _append(self, segment: Segment) -> None:
        """Send a segment; of zeros, only their number."""
        transport, length = self._upload.service.transport, f"{segment.end - segment.start}"
        headers = {**_VERSION, "Upload-Offset": f"{segment.start - self._part.start}", "Content-Type": _BYTES}
        if segment.is_zero and self._takes_zeros:
            zeros = {**headers, "Upload-Zeros": length}
            answer = transport.call("PATCH", self._part.path, headers=zeros, wait=_FINISHED)
            self._takes_zeros = answer.headers.get("upload-offset") == f"{segment.end - self._part.start}"
            if self._takes_zeros:
                self._move(segment.end, by_sending=False)
                return
        headers["Content-Length"] = length
        transport.send("PATCH", self._part.path, self._body(segment), headers)

    def _body(self, segment: Segment) -> Iterator[memoryview]:
        for block in self._upload.blocks(segment.start, segment.end):
            yield block
            self._move(self._position + len(block))

    def _move(self, position: int, *, by_sending: bool = True) -> None:
        """Report the bytes up to a position, or take back what the server has not got."""
        count = position - self._position
        self._upload.advance(count, is_sent=by_sending or count < 0)
        self._position = position
