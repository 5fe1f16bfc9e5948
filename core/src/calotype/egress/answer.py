"""The response of a source: its head and its body, and the messages for connection errors."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import urllib3.exceptions
from urllib3 import HTTPHeaderDict
from urllib3.connection import HTTPConnection

from calotype.egress.errors import Unreachable
from calotype.egress.policy import EgressPolicy
from calotype.egress.targets import Target

#: Maximum number of bytes read from a connection at a time.
BLOCK = 1 << 20
#: The errors that a connection may raise.
FAILURES = (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError)

_BREAK = "closes the connection before the end"
#: Errors of a network that has no route to an address.
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EACCES})


class Answer:
    """A source's response: status, headers, the final URL, and the body, which can be read once.

    `endless` is true if the head does not say where the body ends. The body then ends with the connection.
    """

    def __init__(self, connection: HTTPConnection, target: Target, policy: EgressPolicy):
        self.url = target.url
        self.host = target.host
        self._policy = policy
        self._connection = connection
        self._socket = connection.sock  # getresponse may set connection.sock to None
        with deadline(self._socket, policy.read_timeout):
            self._response = connection.getresponse()
        self.status: int = self._response.status
        self.headers: HTTPHeaderDict = self._response.headers
        self.endless = not ("Content-Length" in self.headers or "Transfer-Encoding" in self.headers)
        #: True if a block takes many socket reads. One deadline then covers all of them.
        self._gathers = self._response.chunked or isinstance(self._socket, ssl.SSLSocket)
        self._is_empty = True
        self._came = 0
        self._waited = 0.0
        if self.endless and isinstance(self._socket, ssl.SSLSocket):
            # Only TLS's own closing message distinguishes the end of such a body from a cut by an attacker.
            # Use `vars`, because the attribute is undocumented and has no type.
            vars(self._socket)["suppress_ragged_eofs"] = False

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes as they arrive, at most `size`, or b"" at the end.

        Raises:
            Unreachable: the connection broke before the announced end, or the source is too slow.
        """
        wanted = BLOCK if size is None or size < 0 else min(size, BLOCK)
        started = time.monotonic()
        try:
            block = self._next(wanted)
        except FAILURES as error:
            raise unreachable(error, self.host, self._policy.read_timeout) from error
        if self.endless and self._is_empty and wanted and not block:
            # A head that was cut short looks the same: http.client reads the cut as the end of the head.
            raise Unreachable("closes the connection without a length or any bytes", self.host)
        self._is_empty = self._is_empty and not block
        self._hold_to_rate(len(block), time.monotonic() - started)
        return block

    def close(self) -> None:
        """Close the connection. This may be called twice, and before the end of the body."""
        self._response.close()
        self._connection.close()

    def _next(self, wanted: int) -> bytes:
        if not self._gathers:
            return self._response.read1(wanted)  # waits once, for at most the socket's timeout
        with deadline(self._socket, self._policy.read_timeout + wanted / self._policy.min_rate):
            return self._response.read(wanted)

    def _hold_to_rate(self, count: int, seconds: float) -> None:
        self._came += count
        self._waited += seconds
        if self._waited >= self._policy.read_timeout:
            if self._came < self._policy.min_rate * self._waited:
                slow = f"is too slow: it sends fewer than {self._policy.min_rate} bytes a second"
                raise Unreachable(slow, self.host)
            self._came, self._waited = 0, 0.0


@contextlib.contextmanager
def deadline(sock: socket.socket, seconds: float) -> Iterator[None]:
    """Cut the connection and raise TimeoutError after `seconds` in the block, even if bytes keep arriving."""
    cut = threading.Event()  # http.client may mistake the cut for the end of a head

    def cut_off() -> None:
        cut.set()
        with contextlib.suppress(OSError):
            # Not sock.shutdown: a TLS socket would drop its session while another thread reads from it.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    except FAILURES as error:
        if cut.is_set():
            raise TimeoutError from error  # the cut looks like an error of the source
        raise
    finally:
        timer.cancel()
    if cut.is_set():
        raise TimeoutError


def unreachable(error: BaseException, host: str, seconds: float) -> Unreachable:
    """Return Unreachable for a connection error. Its text contains nothing that the source sent."""
    while isinstance(error, urllib3.exceptions.HTTPError) and error.__cause__ is not None:
        error = error.__cause__  # urllib3's own error hides the reason
    return Unreachable(_meaning(error, seconds), host)


def _meaning(error: BaseException, seconds: float) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"has a certificate that is not accepted ({error.verify_message.rstrip('.')})"
        case ssl.SSLEOFError() | http.client.RemoteDisconnected() | http.client.IncompleteRead():
            return _BREAK
        case ssl.SSLError():
            return f"has a TLS error ({error.reason or 'no reason given'})"
        case TimeoutError() | urllib3.exceptions.TimeoutError():
            return f"does not answer within {seconds:g} seconds"
        case ConnectionRefusedError():
            return "refuses the connection"
        case OSError(errno=number) if number in _NO_WAY:
            return f"cannot be reached ({os.strerror(number)})"
        case http.client.HTTPException():
            return "does not answer in HTTP"
        case _:
            return _BREAK
