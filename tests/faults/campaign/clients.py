"""Clients: each sends random requests, one after the other, until the server is gone."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from tests.faults.campaign.ledger import Ledger
from tests.faults.campaign.victim import Victim
from tests.support.answers import Answer
from tests.support.server import OCTETS, meta

#: Sizes of bodies, below and above the size from which a body is streamed.
SIZES = (1, 10, 70_000, 400_000, 3_000_000)
_STREAMING = SIZES[3:]
JSON = {"Content-Type": "application/json"}
FORMATS = {"disk_format": "raw", "container_format": "bare"}
#: The statuses that any request may get while others change the same image: no 500, no 502.
_FAIR = {200, 201, 202, 203, 204, 400, 403, 404, 409, 410, 412, 413, 503, 507}


class Deeds:
    """The deeds of a client. Each method is one deed, and keeps the ledger."""

    def __init__(self, victim: Victim, ledger: Ledger, dice: random.Random):
        self._victim = victim
        self._ledger = ledger
        self._dice = dice
        self._mine: list[str] = []

    def upload(self) -> str:
        """Upload by the classic API, with a length; return the image's id."""
        return self._post(lambda body: body)

    def upload_large(self) -> str:
        """Upload the largest body by the classic API, with a length."""
        return self._post(lambda body: body, SIZES[-1:])

    def upload_chunked(self) -> str:
        """Upload by the classic API, without a length."""
        return self._post(_pieces)

    def upload_slowly(self, seconds: float) -> str:
        """Upload by the classic API, with a body that takes this many seconds."""
        return self._post(lambda body: _slowly(body, seconds), _STREAMING)

    def upload_in_halves(self, middle: threading.Event) -> str:
        """Upload by the classic API, with a second half that is sent once `middle` is set."""
        return self._post(lambda body: _halves(body, middle), _STREAMING)

    def upload_to_queued(self) -> str:
        """Reserve an image and upload its bytes by v2."""
        image_id = self._reserve()
        promise = self._ledger[image_id]
        if promise.reserved:
            promise.sent = True
            promise.answer = self._ask("PUT", f"/v2/images/{image_id}/file", OCTETS, promise.body)
            promise.kept = promise.answer.status == 204
        return image_id

    def stage(self) -> str:
        """Reserve an image and stage its bytes by v2."""
        image_id = self._reserve()
        promise = self._ledger[image_id]
        if promise.reserved:
            promise.sent = True
            path = f"/v2/images/{image_id}/stage"
            promise.staged = self._ask("PUT", path, OCTETS, promise.body).status == 204
        return image_id

    def import_staged(self) -> str:
        """Stage an image's bytes and have them imported by v2."""
        image_id = self.stage()
        promise = self._ledger[image_id]
        if promise.staged:
            promise.import_asked = True
            order = {"method": {"name": "glance-direct"}}
            promise.importing = self._send(f"/v2/images/{image_id}/import", order).status == 202
        return image_id

    def copy_from(self) -> str:
        """Have an image's bytes fetched from a web server by v1."""
        body = self._body()
        image_id = self._begin(body)
        promise = self._ledger[image_id]
        fields = meta(id=image_id, name=image_id, **FORMATS)
        source = {"x-glance-api-copy-from": self._victim.web.place(body)}
        promise.names = {image_id}
        promise.import_asked = True
        promise.importing = self._ask("POST", "/v1/images", {**fields, **source}).status == 201
        return image_id

    def copy(self) -> None:
        """Have an image's bytes copied into the other store by v2."""
        image_id = self._any()
        if image_id is not None:
            order = {"method": {"name": "copy-image"}, "stores": ["cold"]}
            self._send(f"/v2/images/{image_id}/import", order)

    def download(self) -> None:
        """Download by the classic API, and compare the bytes with those that were sent."""
        image_id = self._any()
        if image_id is not None:
            answer = self._ask("GET", f"/images/{image_id}")
            if answer.status == 200 and answer.body != self._ledger[image_id].body:
                self._ledger.wrong.append(f"{image_id}: other bytes came back than were sent")

    def rename(self) -> str | None:
        """Change an image's name by the classic API."""
        image_id = self._own()
        if image_id is not None:
            promise, name = self._ledger[image_id], f"n{self._dice.random()}"
            promise.names.add(name)
            if self._ask("PUT", f"/images/{image_id}", meta(name=name)).status == 200:
                promise.names = {name}
        return image_id

    def delete(self, image_id: str | None = None) -> str | None:
        """Delete an image by the classic API."""
        image_id = image_id or self._own()
        if image_id is not None:
            promise = self._ledger[image_id]
            promise.delete_asked = True
            promise.deleted |= self._ask("DELETE", f"/images/{image_id}").status == 200
        return image_id

    def own(self) -> str | None:
        """Return one of this client's images, which may be deleted."""
        return self._dice.choice(self._mine) if self._mine else None

    def _post(self, carried: Callable[[bytes], bytes | Iterator[bytes]], sizes: Sequence[int] = SIZES) -> str:
        body = self._body(sizes)
        image_id = self._begin(body)
        promise = self._ledger[image_id]
        promise.sent = True
        promise.names = {image_id}
        headers = {**OCTETS, **meta(id=image_id, name=image_id)}
        promise.answer = self._ask("POST", "/images", headers, carried(body))
        promise.kept = promise.answer.status == 200
        return image_id

    def _reserve(self) -> str:
        image_id = self._begin(self._body())
        promise = self._ledger[image_id]
        promise.names = {image_id}
        promise.answer = self._send("/v2/images", {"id": image_id, "name": image_id, **FORMATS})
        promise.reserved = promise.answer.status == 201
        return image_id

    def _body(self, sizes: Sequence[int] = SIZES) -> bytes:
        return self._dice.randbytes(self._dice.choice(sizes))

    def _begin(self, body: bytes) -> str:
        image_id = self._ledger.begin(body)
        self._mine.append(image_id)
        return image_id

    def _any(self) -> str | None:
        """Return any image, which other clients may be changing at the same time."""
        known = [image_id for image_id, promise in self._ledger.items() if promise.answered]
        return self._dice.choice(known) if known else None

    def _own(self) -> str | None:
        """Return an image of this client, because only one client changes what was promised of an image."""
        known = [
            one for one in self._mine if self._ledger[one].answered and not self._ledger[one].delete_asked
        ]
        return self._dice.choice(known) if known else None

    def _send(self, path: str, document: object) -> Answer:
        return self._ask("POST", path, JSON, json.dumps(document).encode())

    def _ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
    ) -> Answer:
        began = time.monotonic()
        try:
            answer = self._victim.request(method, path, headers, body)
        finally:
            self._ledger.slowest = max(self._ledger.slowest, time.monotonic() - began)
        if answer.status not in _FAIR:
            self._ledger.wrong.append(f"{method} {path}: {answer.status} {answer.text[:200]}")
        if answer.status == 503 and "Retry-After" not in answer.headers:
            self._ledger.wrong.append(f"{method} {path}: 503 without Retry-After")
        return answer


