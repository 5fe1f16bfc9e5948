"""Read JSON patches of an image, in both media types.

Paths have one segment, and the operations are add, replace and remove. In the older media type, an operation
is `{"add": "/x"}`, and adding an existing key is a conflict. In the newer media type, an operation is
`{"op": "add", "path": "/x"}`, and adding an existing key overwrites it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calotype.api.v2 import codec
from calotype.api.v2.schemas import Schemas, array
from calotype.config.messages import not_one_of
from calotype.model.errors import Conflict, NotAllowed
from calotype.model.fields import ImageFields, InvalidRequest
from calotype.model.images import Image

V20 = "application/openstack-images-v2.0-json-patch"
V21 = "application/openstack-images-v2.1-json-patch"
MEDIA_TYPES = (V20, V21)

#: Keys that the server adds to a document. openstacksdk takes them for properties, and removes each property
#: that the program does not name. Therefore the removal of these keys is ignored.
_ADDED = frozenset(
    {
        "stores",
        "status_reason",
        "os_glance_import_task",
        "os_glance_importing_to_stores",
        "os_glance_failed_import",
    }
)
_VERBS = ("add", "replace", "remove")
CHANGES_MAX = 1000
_PATH = {"type": "string", "pattern": "^/"}
#: The schemas of patches, for the description of the API.
SCHEMA_V20 = array(
    {
        "type": "object",
        "oneOf": [{"required": [verb]} for verb in _VERBS],
        "properties": {**dict.fromkeys(_VERBS, _PATH), "value": {}},
    },
    most=CHANGES_MAX,
)
SCHEMA_V21 = array(
    {
        "type": "object",
        "required": ["op", "path"],
        "properties": {"op": {"enum": [*_VERBS]}, "path": _PATH, "value": {}},
    },
    most=CHANGES_MAX,
)


@dataclass(frozen=True, slots=True)
class Change:
    """An operation on a key. If `strict` is true, `add` does not overwrite the key."""

    op: str
    key: str
    value: Any
    strict: bool


def read_patch(document: object, media_type: str) -> list[Change]:
    """Return the operations of a patch; raises InvalidRequest."""
    if not isinstance(document, list):
        raise InvalidRequest("A patch is a JSON array of operations.")
    if len(document) > CHANGES_MAX:
        raise InvalidRequest(f"A patch can have at most {CHANGES_MAX} operations.")
    read = _read_v20 if media_type == V20 else _read_v21
    changes = []
    for item in document:
        change = read(codec.read_object(item))
        if change.op != "remove" and "value" not in item:
            raise InvalidRequest(f"The operation {change.op} needs a value.")
        changes.append(change)
    return changes


def _read_v20(item: Mapping[str, Any]) -> Change:
    verbs = [verb for verb in _VERBS if verb in item]
    if len(verbs) != 1:
        raise InvalidRequest("An operation must have exactly one of add, replace and remove.")
    return Change(verbs[0], _read_path(item[verbs[0]]), item.get("value"), strict=True)


def _read_v21(item: Mapping[str, Any]) -> Change:
    if item.get("op") not in _VERBS:
        raise InvalidRequest(not_one_of("Invalid op of an operation", item.get("op"), _VERBS))
    return Change(item["op"], _read_path(item.get("path")), item.get("value"), strict=False)


def _read_path(path: object) -> str:
    """Return the key that a JSON pointer names; raises InvalidRequest, NotAllowed."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidRequest("An operation's path must be a JSON pointer, which begins with /.")
    segment, *rest = path[1:].split("/")
    if segment == "locations":
        raise NotAllowed("Locations cannot be changed, and are not shown.")
    if rest or not segment:
        raise InvalidRequest("An operation's path must name one attribute.")
    if re.search(r"~(?![01])", segment):
        raise InvalidRequest("An operation's path has a ~ that is neither ~0 nor ~1.")
    return segment.replace("~1", "/").replace("~0", "~")


def draft_of(changes: list[Change], image: Image, schemas: Schemas) -> ImageFields:
    """Return the fields that the patch changes. Only the last value of a key is checked.

    Raises:
        NotAllowed: the patch changes a field that only the server sets, or removes one that every image has.
        ReservedName: the patch changes a property whose name is reserved.
        InvalidRequest: a value has the wrong type.
        Conflict: the patch replaces or removes a missing key, or adds an existing one.
    """
    properties: dict[str, Any] = dict(image.properties)
    changed: dict[str, Any] = {}
    for change in changes:
        if change.op == "remove" and change.key in _ADDED:
            continue
        codec.check_key(change.key)
        base = schemas.is_base(change.key)
        if change.key == "id" or (base and change.op == "remove"):
            action = "changed or removed" if change.key == "id" else "removed, because every image has it"
            raise NotAllowed(f"Attribute '{change.key}' cannot be {action}.")
        _check_existence(change, exists=base or change.key in properties)
        if change.op == "remove":
            del properties[change.key]
            changed.pop(change.key, None)
            continue
        changed[change.key] = change.value
        if not base:
            properties[change.key] = change.value
    for key, value in changed.items():
        schemas.check_value(key, value)
    # Null removes a property if the schema allows null.
    properties = {key: value for key, value in properties.items() if value is not None}
    return ImageFields(
        fields={key: codec.read_value(value) for key, value in changed.items() if key in codec.FIELDS},
        properties={k: v for k, v in properties.items() if image.properties.get(k) != v},
        dropped=frozenset(image.properties) - frozenset(properties),
        tags=tuple(dict.fromkeys(changed["tags"])) if "tags" in changed else None,
    )


def _check_existence(change: Change, *, exists: bool) -> None:
    if change.op == "add" and change.strict and exists:
        raise Conflict(f"Property {change.key[:80]} exists already. Use replace.")
    if change.op != "add" and not exists:
        cure = " Use add." if change.op == "replace" else ""
        raise Conflict(f"Property {change.key[:80]} does not exist.{cure}")
