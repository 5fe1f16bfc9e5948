"""The page of one image, and its forms."""

from __future__ import annotations

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.request import Request
from calotype.images.progress import ImageProgress, progress_of
from calotype.model import policy
from calotype.model.audit import AuditQuery
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.images import Image, MemberStatus, Visibility
from calotype.model.states import Status
from calotype_console.forms import properties_text, read_fields, read_form, require_unchanged, seen
from calotype_console.pages import page, see_other
from calotype_console.resources import DeletedPage, ImagePage

#: Maximum number of members, jobs and records that a page shows.
_SHOWN = 50


@view_config(context=ImagePage, method="GET", permission=policy.VIEW)
def show(context: ImagePage, request: Request) -> Response:
    """GET /console/images/ID: the image, and the forms that the caller may send."""
    image, caller = context.image, request.caller
    members = policy.visible_members(caller, image) if image.visibility is Visibility.SHARED else ()
    jobs = [job for job in request.db.jobs_of(image.id, _SHOWN) if policy.sees_job(caller, job.owner)]
    permissions = (policy.UPDATE, policy.DELETE, policy.SHARE, policy.DOWNLOAD, policy.UPLOAD, policy.ANSWER)
    return page(
        request,
        "image",
        image=image,
        progress=_moving(request, image),
        sees_stores=policy.sees_stores(caller, image),
        members=members[:_SHOWN],
        more_members=len(members) - _SHOWN,
        mine=next((one for one in members if one.project == caller.project), None),
        jobs=jobs,
        history=_history(request, image.id),
        may={name for name in permissions if request.has_permission(name, context)},
        visibilities=[one for one in Visibility if policy.may_set(caller, "visibility", one, image)],
        formats_open=policy.may_set(caller, "disk_format", None, image),
        disk_formats=request.settings.disk_formats,
        container_formats=request.settings.container_formats,
        properties=properties_text(image),
        seen=seen(image.updated_at),
    )


@view_config(context=DeletedPage, method="GET", permission=policy.OPERATE)
def show_deleted(context: DeletedPage, request: Request) -> Response:
    """GET /console/images/ID: a deleted image, its history, and a form to undelete it."""
    return page(request, "deleted", image=context.image, history=_history(request, context.image.id))


@view_config(context=ImagePage, name="edit", method="POST", permission=policy.UPDATE)
def edit(context: ImagePage, request: Request) -> Response:
    """POST /console/images/ID/edit: set the fields, the tags and the properties of the form."""
    form = read_form(request)

    def draft(image: Image) -> ImageFields:
        require_unchanged(form, image)
        return read_fields(form, image)

    request.lifecycle.update(Change.derived(request.caller, context.image, draft))
    return _back(context.image)


@view_config(context=ImagePage, name="delete", method="POST", permission=policy.DELETE)
def delete(context: ImagePage, request: Request) -> Response:
    """POST /console/images/ID/delete: delete the image."""
    read_form(request)
    request.lifecycle.delete(context.image, request.caller)
    return see_other("/console/images")


@view_config(context=DeletedPage, name="undelete", method="POST", permission=policy.OPERATE)
def undelete(context: DeletedPage, request: Request) -> Response:
    """POST /console/images/ID/undelete: restore a deleted image while its bytes are kept."""
    read_form(request)
    return _back(request.lifecycle.undelete(context.image.id, request.caller))


@view_config(context=ImagePage, name="deactivate", method="POST", permission=policy.DEACTIVATE)
def deactivate(context: ImagePage, request: Request) -> Response:
    """POST /console/images/ID/deactivate: refuse downloads, or allow them again."""
    read_form(request)
    verbs = request.lifecycle
    change = verbs.reactivate if context.image.status is Status.DEACTIVATED else verbs.deactivate
    return _back(change(context.image, request.caller))


@view_config(context=ImagePage, name="share", method="POST", permission=policy.SHARE)
def share(context: ImagePage, request: Request) -> Response:
    """POST /console/images/ID/share: offer the image to a project."""
    project = read_form(request).get("project", "").strip()
    request.lifecycle.members.add(context.image, project, request.caller)
    return _back(context.image)


@view_config(context=ImagePage, name="unshare", method="POST", permission=policy.SHARE)
def unshare(context: ImagePage, request: Request) -> Response:
    """POST /console/images/ID/unshare: stop sharing the image with a project."""
    project = read_form(request).get("project", "")
    request.lifecycle.members.unshare(context.image, project, request.caller)
    return _back(context.image)


@view_config(context=ImagePage, name="answer", method="POST", permission=policy.ANSWER)
def answer(context: ImagePage, request: Request) -> Response:
    """POST /console/images/ID/answer: accept or reject the image for a project that it is offered to."""
    form = read_form(request)
    project = form.get("project", "")
    status = MemberStatus.ACCEPTED if form.get("answer") == "accept" else MemberStatus.REJECTED
    request.lifecycle.members.answer(context.image, project, status, request.caller)
    return _back(context.image)


def _back(image: Image) -> Response:
    return see_other(f"/console/images/{image.id}")


def _moving(request: Request, image: Image) -> ImageProgress | None:
    """Return the progress of an image whose bytes move or are waited for."""
    waits = image.status in (Status.QUEUED, Status.SAVING, Status.UPLOADING, Status.IMPORTING)
    return progress_of(request.db, image) if waits or image.has_jobs else None


def _history(request: Request, image_id: str) -> list[object]:
    """Return the newest records of the image for an administrator; nobody else sees who did what."""
    if not request.caller.is_admin:
        return []
    return [*request.db.audit.page(AuditQuery(image_id=image_id, limit=_SHOWN)).records]
