"""What Swift, the identity service and the network answer, as errors of the driver contract.

Reasons reach clients: they name options, never hosts, paths or credentials. The
original error is chained. What swiftclient and keystoneauth1 define is imported where
it is looked at: they take 11 MiB, which a server without a Swift store need not have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from calotype.stores import (
    BlobChanged,
    BlobNotFound,
    Duplicate,
    Misconfigured,
    StoreError,
    StoreFull,
    Unavailable,
)

REFUSED = (
    "it refuses our credentials (options user and key, username and password, or application_credential_*)"
)
UNTRUSTED = "its TLS certificate cannot be verified (option ca_bundle)"


@contextlib.contextmanager
def explained(store: str, *, writing: bool = False) -> Iterator[None]:
    """Turn what fails inside into a StoreError; `writing` says that a 404 means the container."""
    try:
        yield
    except Exception as error:
        if not is_failure(error):
            raise
        raise explain(store, error, writing=writing) from error


def is_failure(error: Exception) -> bool:
    """Whether it is what comes out of swiftclient, keystoneauth1, or a body that is being read."""
    import requests
    from keystoneauth1.exceptions import ClientException as IdentityFailure
    from swiftclient.exceptions import ClientException
    from urllib3.exceptions import HTTPError

    return isinstance(
        error, (ClientException, IdentityFailure, requests.RequestException, HTTPError, OSError)
    )


def status_of(error: Exception) -> int:
    """The status of Swift's answer; 0 for what is no answer."""
    from swiftclient.exceptions import ClientException

    return (error.http_status or 0) if isinstance(error, ClientException) else 0


def explain(store: str, error: Exception, *, writing: bool = False) -> StoreError:
    """The one map from failures to the contract's errors."""
    import requests
    from keystoneauth1 import exceptions as identity
    from swiftclient.exceptions import ClientException

    if isinstance(error, ClientException) and error.http_status:
        return _answer(store, error.http_status, error.http_response_headers or {}, writing)
    if isinstance(error, (identity.SSLError, requests.exceptions.SSLError)):
        return Unavailable(store, UNTRUSTED)
    if isinstance(error, (identity.Unauthorized, identity.Forbidden)):
        return Misconfigured(store, REFUSED)
    if isinstance(error, identity.CatalogException):
        return Misconfigured(
            store, "the identity service lists no endpoint for it (options region, interface, endpoint)"
        )
    if isinstance(error, identity.HttpError) and error.http_status < 500:
        kind = Unavailable if error.http_status in (408, 429) else Misconfigured
        return kind(
            store, f"the identity service answered {error.http_status} (options auth_url, auth_version)"
        )
    if isinstance(error, (requests.Timeout, identity.ConnectTimeout)):
        return Unavailable(store, "it did not answer in time")
    return Unavailable(store, "it cannot be reached (options auth_url, endpoint)")


def _answer(store: str, status: int, headers: dict, writing: bool) -> StoreError:
    if status == 401:
        return Misconfigured(store, REFUSED)
    if status == 403:
        return Misconfigured(store, "its user may not do that (roles, or the container's ACL)")
    if status == 404:
        return missing(store) if writing else BlobNotFound(store, "there is no such object")
    if status in (409, 412):
        kind = Duplicate if writing else BlobChanged
        return kind(
            store, "the key is taken" if writing else "the object, or a segment of it, is another now"
        )
    if status in (413, 507):
        return StoreFull(store, "it is full: it has no room for these bytes, or its quota is used up")
    if status == 422:
        return Unavailable(store, "the bytes were damaged on their way to it", retry_after=1)
    if status in (408, 429, 498) or status >= 500:
        after = headers.get("Retry-After", "")
        return Unavailable(store, f"it answered {status}", int(after) if after.isdecimal() else 30)
    return StoreError(store, f"it answered {status}")


def missing(store: str) -> Misconfigured:
    """A container is not there."""
    return Misconfigured(store, "its container is missing (option container; `create = true` makes it)")
