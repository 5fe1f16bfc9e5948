"""The ledger: the requests and responses of all clients, by image.

A request is recorded before it is sent, and its response once it is there. If the server is killed between
the two, either outcome is right.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from dataclasses import dataclass, field

from tests.support.answers import Answer


@dataclass
class Promise:
    """One image: the requests for it, and their responses."""

    body: bytes
    digest: str
    #: The record was made; bytes were sent, and kept; staged bytes were kept.
    reserved: bool = False
    sent: bool = False
    kept: bool = False
    staged: bool = False
    import_asked: bool = False
    importing: bool = False
    delete_asked: bool = False
    deleted: bool = False
    #: The response to the request that brought its bytes.
    answer: Answer | None = None
    #: The names that it may have: the last confirmed one, and those requested since.
    names: set[str | None] = field(default_factory=lambda: {None})

    @property
    def answered(self) -> bool:
        """Whether a client has had a response that promises the image."""
        return self.reserved or self.kept or self.importing


class Ledger:
    """All promises, by image id; shared by all clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._promises: dict[str, Promise] = {}
        #: Responses that are wrong in themselves, so that no kill explains them.
        self.wrong: list[str] = []
        #: The time of the slowest response in seconds.
        self.slowest = 0.0

    def begin(self, body: bytes) -> str:
        """Record that a client is about to make an image of these bytes, and return its id."""
        image_id = str(uuid.uuid4())
        with self._lock:
            self._promises[image_id] = Promise(body, hashlib.sha256(body).hexdigest())
        return image_id

    def __getitem__(self, image_id: str) -> Promise:
        return self._promises[image_id]

    def items(self) -> list[tuple[str, Promise]]:
        """Return all promises at the moment."""
        with self._lock:
            return list(self._promises.items())

    def settle(self, image_id: str) -> None:
        """Forget an image whose state is final."""
        with self._lock:
            self._promises.pop(image_id, None)
