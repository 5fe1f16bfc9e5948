"""A store that a test changes, breaks or makes unavailable, and runs of fsck over it."""

from __future__ import annotations

import datetime
import io
import math
import uuid
from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import insert, update

from calotype.database.tables import ImageRow, LocationRow
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.findings import Finding, FindingState
from calotype.model.uploads import new_key
from calotype.stores import Blob, BlobNotFound, Reader, Unavailable
from calotype.transfers.fsck.check import Check
from calotype.transfers.fsck.steps import Plan, Problem, Refused, Step
from calotype.transfers.readers import Announced
from tests.support.workbench import Bench, Moody

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
AT_ONCE = Plan(window=0)
REPAIR = Plan(window=0, repair=True)


class Changing(Moody):
    """A store whose locations have a changing form, and that can be unavailable, or fail to list or read."""

    form = "blob:{}"
    #: Whether it still reads locations in the form of its first version.
    remembers = False
    is_away = False
    #: The number of objects after which its listing breaks off.
    lists: float = math.inf
    reads = True
    asked = 0

    def blobs(self) -> Iterator[Blob]:
        self._answer()
        for number, blob in enumerate(super().blobs()):
            if number >= self.lists:
                raise Unavailable(self.name, "the listing broke off")
            yield Blob(self.form.format(blob.location.removeprefix("blob:")), blob.size, blob.modified)

    def attempts(self) -> Iterator[Blob]:
        self._answer()
        return (replace(part, modified=LONG_AGO) for part in super().attempts())

    def locate(self, key: str) -> str | None:
        return self.form.format(key)

    def check(self) -> None:
        self._answer()

    def size(self, location: str) -> int | None:
        self.asked += 1
        self._answer()
        return super().size(self._old(location))

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        if not self.reads:
            return Failing()
        return super().get(self._old(location), offset, length)

    def delete(self, location: str) -> None:
        super().delete(self._old(location))

    def _old(self, location: str) -> str:
        """Return the location in the form of the first version, which MemoryStore reads."""
        before, after = self.form.split("{}")
        if location.startswith(before) and location.endswith(after):
            return "blob:" + location[len(before) : len(location) - len(after)]
        if self.remembers:
            return location
        raise BlobNotFound(self.name, "nothing lies there")

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable(self.name, "it cannot be reached")


class Failing(io.RawIOBase):
    """A reader that fails with an error of the operating system, like that of a bad disk."""

    def read(self, size: int = -1) -> bytes:
        raise OSError(5, "Input/output error")


def upload(bench: Bench, body: bytes = b"bytes of an image") -> str:
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(io.BytesIO(body)))
    return image.id


def key_of(bench: Bench, image_id: str) -> str:
    return bench.locations(image_id)[0].key


def stray(bench: Bench, key: str | None = None) -> str:
    """Put an object without a row into the store, and return its key."""
    key = key or new_key(str(uuid.uuid4()))
    bench.store.shelf.blobs[key] = (b"nobody's", LONG_AGO)
    return key


def fill(bench: Bench, count: int) -> None:
    """Put this many objects into the store that have a row, all of one image."""
    image_id, now = upload(bench), datetime.datetime.now(datetime.UTC)
    bench.lifecycle.delete(bench.database.find(image_id), bench.caller)
    keys = [new_key(image_id) for _ in range(count)]
    bench.store.shelf.blobs |= dict.fromkeys(keys, (b"", now))
    row = {"image_id": image_id, "store": "memory", "state": "stored", "external": False, "counted": 0}
    rows = [{**row, "key": key, "location": f"blob:{key}", "created_at": now} for key in keys]
    if rows:
        with bench.database.engine.begin() as connection:
            connection.execute(insert(LocationRow), rows)
            connection.execute(update(ImageRow).values(size=None))


def run(bench: Bench, plan: Plan = AT_ONCE, refusal: str | None = None, after: str = "") -> list[Step]:
    return list(Check(bench.database, bench.stores["memory"], plan, refusal).run(after))


def problems(steps: list[Step]) -> list[tuple[str, str]]:
    return sorted((step.fault, step.key) for step in steps if isinstance(step, Problem))


def refusals(steps: list[Step]) -> list[str]:
    return [step.reason for step in steps if isinstance(step, Refused)]


def findings(bench: Bench, state: FindingState = FindingState.OPEN) -> list[Finding]:
    return list(bench.database.findings(state, limit=5000).records)


def opened(bench: Bench) -> list[tuple[str, str]]:
    return sorted((one.kind, one.subject) for one in findings(bench))
