"""A fetch: the policy, the one gate that every connection passes, and the answer."""

from __future__ import annotations

import contextlib
import functools
import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import urllib3.exceptions
from urllib3 import HTTPHeaderDict
from urllib3.connection import HTTPConnection, HTTPSConnection

from calotype.egress.errors import BadAnswer, Forbidden, Unreachable
from calotype.egress.targets import (
    LOCALHOST,
    LOOPBACK,
    Address,
    Network,
    Target,
    follow,
    is_own,
    is_public,
    parse,
    unmapped,
)

log = logging.getLogger(__name__)

#: From a name and a port to the addresses of the name, as text; raises OSError.
Resolver = Callable[[str, int], Iterable[str]]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: At most so many addresses of one name are tried.
ADDRESSES_MAX = 4
#: Bytes asked of a connection at a time.
BLOCK = 1 << 20

_FAILURES = (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """What may be fetched from, and how patiently.

    Public addresses may be fetched from, save for `denied_networks` and this machine's
    own. `allowed_networks` and `allowed_hosts` (names in lower case, whose DNS is
    trusted) are what else may, private as it is. Times are in seconds: `connect_timeout`
    for each address, `read_timeout` for the head of an answer and for any wait for more
    bytes. `min_rate` is in bytes a second, at least 1, over waits that add up to `read_timeout`.
    `ca_bundle` is a file of certificates (None: the system's).
    """

    schemes: tuple[str, ...] = ("https", "http")
    ports: tuple[int, ...] = (80, 443)
    allowed_networks: tuple[Network, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    denied_networks: tuple[Network, ...] = ()
    max_redirects: int = 3
    connect_timeout: float = 5
    read_timeout: float = 60
    min_rate: int = 16384
    ca_bundle: str | None = None
    verify: bool = True


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system knows them, in its order."""
    return [record[4][0] for record in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Answer:
    """What a source answered: status, headers, the final URL, and a body to read forward."""

    def __init__(self, connection: HTTPConnection, url: str, policy: EgressPolicy):
        self.url = url
        self._policy = policy
        self._connection = connection
        self._socket = connection.sock  # the connection lets go of it once it knows that it will close
        with _deadline(self._socket, policy.read_timeout):
            self._response = connection.getresponse()
        self.status: int = self._response.status
        self.headers: HTTPHeaderDict = self._response.headers
        #: TLS records and chunks are small, so that a block is many of them; each may be waited for.
        self._gathers = self._response.chunked or isinstance(self._socket, ssl.SSLSocket)
        self._came = 0
        self._waited = 0.0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes as they come, at most `size`, b"" only at the end.

        Raises:
            Unreachable: it broke off before its announced end, or is too slow.
        """
        wanted = BLOCK if size is None or size < 0 else min(size, BLOCK)
        started = time.monotonic()
        try:
            block = self._next(wanted)
        except _FAILURES as error:
            raise Unreachable from error
        self._hold_to_rate(len(block), time.monotonic() - started)
        return block

    def close(self) -> None:
        """Let go of the connection; may be called twice, and before the end."""
        self._response.close()
        self._connection.close()

    def _next(self, wanted: int) -> bytes:
        if not self._gathers:
            return self._response.read1(wanted)  # waits once, and the socket's timeout holds
        with _deadline(self._socket, self._policy.read_timeout + wanted / self._policy.min_rate):
            return self._response.read(wanted)

    def _hold_to_rate(self, count: int, seconds: float) -> None:
        self._came += count
        self._waited += seconds
        if self._waited >= self._policy.read_timeout:
            if self._came < self._policy.min_rate * self._waited:
                raise Unreachable
            self._came, self._waited = 0, 0.0


@contextlib.contextmanager
def _deadline(sock: socket.socket, seconds: float) -> Iterator[None]:
    """Cut the connection when the block takes longer, however its bytes drip; raises TimeoutError then."""
    cut = threading.Event()  # the cut alone does not tell: to http.client a head may end anywhere

    def cut_off() -> None:
        cut.set()
        with contextlib.suppress(OSError):
            # Not sock.shutdown: a TLS socket would forget its session under the reader's hands.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if cut.is_set():
        raise TimeoutError


class Egress:
    """The way out under one policy; shared by all threads. Every `open` is a connection of its own."""

    def __init__(self, policy: EgressPolicy, resolver: Resolver = resolve):
        self.policy = policy
        self._resolve = resolver

    def check(self, url: str) -> None:
        """Return if the URL may be fetched from, now; nothing is sent to its target.

        Raises:
            Forbidden: it may not.
            Unreachable: its name does not resolve.
        """
        self._addresses(parse(url))

    def check_form(self, url: str) -> None:
        """Return if nothing in the URL itself forbids to fetch from it: its form, scheme, port, or address.

        Nothing is looked up, so a name is let through whatever it leads to; `open` judges that.

        Raises:
            Forbidden: it may not be fetched from.
        """
        target = parse(url)
        self._check_port(target)
        address = LOOPBACK if LOCALHOST.search(target.host) else target.literal
        if address is not None:
            self._judge(target.host, unmapped(address))

    def open(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request without a body, and return the answer; the caller closes it.

        Redirects are followed as the policy allows, each through the whole check, and
        with the same headers: they must not hold credentials. Any other status is the
        caller's to judge.

        Raises:
            Forbidden: the URL, or one it redirects to, may not be fetched from.
            Unreachable: no usable answer came in time.
            BadAnswer: too many redirects, or a body that is encoded, or whose end cannot be told.
        """
        target = parse(url)
        for _ in range(self.policy.max_redirects + 1):
            answer = self._ask(method, target, headers or {})
            location = answer.headers.get("Location") if answer.status in REDIRECTS else None
            if location is None:
                return _usable(answer)
            answer.close()
            target = follow(target, location)
        raise BadAnswer

    def _ask(self, method: str, target: Target, headers: Mapping[str, str]) -> Answer:
        connection = self._connect(target)
        own = {
            "Host": target.authority,
            "User-Agent": "calotype",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        try:
            connection.timeout = self.policy.read_timeout
            connection.request(
                method, target.path, headers={**headers, **own}, preload_content=False, decode_content=False
            )
            return Answer(connection, target.url, self.policy)
        except _FAILURES as error:
            connection.close()
            raise Unreachable from error

    def _connect(self, target: Target) -> HTTPConnection:
        """Connect to the first address that takes us, under the target's name."""
        failure: Exception | None = None
        for address in self._addresses(target)[:ADDRESSES_MAX]:
            try:
                return self._connected(target, str(address))
            except _FAILURES as error:
                failure = error
        raise Unreachable from failure

    def _connected(self, target: Target, address: str) -> HTTPConnection:
        timeout = self.policy.connect_timeout
        if target.scheme == "http":
            connection = HTTPConnection(address, target.port, timeout=timeout)
        else:
            connection = HTTPSConnection(
                address, target.port, timeout=timeout, ssl_context=self._tls, server_hostname=target.host
            )
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.policy.ca_bundle)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.hostname_checks_common_name = False
        if not self.policy.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _addresses(self, target: Target) -> list[Address]:
        """The addresses to connect to. One bad address spoils them all: it is chosen by the name's owner."""
        self._check_port(target)
        try:
            found = [target.literal] if target.literal else self._resolve(target.host, target.port)
            addresses = [unmapped(address) for address in found]
        except (OSError, ValueError) as error:
            raise Unreachable from error
        if not addresses:
            raise Unreachable
        for address in addresses:
            self._judge(target.host, address)
        return list(dict.fromkeys(addresses))

    def _check_port(self, target: Target) -> None:
        if target.scheme not in self.policy.schemes or target.port not in self.policy.ports:
            raise Forbidden

    def _judge(self, host: str, address: Address) -> None:
        if not self._permits(host, address):
            log.warning("refused to fetch from %s, for %s is not allowed", host, address)
            raise Forbidden

    def _permits(self, host: str, address: Address) -> bool:
        policy = self.policy
        if any(address in network for network in policy.denied_networks):
            return False
        if host in policy.allowed_hosts or any(address in network for network in policy.allowed_networks):
            return True
        return is_public(address) and not is_own(address)


def _usable(answer: Answer) -> Answer:
    """Let an answer through whose body is the bytes themselves, and whose end can be told from a break."""
    content = answer.headers.get("Content-Encoding", "").strip().lower()
    transfer = answer.headers.get("Transfer-Encoding", "").strip().lower()
    framed = transfer == "chunked" or (not transfer and "Content-Length" in answer.headers)
    if answer.status < 300 and (content not in ("", "identity") or not framed):
        answer.close()
        raise BadAnswer
    return answer
