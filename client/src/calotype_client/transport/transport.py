"""Requests over urllib3: small ones with retries, and the two directions of a large body."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.util import Retry, Timeout

from calotype_client import errors
from calotype_client.profiles.profile import Profile
from calotype_client.transport.answers import Answer, error_of
from calotype_client.transport.authentication import authentication_of

#: Size of the blocks in which bodies are read, in bytes: a block stays in the processor's cache until it is
#: written. Reading blocks of 1 MiB takes twice the processor time.
BLOCK = 256 << 10
#: Seconds to wait for a connection, for the answer to a small request, and for the end of an upload. A server
#: may need that long to check and to store what it has received; keep-alive probes notice a dead connection.
_CONNECT, _ANSWER, _STORED = 10.0, 120.0, 3600.0
#: Headers that a redirect to another host, such as a store, must not carry along.
_SECRET = frozenset({"X-Auth-Token", "Authorization", "Cookie", "Proxy-Authorization"})
_BUSY = frozenset({429, 503})
#: Requests that change nothing when they are repeated, and the other ones, which are repeated only if the
#: server refused them because it was busy.
_REPEATABLE = Retry(
    total=4,
    other=0,
    redirect=3,
    status_forcelist=_BUSY | {502, 504},
    backoff_factor=0.5,
    raise_on_status=False,
    remove_headers_on_redirect=_SECRET,
    retry_after_max=60,
)
_ONCE = _REPEATABLE.new(read=False, redirect=0, status_forcelist=_BUSY, allowed_methods=None)
_NEVER = Retry(total=0, redirect=0, raise_on_redirect=False, raise_on_status=False)
#: Notice a peer that vanished after two minutes without an answer to keep-alive probes.
_KEEPALIVE = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
]


class Transport:
    """The connections to one server. It can be used from several threads."""

    def __init__(self, profile: Profile, user_agent: str):
        self._profile = profile
        self._auth = authentication_of(profile)
        self._user_agent = user_agent
        self._pool = _make_pool(profile)

    def close(self) -> None:
        """Close all idle connections."""
        self._pool.clear()

    @property
    def endpoint(self) -> str:
        """Return the base URL of the server, without a version and a slash at the end."""
        return self._auth.endpoint()

    def round_trip(self) -> float:
        """Return the seconds in which the server's machine accepts a connection; 0 if it does not.

        This is the time of the network alone: no program of the server is asked.
        """
        url = urlsplit(self.endpoint)
        began = time.monotonic()
        try:
            port = url.port or (443 if url.scheme == "https" else 80)
            socket.create_connection((url.hostname or "", port), timeout=_CONNECT).close()
        except OSError:
            return 0.0
        return time.monotonic() - began

    def request(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        wait: float = _ANSWER,
    ) -> Answer:
        """Send a request with a JSON document or without a body, and return the answer, whatever its status.

        A request that may be repeated is repeated if the connection breaks, and every request if the server
        is busy; `Retry-After` is obeyed. `wait` is the time to wait for the answer, in seconds.

        Raises:
            Unavailable: the server cannot be reached.
            SettingsError: the server's certificate is not trusted.
        """
        given = {"Accept": "application/json", **(headers or {})}
        body = None
        if document is not None:
            body = json.dumps(document).encode()
            given.setdefault("Content-Type", "application/json")
        retries = _REPEATABLE if method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE") else _ONCE
        with self._translated():
            return self._answered(method, path, given, body=body, retries=retries, timeout=wait)

    def call(self, method: str, path: str, document: object = None, **given: Any) -> Answer:
        """Send a request like `request`, and raise the error of an answer with a status of 400 or more."""
        answer = self.request(method, path, document, **given)
        if answer.status >= 400:
            raise error_of(answer)
        return answer

    def send(
        self, method: str, path: str, body: Iterable[bytes | memoryview], headers: Mapping[str, str]
    ) -> Answer:
        """Send a large body once, and return the answer; without Content-Length it is sent in chunks.

        Raises:
            CalotypeError: the server refused, or the connection broke.
        """
        given = {"Accept": "application/json", "Content-Type": "application/octet-stream", **headers}
        with self._translated():
            answer = self._answered(method, path, given, body=body, retries=_NEVER, timeout=_STORED)
        if answer.status >= 400:
            raise error_of(answer)
        return answer

    @contextlib.contextmanager
    def receive(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[urllib3.HTTPResponse]:
        """Yield the response to a GET request, whose body the caller reads with `read_block`.

        Raises:
            CalotypeError: the server refused, or the connection broke.
        """
        given = {"Accept": "*/*", "Accept-Encoding": "identity", **(headers or {})}
        with self._translated():
            response = self._open("GET", path, given, retries=_REPEATABLE, timeout=_ANSWER)
            if response.status == 401 and self._auth.renew():
                response.drain_conn()
                response = self._open("GET", path, given, retries=_REPEATABLE, timeout=_ANSWER)
        if response.status >= 400:
            with self._translated():
                raise error_of(_answer_of(response))
        try:
            yield response
        finally:
            # A body that was not read to its end would be in the way of the next response.
            if response.length_remaining == 0:
                response.release_conn()
            else:
                response.close()

    def read_block(self, response: urllib3.HTTPResponse, most: int = BLOCK) -> bytes:
        """Return the next bytes of a response, or nothing at its end; raises Unavailable."""
        with self._translated():
            return response.read(most, decode_content=False)

    def read_some(self, response: urllib3.HTTPResponse) -> bytes:
        """Return what has arrived of a response, or nothing at its end; raises Unavailable."""
        with self._translated():
            return response.read1(65536, decode_content=False)

    def _answered(self, method: str, path: str, headers: dict[str, str], **given: Any) -> Answer:
        answer = _answer_of(self._open(method, path, headers, **given))
        # A large body has been consumed by then, so that its sender must begin again.
        is_repeatable = given["body"] is None or isinstance(given["body"], bytes)
        if answer.status == 401 and self._auth.renew() and is_repeatable:
            answer = _answer_of(self._open(method, path, headers, **given))
        return answer

    def _open(
        self, method: str, path: str, headers: dict[str, str], *, timeout: float, **given: Any
    ) -> urllib3.HTTPResponse:
        response = self._pool.request(
            method,
            url_below(self.endpoint, path),
            headers={"User-Agent": self._user_agent, **self._auth.headers(), **headers},
            preload_content=False,
            timeout=Timeout(connect=_CONNECT, read=timeout),
            **given,
        )
        return cast("urllib3.HTTPResponse", response)  # what PoolManager makes

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn errors of urllib3 into those of the client."""
        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._translate(error) from error

    def _translate(self, error: BaseException) -> errors.CalotypeError:
        cause = getattr(error, "reason", None) or error
        text = _words_of(cause)
        if isinstance(cause, urllib3.exceptions.SSLError):
            return errors.SettingsError(
                f"The connection to {self.endpoint} is not secure: {text}",
                advice="If the server has a CA of its own, name its file: calotype login --cacert FILE URL, "
                "or `cacert` in clouds.yaml.",
            )
        if isinstance(cause, urllib3.exceptions.LocationValueError | urllib3.exceptions.NameResolutionError):
            return errors.Unavailable(
                f"There is no host of this name: {self.endpoint}.", advice="Check the URL of the server."
            )
        if isinstance(cause, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
            return errors.Unavailable(
                f"No server answers at {self.endpoint}: {text}.",
                advice="Check the URL, and whether the server runs.",
            )
        return errors.Unavailable(f"The connection to {self.endpoint} broke: {text}.")


def _words_of(error: BaseException) -> str:
    """Return what the innermost error says, without the names of classes and numbers around it."""
    inner = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    text = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
    return " ".join(text.split()) or type(inner).__name__


def _make_pool(profile: Profile) -> urllib3.PoolManager:
    options: dict[str, Any] = {
        "maxsize": 16,
        "blocksize": BLOCK,
        "socket_options": _KEEPALIVE,
        "cert_reqs": "CERT_REQUIRED" if profile.verify else "CERT_NONE",
        "ca_certs": profile.ca_file,
        "cert_file": profile.cert_file,
        "key_file": profile.key_file,
    }
    if profile.endpoint:
        url = urlsplit(profile.endpoint)
        proxy = urllib.request.getproxies().get(url.scheme)
        if proxy and not urllib.request.proxy_bypass(url.hostname or ""):
            return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _answer_of(response: urllib3.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, response.read(decode_content=True))


def url_below(endpoint: str, path: str) -> str:
    """Return the URL of a path of the server.

    Raises:
        ProtocolError: the path leads to another server, which must not get the caller's token.
    """
    if path.startswith(f"{endpoint}/"):
        return path
    if not path.startswith("/") or path.startswith("//"):
        raise errors.ProtocolError(f"The server named an address that is not its own: {path[:200]!r}.")
    # A server behind a proxy may name paths with the prefix under which the proxy shows it.
    prefix = urlsplit(endpoint).path
    own = path.removeprefix(prefix) if prefix and path.startswith(f"{prefix}/") else path
    return endpoint + own


def path_of(*parts: str, **query: object) -> str:
    """Return a path below /v2, with its parts and its query quoted; a value of None is left out."""
    path = "/".join(["/v2", *(quote(part, safe="") for part in parts)])
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path
