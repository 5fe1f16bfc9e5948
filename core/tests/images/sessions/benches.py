"""A bench for upload sessions, and the stores that it uses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from calotype.database.tables import PartRow, SessionRow
from calotype.images.lifecycle import Lifecycle
from calotype.images.sessions import Sessions
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.images import Image
from calotype.model.sessions import UploadSession
from calotype.model.states import Status
from calotype.stores import Parts
from calotype.testing import Trickle
from calotype.testing.memory import MemoryStore
from calotype.transfers.readers import Announced
from calotype.transfers.sessions.chunks import Chunk
from tests.support.workbench import Bench, Moody

#: The size of a cell in the store with cells, in bytes. It is small, so that tests need few bytes.
CELL = 1000


class Celled(Moody):
    """A store whose parts must have at least CELL bytes, except the last, as those of S3 have a minimum."""

    part_min = CELL
    parts_max = 1000


class Whole(Moody):
    """A store that takes whole blobs only."""

    withheld = frozenset({Parts})


class Broken:
    """A source that fails after its bytes."""

    def __init__(self, data: bytes, error: Exception, length: int | None = None):
        self._inner, self._error, self.length = Trickle(data), error, length

    def read(self, size: int = -1, /) -> bytes:
        if block := self._inner.read(size):
            return block
        raise self._error

    def close(self) -> None:
        pass


@dataclass
class SessionBench:
    """A bench whose sessions are written with small calls."""

    inner: Bench

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def sessions(self) -> Sessions:
        return self.inner.lifecycle.sessions

    def begin(
        self, length: int | None, draft: ImageFields | None = None, image: Image | None = None, **options: Any
    ) -> UploadSession:
        options.setdefault("on_failure", Status.KILLED)
        change = Change(self.inner.caller, draft or ImageFields(), image)
        return self.sessions.begin(change, length, **options)

    def write(self, session: UploadSession, offset: int, data: Any, **options: Any) -> UploadSession:
        source = Announced(Trickle(data), len(data)) if isinstance(data, bytes) else data
        return self.sessions.write(session.id, self.inner.caller, Chunk(offset, source, **options))

    def state(self, session: UploadSession, **options: Any) -> UploadSession:
        return self.sessions.state(session.id, self.inner.caller, **options)

    def finish(self, session: UploadSession) -> Image:
        return self.sessions.finish(session.id, self.inner.caller)

    def abort(self, session: UploadSession) -> None:
        self.sessions.abort(session.id, self.inner.caller)

    def another_process(self) -> SessionBench:
        """Return a bench of another process over the same database and stores."""
        inner = self.inner
        lifecycle = Lifecycle(inner.database, inner.stores, inner.settings)
        return SessionBench(
            Bench(inner.path, inner.database, inner.store, inner.stores, inner.settings, lifecycle)
        )

    def rows(self, table: type[SessionRow] | type[PartRow]) -> list[Any]:
        with self.inner.database.engine.connect() as connection:
            return list(connection.execute(select(table.__table__)).all())

    def assert_image(self, image: Image, data: bytes) -> None:
        """Require that the image has these bytes and the right digests, and that nothing else is left."""
        assert image.status is Status.ACTIVE
        assert self.inner.read(image) == data
        assert image.size == len(data)
        assert image.os_hash_value == hashlib.sha256(data).hexdigest()
        assert image.checksum == hashlib.md5(data, usedforsecurity=False).hexdigest()
        assert list(self.inner.blobs.values()).count(data) == 1
        self.assert_nothing_left()

    def assert_nothing_left(self) -> None:
        """Require that the stores and the tables have nothing but the images' bytes."""
        shelf: MemoryStore.Options = self.inner.store.options
        assert not shelf.shelf.uploads
        assert not shelf.shelf.attempts
        assert not self.rows(PartRow)
        stored = {row.location for row in self.inner.locations()}
        assert set(self.inner.blobs) == stored
        counted = sum(row.counted for row in self.inner.locations())
        assert self.inner.database.usage(self.inner.caller.project).bytes == counted
