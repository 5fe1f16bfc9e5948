"""A request and its response: waitress's task, with a protocol between application and server.

The WSGI environment has these keys beside those of WSGI (the README documents them):

- `calotype_server.release_worker`: use `with environ[...]():` around a wait for a backend. Meanwhile, another
  worker replaces this one, and another request may use this request's slot.
- `calotype_server.expect_document`: call it if the body is a document, whatever its Content-Type.
- `calotype_server.set_caller`: call it with the caller's name, so that the server can divide its workers
  fairly among callers.
- `calotype_server.pausable`: the Pause of the request, with which it waits without a worker: see `pausing`.
- `calotype_server.send_interim`: call it with a status such as `104 Upload Resumption Supported` and a list
  of headers, to send an interim response before the final one. The key is missing in HTTP/1.0.
- `calotype_server.is_admin`: True if the request came through the admin listener. The key is missing if there
  is no such listener.

No client can set them, because the names of headers begin with `HTTP_`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from waitress.channel import ClientDisconnected
from waitress.task import ErrorTask, WSGITask

from calotype_server.body import BodyError
from calotype_server.pausing import PAUSABLE, Pause, PausingBody
from calotype_server.sending import FileBuffer

_LENGTH = "content-length"
#: The status line of an interim response. The server itself sends 100, and never switches protocols (101).
_INTERIM = re.compile(r"1(0[2-9]|[1-9][0-9]) [\x20-\x7e]+")
_BREAK = re.compile(r"[\r\n]")


class Task(WSGITask):
    """waitress's task. It also closes the connection if another request cannot follow, and it can pause."""

    def __init__(self, channel: Any, request: Any):
        super().__init__(channel, request)
        self.pause = Pause(channel)

    def get_environment(self) -> dict[str, Any]:
        """Return waitress's environment, with the keys above and a file wrapper that sends by sendfile."""
        environ: dict[str, Any] = super().get_environment()
        environ["wsgi.file_wrapper"] = FileBuffer
        environ["calotype_server.release_worker"] = self.channel.release_worker
        environ["calotype_server.expect_document"] = self.channel.expect_document
        environ["calotype_server.set_caller"] = self.channel.set_caller
        environ[PAUSABLE] = self.pause
        if self.version == "1.1":  # a client of HTTP/1.0 does not know interim responses (RFC 9110 15.2)
            environ["calotype_server.send_interim"] = self.send_interim
        if self.channel.server.is_admin is not None:
            environ["calotype_server.is_admin"] = self.channel.server.is_admin
        return environ

    def send_interim(self, status: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Send an interim response at once. Do nothing if the client has left.

        Raises:
            ValueError: the status is not 102 to 199, or a line has a line break, or the response has begun.
        """
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        if not _INTERIM.fullmatch(status) or any(_BREAK.search(line) for line in lines):
            raise ValueError(f"not an interim response: {lines}")
        if self.wrote_header:
            raise ValueError("the response has begun")
        with contextlib.suppress(ClientDisconnected):  # the application notices it when it reads the body
            self.channel.write_soon("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def build_response_header(self) -> bytes:
        """Return waitress's head, with `Connection: close` if part of the body is unread or the server ends.

        If the response to a HEAD has no Content-Length, waitress would announce chunks, send the last chunk,
        and close. A temporary Content-Length prevents this.
        """
        body = self.request.body
        if (body is not None and not body.finished) or self.channel.server.ending:
            self.set_close_on_finish()
        if not self.has_body:
            return self._head_without_body()
        if self.request.command != "HEAD" or any(
            name.lower() == _LENGTH for name, _ in self.response_headers
        ):
            return bytes(super().build_response_header())
        self.response_headers.append((_LENGTH, "0"))
        return bytes(super().build_response_header()).replace(b"\r\nContent-Length: 0\r\n", b"\r\n", 1)

    def _head_without_body(self) -> bytes:
        """Return the head of a 204 or 304, after which the connection stays open unless it must end.

        waitress closes the connection after a response without Content-Length, which these must not have.
        """
        ends = (
            self.close_on_finish
            or self.version == "1.0"
            or self.request.headers.get("CONNECTION", "").lower() == "close"
        )
        head = bytes(super().build_response_header())
        if ends:
            return head
        self.close_on_finish: bool = False
        return head.replace(b"\r\nConnection: close\r\n", b"\r\n", 1)

    def service(self) -> None:
        """Run the application and send its response. Log no error if the client left during the body."""
        try:
            super().service()
        except ClientDisconnected:
            body = self.request.body
            if body is None or not body.broken or self.request.error is not None:
                raise  # waitress logs it
            self.close_on_finish = True

    def execute(self) -> None:
        """Run the application, or continue its body after a pause.

        If the application does not handle a BodyError, respond in its place.
        """
        try:
            body = self.pause.take_body()
            if body is None:
                self._run()
            else:
                self._continue(body)
        except BodyError as error:
            if self.wrote_header:
                raise
            self.request.error, self.complete = error.answer, True
            self.response_headers: list[tuple[str, str]] = []
            ErrorTask.execute(self)

    def _run(self) -> None:
        """Run the application. If it has run before, forget the response that it returned then."""
        self.environ = None
        self.complete, self.content_length, self.response_headers = False, None, []
        super().execute()

    def _continue(self, body: PausingBody) -> None:
        try:
            for block in body:
                self.write(block)
        finally:
            body.close()
