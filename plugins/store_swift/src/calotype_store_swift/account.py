"""The connections of one store to its Swift account. No other module calls swiftclient or keystoneauth1."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

import swiftclient
from requests.adapters import HTTPAdapter
from swiftclient.exceptions import ClientException
from swiftclient.utils import generate_temp_url

from calotype.stores import BlobNotFound, StoreError
from calotype.stores.toolkit import BLOCK, READ
from calotype_store_swift.failures import FAILURES, explained
from calotype_store_swift.identity import Identity
from calotype_store_swift.options import SwiftOptions, text_of
from calotype_store_swift.room import Limits, Quota

Item = TypeVar("Item")

#: Maximum number of idle connections kept open.
IDLE_MAX = 16


class Account:
    """Calls on the account, from any thread. Every failure is raised as a StoreError."""

    #: The exceptions that the `read` of an object's body raises.
    broken = FAILURES

    def __init__(self, store: str, options: SwiftOptions):
        self.store = store
        self.options = options
        self.identity = Identity(options)
        self._lock = threading.Lock()
        self._idle: list[swiftclient.Connection] = []
        self._closed = False
        # At DEBUG, swiftclient logs requests with up to 16 characters of each token and key.
        swiftclient.client.logger_settings["reveal_sensitive_prefix"] = 0

    def call(self, operation: str, *arguments: Any, writing: bool = False, **options: Any) -> Any:
        """Call a method of swiftclient's Connection.

        `writing` is true if a 404 means that the container is missing.
        """
        with explained(self.store, writing=writing), self.lent() as connection:
            return getattr(connection, operation)(*arguments, **options)

    def find(self, container: str, name: str) -> dict[str, str] | None:
        """Return the headers of an object; None if there is none."""
        try:
            return self.call("head_object", container, name)
        except BlobNotFound:
            return None

    def open(self, container: str, name: str, headers: dict[str, str]) -> Body:
        """Open an object for reading. Its connection is in use until the body is closed."""
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(self.lent())
            with explained(self.store):
                found, body = connection.get_object(container, name, resp_chunk_size=READ, headers=headers)
            return Body(found, body, stack.pop_all())

    def listing(self, container: str, prefix: str | None = None) -> Iterator[dict]:
        """Yield the entries of a container in the order of their names."""
        marker = ""
        while page := self.call("get_container", container, marker=marker, prefix=prefix, writing=True)[1]:
            yield from page
            marker = page[-1]["name"]

    def for_each(self, work: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Do the work for every item, several at a time; raise the first failure after all have ended."""
        with ThreadPoolExecutor(self.options.segment_concurrency) as threads:
            list(threads.map(work, items))

    def limits(self) -> Limits:
        """Return the limits of objects from /info, or the usual ones if Swift refuses that."""
        with explained(self.store):
            url = self.identity.get_endpoint()
        try:
            return Limits.from_info(self.call("get_capabilities", url))
        except StoreError as error:
            if not self.status_of(error):
                raise
            return Limits()

    def quota(self) -> Quota | None:
        """Return the quota of the account; None if the store's user may not read it."""
        try:
            return Quota.of("account", self.call("head_account"))
        except StoreError as error:
            if self.status_of(error) != 403:
                raise
            return None

    def quotas(self, containers: Iterable[str]) -> list[Quota]:
        """Return the quotas of the containers."""
        found: list[Quota] = []
        self.for_each(
            lambda name: found.append(Quota.of("container", self.call("head_container", name, writing=True))),
            containers,
        )
        return found

    def temp_url(self, container: str, name: str, expires: int) -> str:
        """Return a URL for GET and HEAD of the object, valid for `expires` seconds."""
        options = self.options
        with explained(self.store):
            url = urlsplit(self.identity.get_endpoint())
        path, key = f"{url.path}/{container}/{name}", text_of(options.temp_url_key)
        signed = generate_temp_url(path, expires, key, "GET", digest=options.temp_url_digest)
        return f"{url.scheme}://{url.netloc}{signed}"

    def accepts(self, url: str) -> bool:
        """Return whether Swift accepts the signature of a URL, even if there is no such object."""
        with explained(self.store):
            return self.identity.status_of(url) != 401

    @staticmethod
    def status_of(error: StoreError) -> int:
        """Return the HTTP status that caused the error; 0 if there was no answer."""
        cause = error.__cause__
        return (cause.http_status or 0) if isinstance(cause, ClientException) else 0

    @contextlib.contextmanager
    def lent(self) -> Iterator[swiftclient.Connection]:
        """Lend a connection, which serves one thread at a time."""
        connection = self._take()
        try:
            yield connection
        finally:
            with self._lock:
                keep = not self._closed and len(self._idle) < IDLE_MAX
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def close(self) -> None:
        """Close idle connections now, and each lent connection when it is returned."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        self.identity.close()

    def _take(self) -> swiftclient.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        options = self.options
        return _Connection(
            session=self.identity,
            cacert=str(options.ca_bundle) if options.ca_bundle else None,
            insecure=not options.verify,
            retries=options.retries,
            starting_backoff=0.25,
            retry_on_ratelimit=True,
            timeout=(options.connect_timeout, options.read_timeout),
        )


class Body:
    """The body of an answer, and its headers."""

    def __init__(self, headers: dict[str, str], body: Any, stack: contextlib.ExitStack):
        self.headers = headers
        self.read = body.read
        stack.callback(body.close)
        self.close = stack.close


class _Connection(swiftclient.Connection):
    def http_connection(self, url: str | None = None) -> tuple[Any, Any]:
        """Return the parsed address and swiftclient's HTTP connection, which sends larger blocks."""
        parsed, connection = super().http_connection(url)
        connection.request_session.mount(f"{parsed.scheme}://", _LargeBlocks())
        return parsed, connection

    def _retry(self, reset_func: Any, func: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Send a request as often as swiftclient does. If its body can be sent only once, raise the answer.

        swiftclient repeats a request that was answered 507. It would raise that the body cannot be sent
        again, and nobody would learn that Swift is full.

        Raises:
            ClientException: Swift refused the request, and its body cannot be sent again.
        """
        refused: list[ClientException] = []

        def send(*arguments: Any, **options: Any) -> Any:
            try:
                return func(*arguments, **options)
            except ClientException as error:
                refused[:] = [error]
                raise

        def reset(*arguments: Any, **options: Any) -> None:
            try:
                reset_func(*arguments, **options)
            except StoreError:
                if refused:
                    raise refused[0] from None
                raise

        return super()._retry(reset_func and reset, send, *arguments, **options)


class _LargeBlocks(HTTPAdapter):
    """Sends a body in blocks of 512 KiB instead of urllib3's 16 KiB, which would take a tenth longer.

    The timeout applies to each block, so smaller blocks would suit slower networks.
    """

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, blocksize=BLOCK, **options)