class Client(threading.Thread):
    """A client that does deeds until the server is gone, or `end` is set."""

    _OFTEN = (Deeds.upload, Deeds.upload_chunked, Deeds.upload_to_queued)
    _ALL = (
        *(_OFTEN * 2),
        Deeds.stage,
        Deeds.import_staged,
        Deeds.copy_from,
        Deeds.copy,
        Deeds.download,
        Deeds.rename,
        Deeds.delete,
    )

    def __init__(self, victim: Victim, ledger: Ledger, seed: int):
        super().__init__()
        self._dice = random.Random(seed)
        self._deeds = Deeds(victim, ledger, self._dice)
        self.end = threading.Event()

    def run(self) -> None:
        """Do random deeds."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not self.end.is_set():
                self._dice.choice(self._ALL)(self._deeds)


class Steadfast(Client):
    """A client that continues after a broken connection, such as a download whose store goes away."""

    def run(self) -> None:
        """Do deeds until `end` is set."""
        while not self.end.is_set():
            super().run()


class Filler(threading.Thread):
    """A client that uploads large images until one is refused; `refusal` is None if the server is gone."""

    def __init__(self, victim: Victim, ledger: Ledger, seed: int):
        super().__init__()
        self._deeds = Deeds(victim, ledger, random.Random(seed))
        self._ledger = ledger
        self.refusal: Answer | None = None
        self.end = threading.Event()

    def run(self) -> None:
        """Upload in all ways in turn."""
        deeds = self._deeds
        ways = itertools.cycle((deeds.upload_large, deeds.upload_chunked, deeds.upload_to_queued))
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not self.end.is_set():
                promise = self._ledger[next(ways)()]
                if not promise.kept:
                    self.refusal = promise.answer
                    return


def _slowly(body: bytes, seconds: float, pieces: int = 20) -> Iterator[bytes]:
    for piece in _pieces(body, -(-len(body) // pieces)):
        yield piece
        time.sleep(seconds / pieces)


def _halves(body: bytes, middle: threading.Event) -> Iterator[bytes]:
    half = len(body) // 2
    yield body[:half]
    middle.wait()
    yield body[half:]


def _pieces(body: bytes, size: int = 50_000) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))
