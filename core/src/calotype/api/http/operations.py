"""Descriptions of requests, beside the views that serve them: `@view_config(..., operation=Operation(...))`.

`calotype.api.http.openapi` makes the OpenAPI document from them. It finds the method, the right and the path
by Pyramid's introspection. The path begins the docstring of the view's context, and the docstring of the
view has the summary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyramid.config import Configurator

from calotype.api.http.conditions import PreconditionFailed
from calotype.api.http.downloads import RangeNotSatisfiable
from calotype.database import errors as database
from calotype.model import errors as model
from calotype.model import fields
from calotype.model.states import Status
from calotype.stores import errors as stores
from calotype.transfers import inspection

SCHEMAS = "calotype.openapi.schemas"

#: A JSON schema, or the name of one that `config.add_schemas` registers.
Schema = Mapping[str, Any] | str
#: The schemas of a body by media type. No media type: no body.
Content = Mapping[str, Schema]
Errors = tuple[type[Exception], ...]

STRING: Mapping[str, Any] = {"type": "string"}
INTEGER: Mapping[str, Any] = {"type": "integer", "minimum": 0}
FLAG: Mapping[str, Any] = {"type": "string", "enum": ["true", "false"]}
NONE: Content = {}
BYTES: Content = {"application/octet-stream": {}}
TEXT: Content = {"text/plain": STRING}
#: The parameters of a page of a list.
PAGE: Mapping[str, Schema] = {"limit": INTEGER, "marker": STRING, "marker_values": STRING}
WAIT: Mapping[str, Schema] = {
    "wait": {"type": "string", "enum": sorted(Status)},
    "timeout": STRING,
}
RANGE: Mapping[str, Schema] = dict.fromkeys(("Range", "If-Range", "If-Match", "If-None-Match"), STRING)

#: The errors of requests that change something.
CHANGES: Errors = (
    fields.RequestTooLarge,
    fields.ReservedName,
    model.Conflict,
    model.CallerExpired,
    database.StatusConflict,
    database.LimitReached,
    database.DatabaseFull,
)
#: The errors of requests with bytes, or with the place of bytes.
UPLOADS: Errors = (
    *CHANGES,
    model.NotQueued,
    model.UnknownTarget,
    model.ImageGone,
    model.TakenOver,
    model.NoGoodCopy,
    inspection.InspectorsUnavailable,
    stores.SourceError,
    stores.SourceTooLarge,
    stores.SourceRejected,
    stores.StoreFull,
    stores.Unavailable,
    stores.StoreError,
)
#: The errors of requests for bytes.
DOWNLOADS: Errors = (
    PreconditionFailed,
    RangeNotSatisfiable,
    model.NoData,
    model.NoGoodCopy,
    stores.BlobChanged,
    stores.Unavailable,
    stores.StoreError,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of a request that a view serves.

    `answers` has the content of each status that is not an error. `body` is the content of the request, and
    `query` and `headers` are its optional parameters. `errors` has the exceptions that the request can end
    with, besides those of almost every request; each dialect maps them to statuses. `refusals` has the
    reasons of statuses that no exception of `errors` stands for.
    """

    answers: Mapping[int, Content]
    body: Content = field(default_factory=dict)
    query: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    errors: Errors = ()
    refusals: Mapping[int, str] = field(default_factory=dict)


def json_of(schema: Schema) -> Content:
    """Return the content of a JSON document."""
    return {"application/json": schema}


def properties(**schemas: Schema) -> dict[str, Any]:
    """Return the schema of an object that has these keys, and perhaps others."""
    return {"type": "object", "properties": schemas, "required": [*schemas]}


def list_of(schema: Schema) -> dict[str, Any]:
    """Return the schema of an array."""
    return {"type": "array", "items": schema}


#: A request that changes something, and whose answer has no body.
CHANGE = Operation({204: NONE}, errors=CHANGES)


def keep_operation(view: Any, info: Any) -> Any:
    """Return the view unchanged: the option `operation` is only for introspection."""
    return view


keep_operation.options = ("operation",)  # type: ignore[attr-defined]


def includeme(config: Configurator) -> None:
    """Add the option `operation` of views, and the directive `add_schemas`."""
    config.registry[SCHEMAS] = {}
    config.add_view_deriver(keep_operation)
    config.add_directive("add_schemas", _add_schemas)


def _add_schemas(config: Configurator, prefix: str, schemas: Mapping[str, Mapping[str, Any]]) -> None:
    """Add schemas to the OpenAPI document, each with the name `PREFIX.NAME`."""
    named = {f"{prefix}.{name.replace(' ', '-')}": {"type": "object", **one} for name, one in schemas.items()}
    config.registry[SCHEMAS].update(named)
