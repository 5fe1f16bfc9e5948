"""Drivers whose uploads in parts are each broken in one way; `test_kit_parts.py` names the case for each."""

import contextlib
from typing import ClassVar

import pytest

from calotype.stores import BlobNotFound, Stored
from calotype.testing import MemoryStore, StoreConformance


class KitOfParts(StoreConformance):
    """The kit over a MemoryStore; subclasses name the driver."""

    driver: ClassVar[type[MemoryStore]] = MemoryStore

    @pytest.fixture
    def store(self):
        return self.driver("memory", self.driver.Options())


class Sabotage(MemoryStore):
    """The base of the broken drivers."""


class JoinsPartsAsTheyCame(Sabotage):
    def finish(self, key, token, parts):
        data = b"".join(self._upload(token).parts.values())
        super().finish(key, token, parts)
        self.shelf.blobs[key] = (data, self.shelf.blobs[key][1])
        return Stored(f"blob:{key}", len(data))


class KeepsTheFirstOfTwo(Sabotage):
    def put_part(self, key, token, piece, source):
        first = self._upload(token).parts.get(piece.number)
        receipt = super().put_part(key, token, piece, source)
        if first is not None:
            self._upload(token).parts[piece.number] = first
        return receipt


class JoinsWhateverPartItHas(Sabotage):
    def finish(self, key, token, parts):
        held = {part.number: part for part in self.list_parts(key, token)}
        return super().finish(key, token, [held.get(part.number, part) for part in parts])


class EndsAtAFailedPart(Sabotage):
    def put_part(self, key, token, piece, source):
        try:
            return super().put_part(key, token, piece, source)
        except Exception:
            self.abort(key, token)
            raise


class KeepsPartsInTheInstance(Sabotage):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.own = {}

    def begin(self, key, size=None):
        token = super().begin(key, size)
        self.own[token] = self.shelf.uploads[token]
        return token

    def _upload(self, token):
        if token not in self.own:
            raise BlobNotFound(self.name, "there is no such upload")
        return super()._upload(token)


class SharesOneBuffer(Sabotage):
    """Gives the last bytes that any thread has read to each part that is being stored."""

    def put_part(self, key, token, piece, source):
        self.last = b"".join(iter(lambda: source.read(7), b""))
        receipt = super().put_part(key, token, piece, source)
        for number in self._upload(token).parts:
            self._upload(token).parts[number] = self.last
        return receipt


class ForgetsToListAPart(Sabotage):
    def list_parts(self, key, token):
        return iter(list(super().list_parts(key, token))[:1])


class FinishesWithoutAPart(Sabotage):
    def finish(self, key, token, parts):
        held = self._upload(token).parts
        return super().finish(key, token, [part for part in parts if part.number in held])


class ShowsAPart(Sabotage):
    def put_part(self, key, token, piece, source):
        receipt = super().put_part(key, token, piece, source)
        with contextlib.suppress(Exception):
            self._keep(key, self._upload(token).parts[piece.number])
        return receipt


class AbortsOnce(Sabotage):
    def abort(self, key, token):
        self._upload(token)
        super().abort(key, token)


class KeepsWhatWasFinished(Sabotage):
    def finish(self, key, token, parts):
        upload = self._upload(token)
        stored = super().finish(key, token, parts)
        self.shelf.uploads[token] = upload
        return stored


class AbortsWhatIsFinished(Sabotage):
    def abort(self, key, token):
        super().abort(key, token)
        self.shelf.blobs.pop(key, None)


class ReplacesABlob(Sabotage):
    def begin(self, key, size=None):
        self.shelf.blobs.pop(key, None)
        return super().begin(key, size)


class SavesUploadsFromDiscard(Sabotage):
    def discard(self, key):
        kept = dict(self.shelf.uploads)
        super().discard(key)
        self.shelf.uploads.update(kept)


class HidesUploadsInParts(Sabotage):
    def attempts(self):
        hidden = {upload.key for upload in self.shelf.uploads.values()}
        return (attempt for attempt in super().attempts() if attempt.location not in hidden)


class MakesLongTokens(Sabotage):
    def begin(self, key, size=None):
        token = super().begin(key, size)
        self.shelf.uploads["x" * 2000] = self.shelf.uploads.pop(token)
        return "x" * 2000


for _sinner in Sabotage.__subclasses__():
    globals()[f"Test{_sinner.__name__}"] = type(
        f"Test{_sinner.__name__}", (KitOfParts,), {"driver": _sinner, "__module__": __name__}
    )
