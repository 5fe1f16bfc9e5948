"""Every request that changes something, with its view and the permission that it requires.

`test_rights_at_write` compares this table with the views of the application, so a new write needs a row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from calotype.model import policy
from calotype_metadefs.rights import DEFINE

JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
OCTETS = {"Content-Type": "application/octet-stream"}
_TUS = {"Tus-Resumable": "1.0.0"}
_TUS_OCTETS = {"Content-Type": "application/offset+octet-stream", **_TUS}
_DRAFT_OCTETS = {"Content-Type": "application/partial-upload"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
_BYTES_TYPES = {one["Content-Type"] for one in (OCTETS, _TUS_OCTETS, _DRAFT_OCTETS)}
RAW_HEADERS = {"x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}
NAME = {"x-image-meta-name": "changed"}
NAMESPACE = "/v2/metadefs/namespaces/NS"

V2, V1, CLASSIC = "calotype.api.v2.resources", "calotype.api.v1.resources", "calotype.api.classic.resources"
UPLOADS = "calotype.api.uploads.resources"
METADEFS = "calotype_metadefs.resources"
CONSOLE = "calotype_console.resources"


@dataclass(frozen=True)
class Write:
    """A request. In its texts, ID, SESSION, NS, MEMBER and SOURCE stand for the target's values.

    `view`: module and class of the context, the view's name, the method. `permission`: the right that the
    request requires besides seeing the image. `before_body`: the right that it requires before the server
    reads its body, if that differs. `body`: None if it has none. `state`: the required status of the image.
    """

    view: tuple[str, str, str]
    method: str
    path: str
    permission: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    state: str = "queued"
    before_body: str | None = None

    @property
    def uploads(self) -> bool:
        """Return whether the body is an image's bytes."""
        return self.headers.get("Content-Type") in _BYTES_TYPES

    @property
    def about_members(self) -> bool:
        """Return whether it is a request of v2 about members, which only shared images have there."""
        return self.path.startswith("/v2") and "/members" in self.path

    @property
    def at_head(self) -> str:
        """The right that it requires before the server reads its body."""
        return self.before_body or self.permission

    def __str__(self) -> str:
        is_document = self.body and not self.uploads and self.headers != _FORM
        told = json.loads(self.body) if is_document else None
        what = told.get("method", {}).get("name", "") if isinstance(told, dict) else ""
        sent = "bytes" if self.uploads else "document" if self.body else " ".join(self.headers)
        return " ".join(filter(None, (self.method, self.path, sent[:30], what)))


def _write(
    context: str,
    name: str,
    method: str,
    path: str,
    permission: str,
    headers: dict[str, str] | None = None,
    document: Any = None,
    **more: Any,
) -> Write:
    body = more.pop("body", None if document is None else json.dumps(document).encode())
    if document is not None and headers is None:
        headers = JSON
    return Write((context, name, method), method, path, permission, headers or {}, body, **more)


_LOCATION = {"x-image-meta-location": "SOURCE", **RAW_HEADERS}
_COPY = {"x-glance-api-copy-from": "SOURCE", **RAW_HEADERS}
_BYTES = {**OCTETS, **RAW_HEADERS}


def _import(method: str, **more: Any) -> dict[str, Any]:
    return {"method": {"name": method, **more}}


