"""A listener at /events, which reads server-sent events from a real socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.server import Server


@dataclass(frozen=True)
class Heard:
    """An event, or a comment: the last id after it, its kind, its data, and when it arrived."""

    last_id: str
    kind: str
    data: dict[str, Any]
    at: float


class Listener:
    """A client of /events. A thread reads the events as they arrive."""

    def __init__(self, server: Server, headers: Mapping[str, str] | None = None, query: str = ""):
        """Listen; return once the response has begun.

        Raises:
            AssertionError: the response is not 200.
        """
        self.heard: list[Heard] = []
        self.last_id = ""
        self.ended = threading.Event()
        self._news = threading.Condition()
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._connection.connect()
        self._socket = self._connection.sock
        self._connection.request("GET", f"/events{query}", headers=dict(headers or {}))
        self.response = self._connection.getresponse()
        assert self.response.status == 200, self.response.read()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.wait(lambda: bool(self.last_id))  # the subscription has begun

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection at once."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(2)
        self._thread.join(10)
        self._connection.close()

    def wait(self, wanted: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until `wanted` returns True after some event."""
        end = time.monotonic() + seconds
        with self._news:
            while not wanted():
                left = end - time.monotonic()
                assert left > 0, f"heard only {self.heard}"
                self._news.wait(left)

    def kinds(self, image_id: str | None = None) -> list[str]:
        """Return the kinds of the events of one image, or of all images."""
        return [one.kind for one in self.heard if image_id in (None, one.data.get("image"))]

    def hear(self, image_id: str, kind: str, seconds: float = 10) -> Heard:
        """Wait for an event of the image, and return it."""
        found: list[Heard] = []

        def seek() -> bool:
            found[:] = [one for one in self.heard if (one.data.get("image"), one.kind) == (image_id, kind)]
            return bool(found)

        self.wait(seek, seconds)
        return found[0]

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while line := self.response.readline():
                text = line.decode().rstrip("\n")
                if text:
                    name, _, value = text.partition(": ")
                    fields[name] = value
                    continue
                with self._news:
                    self.last_id = fields.get("id", self.last_id)
                    if "data" in fields:
                        data = json.loads(fields["data"])
                        self.heard.append(Heard(self.last_id, fields["event"], data, time.monotonic()))
                    self._news.notify_all()
                fields = {}
        self.ended.set()
