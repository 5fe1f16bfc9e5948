"""The request that every view, tween and resource gets, with the caller and the parts of the service.

`app.make_app` puts one `Parts` into the registry, from which all code that handles requests reads it.
"""

from __future__ import annotations

import uuid
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyramid.request
from pyramid.registry import Registry
from pyramid.response import Response
from webob.multidict import MultiDict

from calotype.api.http.metrics import Metrics
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.identity.security import SecurityPolicy
from calotype.images.lifecycle import Lifecycle
from calotype.model.fields import canonical_id
from calotype.model.images import Image
from calotype.model.policy import Caller, scope_of
from calotype.stores.catalog import Catalog
from calotype.stores.values import Reader
from calotype.transfers.probes import Probes

if TYPE_CHECKING:
    from functools import cached_property as cached  # has types
else:
    # In Python 3.11, functools.cached_property has one lock for all requests. A request that waits for its
    # body or for Keystone would hold it.
    from pyramid.decorator import reify as cached

_PARTS = "calotype.parts"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the service that the handling of a request needs."""

    settings: Settings
    database: Database
    stores: Catalog
    lifecycle: Lifecycle
    probes: Probes
    metrics: Metrics
    security: SecurityPolicy

    def install(self, registry: Registry) -> None:
        """Put the parts into the registry of an application."""
        registry[_PARTS] = self

    @staticmethod
    def of(registry: Registry) -> Parts:
        """Return the parts of an application."""
        parts: Parts = registry[_PARTS]
        return parts


class Request(pyramid.request.Request):
    """A request, with the parts of the service as typed attributes."""

    # Types of the attributes of WebOb that this package uses, because WebOb declares none.
    environ: dict[str, Any]
    headers: MutableMapping[str, str]
    method: str
    GET: MultiDict
    path: str
    path_info: str
    host_url: str
    user_agent: str | None
    content_length: int | None
    registry: Registry
    response: Response
    context: Any
    subpath: tuple[str, ...]
    #: The time of the caller's last identification, on the monotonic clock.
    identified_at: float

    @cached
    def id(self) -> str:
        """The id of this request. A client cannot choose it, because it is written to the log."""
        return f"req-{uuid.uuid4()}"

    @cached
    def error_headers(self) -> dict[str, str]:
        """Headers that the response also has if the request fails. Views add to them."""
        return {}

    @property
    def parts(self) -> Parts:
        """The parts of the application that handles this request."""
        return Parts.of(self.registry)

    @property
    def settings(self) -> Settings:
        """The settings of the service."""
        return self.parts.settings

    @property
    def db(self) -> Database:
        """The database of images."""
        return self.parts.database

    @property
    def lifecycle(self) -> Lifecycle:
        """The verbs on images."""
        return self.parts.lifecycle

    @property
    def stores(self) -> Catalog:
        """The stores that the settings name."""
        return self.parts.stores

    @cached
    def caller(self) -> Caller:
        """The caller, identified at the first use.

        Raises:
            Unauthenticated: the request has no valid token, and anonymous callers are not allowed.
        """
        return self.parts.security.identity(self)

    @property
    def known_caller(self) -> Caller | None:
        """The caller if it has already been identified, otherwise None."""
        return vars(self).get("caller")

    def confirm_caller(self) -> Caller:
        """Return the caller, and check the token again if the last check was too long ago.

        A view calls this after it has read a body or waited, and before it changes anything.

        Raises:
            Unauthenticated: the token was revoked or has expired.
        """
        return self.parts.security.confirm(self)

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case (RFC 9110 8.3.1); "" if there is none."""
        return (self.environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()

    @property
    def announces_body(self) -> bool:
        """True if the head announces a body. A chunked body can still turn out to be empty."""
        if self.content_length is not None:
            return self.content_length > 0
        return "HTTP_TRANSFER_ENCODING" in self.environ

    @cached
    def has_body(self) -> bool:
        """True if the request has a body that is not empty. For a chunked body, wait for its first chunk.

        A view must read this only after the caller's rights are checked. The client may wait for
        100 Continue, and reading the body makes the server send it.
        """
        if not self.announces_body or self.content_length is not None:
            return self.announces_body
        rest = self.environ["wsgi.input"]
        try:
            first = rest.read(1)
        except OSError:
            return True  # the reader of the body gets the same error
        if first:
            self.environ["wsgi.input"] = _Rejoined(first, rest)
        else:
            self.confirm_caller()  # because the wait for an empty body can be long
        return bool(first)

    def visible_image(self, text: str, *, deleted: bool = False) -> Image | None:
        """Return the image with this id, or None if the caller can see no such image.

        Args:
            deleted: true to return a deleted image, too.

        Raises:
            Unauthenticated: the caller cannot be identified. This is checked before the image is looked up.
        """
        caller, image_id = self.caller, canonical_id(text)
        if image_id is None:
            return None
        return self.db.find_visible(image_id, scope_of(caller), caller.project, deleted=deleted)


class _Rejoined:
    """A body whose first byte was read ahead; the next read returns it."""

    def __init__(self, first: bytes, rest: Reader):
        self._first = first
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        if not self._first or size == 0:
            return self._rest.read(size)
        first, self._first = self._first, b""
        return first + self._rest.read(size - 1 if size > 0 else -1)