_IMAGES, _IMAGE = f"{CLASSIC}.ClassicImages", f"{CLASSIC}.ClassicImage"
_CLASSIC = [
    _write(_IMAGES, "", "POST", "/images", policy.CREATE, NAME),
    _write(_IMAGES, "", "POST", "/images", policy.CREATE, _LOCATION),
    _write(_IMAGES, "", "POST", "/images", policy.CREATE, _BYTES, body=b"bytes"),
    _write(_IMAGE, "", "PUT", "/images/ID", policy.UPDATE, NAME),
    _write(_IMAGE, "", "PUT", "/images/ID", policy.UPLOAD, _LOCATION),
    _write(_IMAGE, "", "PUT", "/images/ID", policy.UPLOAD, _BYTES, body=b"bytes"),
    _write(_IMAGE, "", "DELETE", "/images/ID", policy.DELETE),
]
_IMAGES, _IMAGE = f"{V1}.V1Images", f"{V1}.V1Image"
_V1 = [
    _write(_IMAGES, "", "POST", "/v1/images", policy.CREATE, NAME),
    _write(_IMAGES, "", "POST", "/v1/images", policy.CREATE, document={"name": "new"}),
    _write(_IMAGES, "", "POST", "/v1/images", policy.CREATE, _LOCATION),
    _write(_IMAGES, "", "POST", "/v1/images", policy.CREATE, _COPY),
    _write(_IMAGES, "", "POST", "/v1/images", policy.CREATE, _BYTES, body=b"bytes"),
    _write(_IMAGE, "", "PUT", "/v1/images/ID", policy.UPDATE, NAME),
    _write(_IMAGE, "", "PUT", "/v1/images/ID", policy.UPDATE, document={"image": {"name": "changed"}}),
    _write(_IMAGE, "", "PUT", "/v1/images/ID", policy.UPLOAD, _LOCATION),
    _write(_IMAGE, "", "PUT", "/v1/images/ID", policy.UPLOAD, _COPY),
    _write(_IMAGE, "", "PUT", "/v1/images/ID", policy.UPLOAD, _BYTES, body=b"bytes"),
    _write(_IMAGE, "", "DELETE", "/v1/images/ID", policy.DELETE),
    _write(
        *(f"{V1}.V1Members", "", "PUT", "/v1/images/ID/members", policy.SHARE),
        document={"memberships": [{"member_id": "another"}]},
    ),
    _write(f"{V1}.V1Member", "", "PUT", "/v1/images/ID/members/another", policy.SHARE),
    _write(
        *(f"{V1}.V1Member", "", "PUT", "/v1/images/ID/members/another", policy.SHARE),
        document={"member": {"can_share": True}},
    ),
    _write(f"{V1}.V1Member", "", "DELETE", "/v1/images/ID/members/MEMBER", policy.SHARE),
]
_IMAGE = f"{V2}.V2Image"
_V2 = [
    _write(f"{V2}.V2Images", "", "POST", "/v2/images", policy.CREATE, document={"name": "new"}),
    _write(
        *(_IMAGE, "", "PATCH", "/v2/images/ID", policy.UPDATE, PATCH),
        document=[{"op": "replace", "path": "/name", "value": "changed"}],
    ),
    _write(_IMAGE, "", "DELETE", "/v2/images/ID", policy.DELETE),
    _write(_IMAGE, "file", "PUT", "/v2/images/ID/file", policy.UPLOAD, OCTETS, body=b"bytes"),
    _write(_IMAGE, "stage", "PUT", "/v2/images/ID/stage", policy.UPLOAD, OCTETS, body=b"bytes"),
    _write(
        *(_IMAGE, "import", "POST", "/v2/images/ID/import", policy.UPLOAD),
        document=_import("web-download", uri="SOURCE"),
    ),
    _write(
        *(_IMAGE, "import", "POST", "/v2/images/ID/import", policy.UPLOAD),
        document=_import("glance-direct"),
        state="staged",
    ),
    _write(
        *(_IMAGE, "import", "POST", "/v2/images/ID/import", policy.OPERATE),
        document={**_import("copy-image"), "stores": ["cold"]},
        state="active",
        before_body=policy.UPLOAD,  # only the body tells that it is a copy
    ),
    _write(f"{V2}.Tag", "", "PUT", "/v2/images/ID/tags/new", policy.UPDATE),
    _write(f"{V2}.Tag", "", "DELETE", "/v2/images/ID/tags/old", policy.UPDATE),
    *(
        _write(
            *(f"{V2}.Actions", verb, "POST", f"/v2/images/ID/actions/{verb}", policy.DEACTIVATE),
            state="active",
        )
        for verb in ("deactivate", "reactivate")
    ),
    _write(
        *(f"{V2}.TombstoneActions", "undelete", "POST", "/v2/images/ID/actions/undelete", policy.OPERATE),
        state="deleted",
    ),
    _write(
        *(f"{V2}.Members", "", "POST", "/v2/images/ID/members", policy.SHARE),
        document={"member": "another"},
    ),
    _write(
        *(f"{V2}.ImageMember", "", "PUT", "/v2/images/ID/members/MEMBER", policy.ANSWER),
        document={"status": "accepted"},
    ),
    _write(f"{V2}.ImageMember", "", "DELETE", "/v2/images/ID/members/MEMBER", policy.SHARE),
    _write(f"{V2}.StoreImage", "", "DELETE", "/v2/stores/cold/ID", policy.OPERATE, state="copied"),
    _write(
        *(f"{V2}.Tasks", "", "POST", "/v2/tasks", policy.OPERATE),
        document={
            "type": "import",
            "input": {
                "import_from": "SOURCE",
                "import_from_format": "raw",
                "image_properties": {"disk_format": "raw", "container_format": "bare"},
            },
        },
    ),
]
_LENGTH = {"Upload-Length": "5", "Upload-Metadata": "disk_format cmF3"}
_START = {"Upload-Offset": "0"}
_UPLOADS = [
    _write(f"{UPLOADS}.Uploads", "", "POST", "/uploads", policy.CREATE, {**_TUS, **_LENGTH}),
    _write(
        *(f"{UPLOADS}.Uploads", "", "POST", "/uploads", policy.CREATE, {**_TUS_OCTETS, **_LENGTH}),
        body=b"bytes",
    ),
    _write(
        *(f"{UPLOADS}.TusUpload", "", "PATCH", "/uploads/SESSION", policy.UPLOAD, {**_TUS_OCTETS, **_START}),
        body=b"bytes",
        state="open",
    ),
    _write(f"{UPLOADS}.TusUpload", "", "DELETE", "/uploads/SESSION", policy.UPLOAD, _TUS, state="open"),
    _write(
        *(f"{UPLOADS}.DraftUpload", "", "PATCH", "/uploads/SESSION", policy.UPLOAD),
        headers={**_DRAFT_OCTETS, **_START, "Upload-Complete": "?1"},
        body=b"bytes",
        state="open",
    ),
    _write(f"{UPLOADS}.DraftUpload", "", "DELETE", "/uploads/SESSION", policy.UPLOAD, state="open"),
]
_OBJECT = {"name": "new"}
_PROPERTY = {"name": "new", "title": "new", "type": "string"}
_METADEFS = [
    _write(
        *(f"{METADEFS}.Namespaces", "", "POST", "/v2/metadefs/namespaces", DEFINE),
        document={"namespace": "NEW"},
    ),
    _write(
        *(f"{METADEFS}.NamespaceResource", "", "PUT", NAMESPACE, DEFINE),
        document={"namespace": "NS", "description": "changed", "visibility": "public"},
    ),
    _write(f"{METADEFS}.NamespaceResource", "", "DELETE", NAMESPACE, DEFINE),
    _write(
        *(f"{METADEFS}.Associations", "", "POST", f"{NAMESPACE}/resource_types", DEFINE),
        document={"name": "NEW"},
    ),
    _write(*(f"{METADEFS}.Objects", "", "POST", f"{NAMESPACE}/objects", DEFINE), document=_OBJECT),
    _write(
        *(f"{METADEFS}.Properties", "", "POST", f"{NAMESPACE}/properties", DEFINE),
        document=_PROPERTY,
    ),
    _write(
        *(f"{METADEFS}.Tags", "", "POST", f"{NAMESPACE}/tags", DEFINE),
        document={"tags": [{"name": "new"}]},
    ),
    _write(f"{METADEFS}.Tag", "", "POST", f"{NAMESPACE}/tags/new", DEFINE),
    *(
        _write(f"{METADEFS}.{one}", "", "PUT", f"{NAMESPACE}/{kind}/old", DEFINE, document=document)
        for one, kind, document in (
            ("Object", "objects", _OBJECT),
            ("Property", "properties", _PROPERTY),
            ("Tag", "tags", {"name": "new"}),
        )
    ),
    *(
        _write(f"{METADEFS}.{several}", "", "DELETE", f"{NAMESPACE}/{kind}", DEFINE)
        for several, kind in (("Objects", "objects"), ("Properties", "properties"), ("Tags", "tags"))
    ),
    *(
        _write(f"{METADEFS}.{one}", "", "DELETE", f"{NAMESPACE}/{kind}/old", DEFINE)
        for one, kind in (
            ("Object", "objects"),
            ("Property", "properties"),
            ("Tag", "tags"),
            ("Association", "resource_types"),
        )
    ),
]


