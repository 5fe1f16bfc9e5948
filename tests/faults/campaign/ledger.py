"""The ledger: what clients sent, and what they were answered, image by image.

Something is written down as asked for before its request goes out, and as answered when
the answer is there: between the two lies whatever a kill may leave open.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from dataclasses import dataclass, field

from tests.support.answers import Answer


@dataclass
class Promise:
    """One image: what was asked for it, and what was answered."""

    body: bytes
    digest: str
    #: A record was answered; bytes were sent, answered as kept; staged bytes likewise.
    reserved: bool = False
    sent: bool = False
    kept: bool = False
    staged: bool = False
    import_asked: bool = False
    importing: bool = False
    delete_asked: bool = False
    deleted: bool = False
    #: What the request that brought its bytes was answered.
    answer: Answer | None = None
    #: The names it may have: the last one answered, and those asked for since.
    names: set[str | None] = field(default_factory=lambda: {None})

    @property
    def answered(self) -> bool:
        """Whether a client knows of the image."""
        return self.reserved or self.kept or self.importing


class Ledger:
    """All promises, by image id; shared by all clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._promises: dict[str, Promise] = {}
        #: What no kill explains: an answer that is wrong in itself.
        self.wrong: list[str] = []
        #: Seconds that the slowest answer took.
        self.slowest = 0.0

    def begin(self, body: bytes) -> str:
        """Write down that bytes are about to become an image's; its id."""
        image_id = str(uuid.uuid4())
        with self._lock:
            self._promises[image_id] = Promise(body, hashlib.sha256(body).hexdigest())
        return image_id

    def __getitem__(self, image_id: str) -> Promise:
        return self._promises[image_id]

    def items(self) -> list[tuple[str, Promise]]:
        """All there are at the moment."""
        with self._lock:
            return list(self._promises.items())

    def settle(self, image_id: str) -> None:
        """Forget an image of which nothing more is to be seen."""
        with self._lock:
            self._promises.pop(image_id, None)
