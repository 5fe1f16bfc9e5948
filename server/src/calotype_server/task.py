"""A request and its response: waitress's task, with a protocol between application and server.

The WSGI environment has these keys beside those of WSGI (the README documents them):

- `calotype_server.release_worker`: use `with environ[...]():` around a wait for a backend. Meanwhile, another
  worker replaces this one, and another request may use this request's slot.
- `calotype_server.expect_document`: call it if the body is a document, whatever its Content-Type.
- `calotype_server.set_caller`: call it with the caller's name, so that the server can divide its workers
  fairly among callers.
- `calotype_server.pausable`: the Pause of the request, with which it waits without a worker: see `pausing`.
- `calotype_server.is_admin`: True if the request came through the admin listener. The key is missing if there
  is no such listener.

No client can set them, because the names of headers begin with `HTTP_`.
"""

from __future__ import annotations

from typing import Any

from waitress.channel import ClientDisconnected
from waitress.task import ErrorTask, WSGITask

from calotype_server.body import BodyError
from calotype_server.pausing import PAUSABLE, Pause, PausingBody
from calotype_server.sending import FileBuffer

_LENGTH = "content-length"


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
        if self.channel.server.is_admin is not None:
            environ["calotype_server.is_admin"] = self.channel.server.is_admin
        return environ

    def build_response_header(self) -> bytes:
        """Return waitress's head, with `Connection: close` if part of the body is unread or the server ends.

        If the response to a HEAD has no Content-Length, waitress would announce chunks, send the last chunk,
        and close. A temporary Content-Length prevents this.
        """
        body = self.request.body
        if (body is not None and not body.finished) or self.channel.server.ending:
            self.set_close_on_finish()
        if self.request.command != "HEAD" or any(
            name.lower() == _LENGTH for name, _ in self.response_headers
        ):
            return bytes(super().build_response_header())
        self.response_headers.append((_LENGTH, "0"))
        return bytes(super().build_response_header()).replace(b"\r\nContent-Length: 0\r\n", b"\r\n", 1)

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