def _form(view: str, permission: str, body: str = "", **more: Any) -> Write:
    path = f"/console/images/ID/{view}"
    context = more.pop("context", f"{CONSOLE}.ImagePage")
    return _write(context, view, "POST", path, permission, _FORM, body=body.encode(), **more)


_CONSOLE = [
    _write(
        *(f"{CONSOLE}.ImagesPage", "new", "POST", "/console/images/new", policy.CREATE, _FORM),
        body=b"name=new",
    ),
    _form("edit", policy.UPDATE, "name=changed&seen=SEEN"),
    _form("delete", policy.DELETE),
    _form("deactivate", policy.DEACTIVATE, state="active"),
    _form("share", policy.SHARE, "project=another"),
    _form("unshare", policy.SHARE, "project=MEMBER"),
    _form("answer", policy.ANSWER, "answer=accept&project=MEMBER"),
    _form("undelete", policy.OPERATE, context=f"{CONSOLE}.DeletedPage", state="deleted"),
]

WRITES = (*_CLASSIC, *_V1, *_V2, *_UPLOADS, *_METADEFS, *_CONSOLE)
#: Views that change nothing in the service: they begin and end the session of a browser.
SESSIONS = {(f"{CONSOLE}.Console", name, "POST") for name in ("sign-in", "sign-out")}
#: Views that always refuse, for methods that change something elsewhere.
REFUSING = {
    (f"{V1}.V1Tombstone", "", "PUT"),
    (f"{V1}.V1Tombstone", "", "DELETE"),
    (f"{V2}.Actions", "undelete", "POST"),
}
