"""Tags and members: the projects that images are shared with."""

from __future__ import annotations

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.json_input import read_document
from calotype.api.http.operations import CHANGE, CHANGES, Operation, json_of
from calotype.api.http.request import Request
from calotype.api.http.responses import nothing
from calotype.api.v2 import codec
from calotype.api.v2.resources import ImageMember, Members, Tag
from calotype.api.v2.schemas import Schemas
from calotype.api.v2.views.documents import bodiless_view, json_response
from calotype.images.members import check_shared
from calotype.model import policy
from calotype.model.images import Image, Member, MemberStatus


@bodiless_view(context=Tag, method="PUT", permission=policy.UPDATE, operation=CHANGE)
def add_tag(context: Tag, request: Request) -> Response:
    """PUT /v2/images/ID/tags/TAG: add the tag to the image."""
    request.lifecycle.add_tag(context.image, context.name, request.caller)
    return nothing()


@bodiless_view(context=Tag, method="DELETE", permission=policy.UPDATE, operation=CHANGE)
def remove_tag(context: Tag, request: Request) -> Response:
    """DELETE /v2/images/ID/tags/TAG: remove the tag from the image."""
    request.lifecycle.remove_tag(context.image, context.name, request.caller)
    return nothing()


@bodiless_view(
    context=Members, method="GET", permission=policy.VIEW, operation=Operation({200: json_of("v2.members")})
)
def members(context: Members, request: Request) -> Response:
    """GET /v2/images/ID/members: the members that the caller may see."""
    check_shared(context.image)
    seen = policy.visible_members(request.caller, context.image)
    listed = [codec.member_document(context.image, member) for member in seen]
    return json_response({"members": listed, "schema": "/v2/schemas/members"})


@view_config(
    context=Members,
    method="POST",
    permission=policy.SHARE,
    operation=Operation({200: json_of("v2.member")}, body=json_of("v2.new-member"), errors=CHANGES),
)
def add_member(context: Members, request: Request) -> Response:
    """POST /v2/images/ID/members: offer the image to a project."""
    check_shared(context.image)
    document = read_document(request)
    Schemas.of(request).check("member", document)
    image = request.lifecycle.members.add(context.image, document["member"], request.caller)
    return json_response(codec.member_document(image, _member(image, document["member"])))


@bodiless_view(
    context=ImageMember,
    method="GET",
    permission=policy.VIEW,
    operation=Operation({200: json_of("v2.member")}),
)
def member(context: ImageMember, request: Request) -> Response:
    """GET /v2/images/ID/members/PROJECT: the membership."""
    return json_response(codec.member_document(context.image, context.member))


@view_config(
    context=ImageMember,
    method="PUT",
    permission=policy.ANSWER,
    operation=Operation({200: json_of("v2.member")}, body=json_of("v2.new-member-status"), errors=CHANGES),
)
def answer(context: ImageMember, request: Request) -> Response:
    """PUT /v2/images/ID/members/PROJECT: accept or reject the offer."""
    document = read_document(request)
    Schemas.of(request).check("member status", document)
    project = context.member.project
    status = MemberStatus(document["status"])
    image = request.lifecycle.members.answer(context.image, project, status, request.caller)
    return json_response(codec.member_document(image, _member(image, project)))


@bodiless_view(context=ImageMember, method="DELETE", permission=policy.SHARE, operation=CHANGE)
def remove_member(context: ImageMember, request: Request) -> Response:
    """DELETE /v2/images/ID/members/PROJECT: stop sharing the image with the project."""
    request.lifecycle.members.unshare(context.image, context.member.project, request.caller)
    return nothing()


def _member(image: Image, project: str) -> Member:
    return next(member for member in image.members if member.project == project)
