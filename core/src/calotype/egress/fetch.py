"""A fetch: the policy, the one gate that every connection passes, and the answer."""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import logging
import os
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

#: What is said of a name that has no address, and of a connection that ends too early.
_UNKNOWN = "is unknown: there is no address for its name"
_BREAK = "breaks the connection off before the end"
#: Errors of a network that has no way to an address.
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EACCES})

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
    """A source's answer: status, headers, the final URL, and a body to read forward.

    `endless`: nothing announces where the body ends, so the end of the connection is its end.
    """

    def __init__(self, connection: HTTPConnection, target: Target, policy: EgressPolicy):
        self.url = target.url
        self.host = target.host
        self._policy = policy
        self._connection = connection
        self._socket = connection.sock  # the connection lets go of it once it knows that it will close
        with _deadline(self._socket, policy.read_timeout):
            self._response = connection.getresponse()
        self.status: int = self._response.status
        self.headers: HTTPHeaderDict = self._response.headers
        self.endless = not ("Content-Length" in self.headers or "Transfer-Encoding" in self.headers)
        #: TLS records and chunks are small, so that a block is many of them; each may be waited for.
        self._gathers = self._response.chunked or isinstance(self._socket, ssl.SSLSocket)
        self._is_empty = True
        self._came = 0
        self._waited = 0.0
        if self.endless and isinstance(self._socket, ssl.SSLSocket):
            # Only TLS's own closing message tells the end of such a body from an attacker's cut.
            self._socket.suppress_ragged_eofs = False

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
            raise _unreachable(error, self.host, self._policy.read_timeout) from error
        if self.endless and self._is_empty and wanted and not block:
            # A head that was cut short looks the same, because its end is not announced either.
            raise Unreachable("closes the connection without a length or a byte", self.host)
        self._is_empty = self._is_empty and not block
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
                slow = f"is too slow: it sends fewer than {self._policy.min_rate} bytes a second"
                raise Unreachable(slow, self.host)
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
    except _FAILURES as error:
        if cut.is_set():
            raise TimeoutError from error  # the cut looks like a break by the other side
        raise
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
        """Check the form, scheme, port and literal address of a URL, and return if they are allowed.

        No name is resolved here: `open` checks the addresses that a name resolves to.

        Raises:
            Forbidden: fetching from this URL is not allowed.
        """
        target = parse(url)
        self._check_port(target)
        address = LOOPBACK if LOCALHOST.search(target.host) else target.literal
        if address is not None:
            self._judge(target.host, unmapped(address))

    def open(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, *, endless: bool = False
    ) -> Answer:
        """Send a request without a body, and return the answer; the caller closes it.

        With `endless`, a body may end with its connection: HTTP/1.0 has no other end where the length is
        not known. A cut looks the same, so this is for copies whose bytes are looked at when they are here.

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
                return _usable(answer, endless=endless)
            answer.close()
            target = follow(target, location)
        raise BadAnswer(f"redirects more than {self.policy.max_redirects} times", target.host)

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
            return Answer(connection, target, self.policy)
        except _FAILURES as error:
            connection.close()
            raise _unreachable(error, target.host, self.policy.read_timeout) from error

    def _connect(self, target: Target) -> HTTPConnection:
        """Connect to the first address that takes us, under the target's name."""
        failure: Exception = OSError()
        for address in self._addresses(target)[:ADDRESSES_MAX]:
            try:
                return self._connected(target, str(address))
            except _FAILURES as error:
                failure = error
        raise _unreachable(failure, target.host, self.policy.connect_timeout) from failure

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
        try:
            context = ssl.create_default_context(cafile=self.policy.ca_bundle)
        except OSError as error:
            raise Unreachable("cannot be verified: this service's ca_bundle cannot be read") from error
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
            raise _unresolved(error, target.host) from error
        if not addresses:
            raise Unreachable(_UNKNOWN, target.host)
        for address in addresses:
            self._judge(target.host, address)
        return list(dict.fromkeys(addresses))

    def _check_port(self, target: Target) -> None:
        policy = self.policy
        if target.scheme not in policy.schemes:
            raise Forbidden(
                f"{target.scheme} is not in the option schemes ({_listed(policy.schemes)})", target.host
            )
        if target.port not in policy.ports:
            raise Forbidden(
                f"port {target.port} is not in the option ports ({_listed(policy.ports)})", target.host
            )

    def _judge(self, host: str, address: Address) -> None:
        if (why := self._refusal(host, address)) is not None:
            log.warning("refused to fetch from %s, because %s is not allowed", host, address)
            raise Forbidden(why, host)

    def _refusal(self, host: str, address: Address) -> str | None:
        policy = self.policy
        if any(address in network for network in policy.denied_networks):
            return "its address is in the option denied_networks"
        if host in policy.allowed_hosts or any(address in network for network in policy.allowed_networks):
            return None
        if is_public(address) and not is_own(address):
            return None
        return "its address is not public, and neither allowed_networks nor allowed_hosts has it"


def _usable(answer: Answer, *, endless: bool) -> Answer:
    """Let an answer through whose body is the bytes themselves, and whose end can be told from a break."""
    has_bytes = answer.status < 300 and answer.status != 204
    problem = _problem(answer, endless=endless) if has_bytes else None
    if problem is not None:
        answer.close()
        raise BadAnswer(problem, answer.host)
    return answer


def _problem(answer: Answer, *, endless: bool) -> str | None:
    content = answer.headers.get("Content-Encoding", "").strip().lower()
    transfer = answer.headers.get("Transfer-Encoding", "").strip().lower()
    if content not in ("", "identity"):
        return "sends its bytes encoded (Content-Encoding), though it was asked not to"
    if transfer not in ("", "chunked"):
        return "sends its bytes with a Transfer-Encoding that is not chunked"
    if answer.endless and not endless:
        return "does not say where its bytes end, so that they can only be imported (copied)"
    return None


def _unresolved(error: Exception, host: str) -> Unreachable:
    """Tell a name that does not exist from a resolver that does not answer."""
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return Unreachable("cannot be looked up now: the resolver gives no answer", host)
    return Unreachable(_UNKNOWN, host)


def _unreachable(error: BaseException, host: str, seconds: float) -> Unreachable:
    """Say what an error of a connection means, in words that hold nothing of what the other side has sent."""
    if isinstance(error, urllib3.exceptions.HTTPError) and error.__cause__ is not None:
        return _unreachable(error.__cause__, host, seconds)  # theirs hides what happened
    return Unreachable(_what_happened(error, seconds), host)


def _what_happened(error: BaseException, seconds: float) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"has a certificate that is not accepted ({error.verify_message.rstrip('.')})"
        case ssl.SSLEOFError():
            return _BREAK
        case ssl.SSLError():
            return f"fails in TLS ({error.reason or 'no reason given'})"
        case TimeoutError() | urllib3.exceptions.TimeoutError():
            return f"does not answer within {seconds:g} seconds"
        case ConnectionRefusedError():
            return "refuses the connection"
        case OSError(errno=number) if number in _NO_WAY:
            return f"cannot be reached ({os.strerror(number)})"
        case http.client.RemoteDisconnected() | http.client.IncompleteRead():
            return _BREAK
        case http.client.HTTPException():
            return "does not answer in HTTP"
        case _:
            return _BREAK


def _listed(allowed: Iterable[object]) -> str:
    return ", ".join(map(str, allowed))
