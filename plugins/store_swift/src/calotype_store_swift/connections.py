"""Who we are to Swift, and the connections over which we speak to it.

One token for all connections, had when first needed and again after a 401. A
swiftclient.Connection serves one thread at a time: they are lent, and used again.
swiftclient and keystoneauth1 are loaded with the first of them, for they take 11 MiB.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from calotype_store_swift.options import SwiftOptions, text_of

if TYPE_CHECKING:
    import swiftclient
    from keystoneauth1.identity import BaseIdentityPlugin

Item = TypeVar("Item")

#: Connections kept open when nobody uses them.
IDLE_MAX = 16


class Identity:
    """The keystoneauth session of a store, in the form in which swiftclient asks for one."""

    def __init__(self, options: SwiftOptions):
        import requests
        from keystoneauth1.session import Session

        self._options = options
        self._http = requests.Session()
        self._session = Session(
            auth=_plugin(options),
            session=self._http,
            verify=_verify(options),
            timeout=options.read_timeout,
        )

    def get_endpoint(self, **_: object) -> str:
        """The storage URL, account included.

        Raises:
            EndpointNotFound: the catalogue has none for the region and interface of the options.
        """
        from keystoneauth1.exceptions import EndpointNotFound

        options = self._options
        url = options.endpoint or self._session.get_endpoint(
            service_type="object-store", interface=options.interface, region_name=options.region
        )
        if not url:
            raise EndpointNotFound()
        return url.rstrip("/")

    def get_token(self) -> str:
        """A token, kept until it is about to expire."""
        return self._session.get_token() or ""

    def invalidate(self) -> bool:
        """Forget the token. True: it is worth asking again.

        keystoneauth says False to the second of two threads whose token was refused
        at once, and swiftclient would give up there.
        """
        self._session.invalidate()
        return True

    def accepts(self, url: str) -> bool:
        """Whether a signed URL is let in, whatever it leads to."""
        options = self._options
        timeout = (options.connect_timeout, options.read_timeout)
        return self._http.head(url, timeout=timeout, verify=_verify(options)).status_code != 401

    def close(self) -> None:
        """Close the connection to the identity service."""
        self._http.close()


class Connections:
    """The connections of a store to its Swift; made when first used."""

    def __init__(self, options: SwiftOptions):
        self._options = options
        self._lock = threading.Lock()
        self._identity: Identity | None = None
        self._idle: list[swiftclient.Connection] = []
        self._closed = False

    @property
    def identity(self) -> Identity:
        """The store's one identity."""
        with self._lock:
            if self._identity is None:
                self._identity = Identity(self._options)
            return self._identity

    def take(self) -> swiftclient.Connection:
        """Borrow a connection, for one thread at a time."""
        import swiftclient

        from calotype_store_swift.client import Client

        # It logs requests at DEBUG with up to 16 characters of each token and key.
        swiftclient.client.logger_settings["reveal_sensitive_prefix"] = 0
        identity = self.identity
        with self._lock:
            if self._idle:
                return self._idle.pop()
        options = self._options
        return Client(
            session=identity,
            cacert=str(options.ca_bundle) if options.ca_bundle else None,
            insecure=not options.verify,
            retries=options.retries,
            starting_backoff=0.25,
            retry_on_ratelimit=True,
            timeout=(options.connect_timeout, options.read_timeout),
        )

    def give_back(self, connection: swiftclient.Connection) -> None:
        """Return a borrowed connection."""
        with self._lock:
            if not self._closed and len(self._idle) < IDLE_MAX:
                self._idle.append(connection)
                return
        connection.close()

    @contextlib.contextmanager
    def lent(self) -> Iterator[swiftclient.Connection]:
        """A connection for the time of the block."""
        connection = self.take()
        try:
            yield connection
        finally:
            self.give_back(connection)

    def for_each(self, work: Callable[[swiftclient.Connection, Item], object], items: Iterable[Item]) -> None:
        """Do the work for every item, several at a time; the first failure is raised after all have ended."""

        def one(item: Item) -> None:
            with self.lent() as connection:
                work(connection, item)

        with ThreadPoolExecutor(self._options.segment_concurrency) as threads:
            list(threads.map(one, items))

    def close(self) -> None:
        """Close what is idle now, and what is borrowed when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            identity = self._identity
        for connection in idle:
            connection.close()
        if identity:
            identity.close()


def _verify(options: SwiftOptions) -> bool | str:
    return str(options.ca_bundle) if options.verify and options.ca_bundle else options.verify


def _plugin(options: SwiftOptions) -> BaseIdentityPlugin:
    from keystoneauth1.identity import v3
    from swiftclient.authv1 import PasswordPlugin

    if options.auth_version == "1":
        return PasswordPlugin(options.auth_url, options.user, text_of(options.key))
    url = options.auth_url.rstrip("/")
    url = url if url.endswith("/v3") else f"{url}/v3"
    if options.application_credential_id:
        return v3.ApplicationCredential(
            url,
            text_of(options.application_credential_secret),
            application_credential_id=options.application_credential_id,
        )
    return v3.Password(
        url,
        text_of(options.password),
        username=options.username,
        user_domain_name=options.user_domain_name,
        project_id=options.project_id,
        project_name=None if options.project_id else options.project_name,
        project_domain_name=None if options.project_id else options.project_domain_name,
    )
