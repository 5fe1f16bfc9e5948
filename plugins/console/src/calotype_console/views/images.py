"""The list of images, and the page that makes a new one."""

from __future__ import annotations

from urllib.parse import urlencode

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.paging import VALUES, kept_parameters, link, link_parameters
from calotype.api.http.request import Request
from calotype.database.queries import position
from calotype.images.imports import ImportRequest, Origin
from calotype.model import policy
from calotype.model.change import Change
from calotype.model.fields import ImageFields, InvalidRequest
from calotype.model.images import Visibility
from calotype.model.states import Status
from calotype_console.forms import SORTS, read_fields, read_form, read_listing
from calotype_console.pages import page, see_other
from calotype_console.resources import ImagesPage


@view_config(context=ImagesPage, method="GET", permission=policy.LIST)
def index(context: ImagesPage, request: Request) -> Response:
    """GET /console/images: a page of the images that the caller may see."""
    listing = read_listing(request)
    found = request.db.page(listing.query)
    images = found.images
    following = ""
    if found.more and images:
        last = images[-1]
        query = kept_parameters(request, "marker", VALUES)
        marker = link_parameters(last.id, position(last, listing.query.sort))
        following = link(request.path, [*query, *marker.items()])
    return page(
        request,
        "images",
        images=images,
        listing=listing,
        next_page=following,
        first_page=link(request.path, kept_parameters(request, "marker", VALUES)),
        is_first="marker" not in request.GET,
        sorts={name: label for name, (label, _) in SORTS.items()},
        statuses=[status for status in Status if status is not Status.DELETED],
        visibilities=[*Visibility],
        formats=request.settings.disk_formats,
        may_create=request.has_permission(policy.CREATE, context),
        urlencode=urlencode,
    )


@view_config(context=ImagesPage, name="new", method="GET", permission=policy.CREATE)
def new(context: ImagesPage, request: Request) -> Response:
    """GET /console/images/new: forms for an upload, an import, and a reservation."""
    settings = request.settings
    return page(
        request,
        "new",
        disk_formats=settings.disk_formats,
        container_formats=settings.container_formats,
        visibilities=_offered_visibilities(request),
        stores=[store.name for store in request.stores if store.name],
        may_import=policy.may_name_sources(request.caller, settings.external_sources),
        project=request.caller.project,
    )


@view_config(context=ImagesPage, name="new", method="POST", permission=policy.CREATE)
def create(context: ImagesPage, request: Request) -> Response:
    """POST /console/images/new: reserve an image, and begin an import if the form names a URL."""
    form = read_form(request)
    uri = form.get("uri", "").strip() if form.get("from") == "url" else None
    if uri == "":
        raise InvalidRequest("Give the URL of the image.")
    image = request.lifecycle.reserve(Change(request.caller, read_fields(form)))
    if uri is not None:
        change = Change(request.caller, ImageFields(location=uri), image)
        request.lifecycle.imports.submit(change, ImportRequest(Origin.URI))
    return see_other(f"/console/images/{image.id}")


def _offered_visibilities(request: Request) -> list[Visibility]:
    return [one for one in Visibility if policy.may_set(request.caller, "visibility", one, None)]
