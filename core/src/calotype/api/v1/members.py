"""The views of v1 on members: the projects that an image is shared with.

A caller without the needed permission gets 404, even if the caller may see the image.
"""

from __future__ import annotations

from typing import Any

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from calotype.api.http.json_input import has_document, read_document
from calotype.api.http.operations import (
    CHANGE,
    CHANGES,
    NONE,
    STRING,
    Operation,
    json_of,
    list_of,
    properties,
)
from calotype.api.http.request import Request
from calotype.api.v1.resources import V1Member, V1Members, V1SharedWith
from calotype.images.members import MemberSpec
from calotype.model import policy
from calotype.model.fields import InvalidRequest, check_project

_BOOLEAN = {"type": "boolean"}
_MEMBER = properties(member_id=STRING, can_share=_BOOLEAN)
_MEMBERSHIP = {
    "type": "object",
    "required": ["member_id"],
    "properties": {"member_id": STRING, "can_share": {"type": ["boolean", "null"]}},
}
_SHARED = properties(image_id=STRING, can_share=_BOOLEAN)


@view_config(
    context=V1Members,
    method="GET",
    renderer="json",
    permission=policy.VIEW,
    operation=Operation({200: json_of(properties(members=list_of(_MEMBER)))}),
)
def index(context: V1Members, request: Request) -> dict[str, Any]:
    """GET .../members: all members for a caller who may share, otherwise the caller's own membership."""
    sees_all = request.has_permission(policy.SHARE)
    own = request.caller.project
    return {
        "members": [
            {"member_id": member.project, "can_share": member.can_share}
            for member in context.image.members
            if sees_all or member.project == own
        ]
    }


@view_config(
    context=V1Members,
    method="PUT",
    permission=policy.SHARE,
    operation=Operation(
        {204: NONE}, body=json_of(properties(memberships=list_of(_MEMBERSHIP))), errors=CHANGES
    ),
)
def replace_all(context: V1Members, request: Request) -> Response:
    """PUT .../members: replace all members of the image."""
    document = read_document(request) if has_document(request) else None
    wanted = document.get("memberships") if isinstance(document, dict) else None
    if not isinstance(wanted, list):
        raise InvalidRequest(
            "Invalid membership association: memberships is not a list. "
            'Send {"memberships": [{"member_id": "PROJECT"}]}.'
        )
    named = {_read_project(one): one for one in wanted}  # if a project occurs twice, its last entry wins
    request.lifecycle.members.check_number(named)
    members = [MemberSpec(project, _read_can_share(one)) for project, one in named.items()]
    request.lifecycle.members.share_with(context.image, members, request.caller)
    return Response(status=204)


@view_config(
    context=V1Member,
    method="PUT",
    permission=policy.SHARE,
    operation=Operation({204: NONE}, body=json_of(properties(member={"type": "object"})), errors=CHANGES),
)
def add(context: V1Member, request: Request) -> Response:
    """PUT .../members/PROJECT: share the image with a project, or change whether the project may share it."""
    can_share = None
    if has_document(request):
        document = read_document(request)
        member = document.get("member") if isinstance(document, dict) else None
        if not isinstance(member, dict):
            raise InvalidRequest(
                "Unexpected body type: member is not an object. "
                'Send {"member": {"can_share": true}}, or no body.'
            )
        can_share = _read_can_share(member)
    request.lifecycle.members.share(context.image, MemberSpec(context.name, can_share), request.caller)
    return Response(status=204)


@view_config(context=V1Member, method="DELETE", permission=policy.SHARE, operation=CHANGE)
def remove(context: V1Member, request: Request) -> Response:
    """DELETE .../members/PROJECT: stop sharing the image with a project."""
    check_project(context.name)
    request.lifecycle.members.unshare(context.image, context.name, request.caller)
    return Response(status=204)


@view_config(
    context=V1SharedWith,
    renderer="json",
    method="GET",
    permission=NO_PERMISSION_REQUIRED,
    operation=Operation({200: json_of(properties(shared_images=list_of(_SHARED)))}),
)
def shared_images(context: V1SharedWith, request: Request) -> dict[str, Any]:
    """GET /v1/shared-images/PROJECT: the images that are shared with a project and visible to the caller."""
    caller = request.caller
    check_project(context.name)
    shared = request.db.shared_with(context.name)
    return {
        "shared_images": [
            {"image_id": image.id, "can_share": member.can_share}
            for image in shared
            if policy.may(caller, policy.VIEW, policy.image_grants(image))
            for member in policy.visible_members(caller, image)
            if member.project == context.name
        ]
    }


def _read_project(membership: Any) -> str:
    if not isinstance(membership, dict) or not isinstance(membership.get("member_id"), str):
        raise InvalidRequest("Invalid membership association: an entry has no member_id.")
    return membership["member_id"]


def _read_can_share(document: dict[str, Any]) -> bool | None:
    value = document.get("can_share")
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest("can_share must be true or false.")
    return value
