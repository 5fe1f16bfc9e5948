"""The codec of v2: read JSON documents into fields, and write records as JSON documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calotype.api.http.records import shared_fields
from calotype.api.http.times import whole_seconds as moment
from calotype.api.v2.schemas import Schemas
from calotype.model.errors import NotAllowed
from calotype.model.fields import ImageFields, InvalidRequest, ReservedName
from calotype.model.images import Image, Member, Visibility
from calotype.model.jobs import Job
from calotype.model.property_names import SERVER_FIELDS, is_reserved

#: Fields that a document can set, besides `id` and `tags`.
FIELDS = frozenset(
    [
        "name",
        "visibility",
        "owner",
        "protected",
        "os_hidden",
        "container_format",
        "disk_format",
        "min_disk",
        "min_ram",
    ]
)


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """The parameters of an import. If `strict` is true, the import fails if any of the stores fails."""

    method: str
    uri: str | None
    stores: tuple[str, ...] | None
    all_stores: bool
    strict: bool


def check_key(name: str) -> None:
    """Check that a client may set this key of an image; raises NotAllowed, ReservedName."""
    if name in SERVER_FIELDS:
        raise NotAllowed(f"Attribute '{name}' is read-only.")
    if is_reserved(name) and name not in FIELDS | {"id", "tags"}:
        raise ReservedName(name)


def read_object(document: object) -> dict[str, Any]:
    """Return the document, which must be a JSON object; raises InvalidRequest."""
    if not isinstance(document, dict):
        raise InvalidRequest("The JSON document must be an object.")
    return document


def read_draft(document: object, schemas: Schemas) -> ImageFields:
    """Return the fields of a new image.

    Raises:
        NotAllowed, ReservedName: the document sets a field that only the server sets.
        InvalidRequest: a value has the wrong type.
    """
    given = read_object(document)
    for name in given:
        check_key(name)
    for name, value in given.items():
        schemas.check_value(name, value)
    fields = {name: read_value(value) for name, value in given.items() if name in FIELDS}
    # Null removes a property if the schema allows null.
    properties = {
        name: value for name, value in given.items() if not schemas.is_base(name) and value is not None
    }
    return ImageFields(
        id=given.get("id"),
        fields={"visibility": Visibility.SHARED, **fields},
        properties=properties,
        tags=tuple(dict.fromkeys(given.get("tags", ()))),
    )


def read_value(value: Any) -> Any:
    """Return a JSON value in the type of its column: a float, such as 5.0, becomes an integer."""
    return int(value) if isinstance(value, float) else value


def read_import(document: object, schemas: Schemas, header_store: str | None) -> ImportOrder:
    """Return the parameters of an import; `header_store` is the header X-Image-Meta-Store.

    Raises:
        InvalidRequest: the document does not describe an import, or names the stores in two ways.
    """
    given = read_object(document)
    schemas.check("import", given)
    stores, everywhere = given.get("stores"), given.get("all_stores", False)
    if (stores is not None) + bool(everywhere) + bool(header_store) > 1:
        raise InvalidRequest("Give the stores in one way only: stores, all_stores, or X-Image-Meta-Store.")
    if stores is None and header_store:
        stores = [header_store]
    return ImportOrder(
        method=given["method"]["name"],
        uri=given["method"].get("uri"),
        stores=tuple(dict.fromkeys(stores)) if stores is not None else None,
        all_stores=everywhere,
        strict=given.get("all_stores_must_succeed", True),
    )


def image_document(
    image: Image,
    job: Job | None = None,
    *,
    shows_stores: bool = True,
    weights: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return an image as JSON values, with the state of its last job.

    `weights` has the weights of the stores: the heaviest store is listed first. A property with the name of a
    field is omitted, because a client would take it for the field. Earlier versions of Calotype allowed such
    names.
    """
    document: dict[str, Any] = {
        **{name: value for name, value in image.properties.items() if not is_reserved(name)},
        **shared_fields(image),
        "visibility": image.visibility,
        "os_hidden": image.os_hidden,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "os_hash_algo": image.os_hash_algo if image.os_hash_value else None,
        "os_hash_value": image.os_hash_value,
        "tags": list(image.tags),
        "created_at": moment(image.created_at),
        "updated_at": moment(image.updated_at),
        "self": f"/v2/images/{image.id}",
        "file": f"/v2/images/{image.id}/file",
        "schema": "/v2/schemas/image",
    }
    if image.locations and shows_stores:
        known = weights or {}
        stores = {location.store for location in image.locations}
        document["stores"] = ",".join(sorted(stores, key=lambda name: (-known.get(name, 0), name)))
    if image.status_reason is not None:
        document["status_reason"] = image.status_reason
    if job is not None:
        document["os_glance_importing_to_stores"] = ",".join(job.pending)
        document["os_glance_failed_import"] = ",".join(job.failed)
        if job.is_open:
            document["os_glance_import_task"] = job.id
    return document


def member_document(image: Image, member: Member) -> dict[str, Any]:
    """Return a membership as JSON values."""
    return {
        "member_id": member.project,
        "image_id": image.id,
        "status": str(member.status),
        "created_at": moment(member.created_at),
        "updated_at": moment(member.updated_at),
        "schema": "/v2/schemas/member",
    }
