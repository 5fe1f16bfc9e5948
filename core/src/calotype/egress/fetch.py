"""Fetch from URLs, and post to them. Every outgoing connection passes the checks in this module."""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping

from urllib3.connection import HTTPConnection, HTTPSConnection

from calotype.egress.answer import FAILURES, Answer, unreachable
from calotype.egress.errors import BadAnswer, Forbidden, Unreachable
from calotype.egress.policy import EgressPolicy
from calotype.egress.targets import LOCALHOST, LOOPBACK, Address, Target, follow, parse, unmapped

log = logging.getLogger(__name__)

#: A function that takes a name and a port, and returns the name's addresses as text. It may raise OSError.
Resolver = Callable[[str, int], Iterable[str]]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Maximum number of addresses of one name that are tried.
ADDRESSES_MAX = 4
#: The message for a name without an address.
_UNKNOWN = "is unknown: there is no address for its name"


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name in the order of the system's resolver."""
    return [str(record[4][0]) for record in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Egress:
    """A client for requests under one policy. All threads share it. Each request makes a new connection."""

    def __init__(self, policy: EgressPolicy, resolver: Resolver = resolve):
        self.policy = policy
        self._resolve = resolver

    def check(self, url: str) -> None:
        """Resolve the URL's name, and check that its addresses are allowed. Send nothing to them.

        Raises:
            Forbidden: fetching from this URL is not allowed.
            Unreachable: the URL's name does not resolve.
        """
        self._addresses(parse(url))

    def check_form(self, url: str) -> None:
        """Check that the form, scheme, port and literal address of a URL are allowed.

        No name is resolved here: `open` checks the addresses that a name resolves to.

        Raises:
            Forbidden: fetching from this URL is not allowed.
        """
        target = parse(url)
        self.policy.check_port(target)
        address = LOOPBACK if LOCALHOST.search(target.host) else target.literal
        if address is not None:
            self._judge(target.host, unmapped(address))

    def open(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, *, endless: bool = False
    ) -> Answer:
        """Send a request without a body, and return the response, which the caller closes.

        With `endless`, a body may end with its connection, as in HTTP/1.0 without a length. A cut connection
        looks the same, so this is only for copies whose bytes are checked afterwards.

        Redirects are followed as the policy allows. Each one passes the whole check and gets the same
        headers, so these must not contain credentials. The caller handles all other statuses.

        Raises:
            Forbidden: fetching from the URL, or from a URL that it redirects to, is not allowed.
            Unreachable: no usable response came in time.
            BadAnswer: too many redirects, an encoded body, or a body without a recognizable end.
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

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a body by POST, and return the status of the response. Redirects are not followed.

        Raises:
            Forbidden: sending to the URL is not allowed.
            Unreachable: no usable response came in time.
        """
        with contextlib.closing(self._ask("POST", parse(url), headers, body)) as answer:
            return answer.status

    def _ask(
        self, method: str, target: Target, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
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
                method,
                target.path,
                body=body,
                headers={**headers, **own},
                preload_content=False,
                decode_content=False,
            )
            return Answer(connection, target, self.policy)
        except FAILURES as error:
            connection.close()
            raise unreachable(error, target.host, self.policy.read_timeout) from error

    def _connect(self, target: Target) -> HTTPConnection:
        """Connect to the first address that accepts the connection, with the target's name for TLS."""
        failure: Exception = OSError()
        for address in self._addresses(target)[:ADDRESSES_MAX]:
            try:
                return self._connected(target, str(address))
            except FAILURES as error:
                failure = error
        raise unreachable(failure, target.host, self.policy.connect_timeout) from failure

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
        """Return the addresses to connect to.

        If one address is not allowed, all are refused, because the name's owner chooses which one is used.
        """
        self.policy.check_port(target)
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

    def _judge(self, host: str, address: Address) -> None:
        if (why := self.policy.refusal(host, address)) is not None:
            log.warning("refused to fetch from %s at %s: %s", host, address, why)
            raise Forbidden(why, host)


def _unresolved(error: Exception, host: str) -> Unreachable:
    """Return the error for an unknown name, or for a resolver that does not answer."""
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return Unreachable("cannot be looked up now: the resolver gives no answer", host)
    return Unreachable(_UNKNOWN, host)


def _usable(answer: Answer, *, endless: bool) -> Answer:
    """Return the response if its body is unencoded and has a recognizable end; otherwise raise BadAnswer."""
    problem = _problem(answer, endless=endless)
    if problem is not None:
        answer.close()
        raise BadAnswer(problem, answer.host)
    return answer


def _problem(answer: Answer, *, endless: bool) -> str | None:
    if answer.status >= 300 or answer.status == 204:
        return None  # the body of such a response is not the image
    content = answer.headers.get("Content-Encoding", "").strip().lower()
    transfer = answer.headers.get("Transfer-Encoding", "").strip().lower()
    if content not in ("", "identity"):
        return "sends its bytes encoded (Content-Encoding), although the request forbids that"
    if transfer not in ("", "chunked"):
        return "sends its bytes with a Transfer-Encoding that is not chunked"
    if answer.endless and not endless:
        return "does not say where its bytes end, so they can only be imported (copied)"
    return None
