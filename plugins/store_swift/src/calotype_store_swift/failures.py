"""The map from failures of Swift, the identity service and the network to the contract's errors.

Reasons reach clients: they name options, never hosts, paths or credentials. The original error is chained.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import requests
from keystoneauth1 import exceptions as identity
from swiftclient.exceptions import ClientException
from urllib3.exceptions import HTTPError

from calotype.stores import (
    BlobChanged,
    BlobNotFound,
    Duplicate,
    Misconfigured,
    StoreError,
    StoreFull,
    TooLarge,
    Unavailable,
)
from calotype.stores.toolkit import retry_after
from calotype_store_swift.options import MISSING

#: The exceptions of swiftclient, keystoneauth1, and of reading a body. Those of requests are OSErrors.
FAILURES = (ClientException, identity.ClientException, HTTPError, OSError)
REFUSED = (
    "it refuses our credentials (options user and key, username and password, or application_credential_*)"
)
UNTRUSTED = "its TLS certificate cannot be verified (option ca_bundle)"


@contextlib.contextmanager
def explained(store: str, *, writing: bool = False) -> Iterator[None]:
    """Convert failures into StoreErrors.

    `writing` is true if a 404 means that the container is missing.
    """
    try:
        yield
    except FAILURES as error:
        raise _explain(store, error, writing) from error


def _explain(store: str, error: Exception, writing: bool) -> StoreError:
    if isinstance(error, ClientException) and error.http_status:
        return _answer(store, error, writing)
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


def _answer(store: str, error: ClientException, writing: bool) -> StoreError:
    status, headers = error.http_status, error.http_response_headers or {}
    if status == 401:
        return Misconfigured(store, REFUSED)
    if status == 403:
        return Misconfigured(store, "its user is not allowed to do this (check roles and container ACL)")
    if status == 404:
        return Misconfigured(store, MISSING) if writing else BlobNotFound(store, "there is no such object")
    if status in (409, 412):
        if writing:
            return Duplicate(store, "the key is taken")
        return BlobChanged(store, "the object, or one of its segments, was replaced")
    if status == 507 or (status == 413 and _is_about_quota(error)):
        return StoreFull(store, "it is full: it has no room for these bytes, or its quota is used up")
    if status == 413:
        return TooLarge(store, "the image, or one of its segments, is larger than it allows")
    if status == 422:
        return Unavailable(store, "the bytes were damaged on their way to it", retry_after=1)
    if status in (408, 429, 498) or status >= 500:
        return Unavailable(store, f"it answered {status}", retry_after(headers.get("Retry-After")))
    return StoreError(store, f"it answered {status}")


def _is_about_quota(error: ClientException) -> bool:
    """Return whether a 413 is about a quota, and not the size of one object. Only its body shows that."""
    content = error.http_response_content or b""
    return b"quota" in (content.encode() if isinstance(content, str) else content).lower()
