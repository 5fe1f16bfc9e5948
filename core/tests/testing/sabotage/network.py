"""Drivers of a server whose connections break or hang. Each is a DistantStore with one mistake."""

import contextlib
import http.client

from calotype.stores import BlobNotFound, Unavailable
from core.tests.testing.sabotage.distant import DistantStore, KitOfDistant
from core.tests.testing.sabotage.folders import with_kits


class HasNoTimeLimit(DistantStore):
    timeout = None


class TriesForMinutes(DistantStore):
    def ask(self, method, key, body=None, size=0):
        for _ in range(100):
            with contextlib.suppress(Unavailable):
                return super().ask(method, key, body, size)
        raise Unavailable(self.name, "no try has helped")


class TakesSilenceForMissing(DistantStore):
    def failure(self, error):
        kind = BlobNotFound if isinstance(error, TimeoutError) else Unavailable
        return kind(self.name, "the connection broke")


class ShowsTheErrorOfTheSocket(DistantStore):
    def failure(self, error):
        return error if isinstance(error, TimeoutError) else super().failure(error)


class SendsTheRestAgain(DistantStore):
    """Repeats a request whose connection broke, with the part of its body that was not sent yet."""

    def send(self, key, body, size):
        try:
            super().send(key, body, size)
        except Unavailable:
            super().send(key, body, size - body.tell())


class TakesABreakForTheEnd(DistantStore):
    def body_of(self, answer):
        try:
            return answer.read()
        except http.client.IncompleteRead as error:
            return error.partial


class TakesAResetForTheEnd(DistantStore):
    def body_of(self, answer):
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while block := answer.read1(512):
                data += block
        return data


with_kits(globals(), KitOfDistant)
