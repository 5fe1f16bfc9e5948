"""The classic dialect's verbs: each view is a codec in, one verb of the lifecycle, a codec out.

The three ways to create an image, and to complete a reserved one, are three views told
apart by predicates: the request has a body; it names a location; it has neither. A body that
comes in chunks may turn out to be empty, and then it counts as none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config, view_defaults

from calotype.api.classic import codec
from calotype.api.classic.resources import ClassicImage, ClassicImages
from calotype.api.http import errors
from calotype.api.http.allowed_methods import refuse_other_methods
from calotype.api.http.body import image_response, metadata_response
from calotype.api.http.lists import stream_images
from calotype.api.http.paging import link_parameters, read_position
from calotype.api.http.resources import Root
from calotype.api.http.uploads import upload_body
from calotype.api.http.versions import version_document
from calotype.config.messages import quoted
from calotype.database.queries import position
from calotype.identity.security import Unauthenticated
from calotype.model import policy
from calotype.model.changes import InvalidRequest
from calotype.model.images import Image
from calotype.model.queries import SHOWN, ImageQuery, Scope, SortKey

LOCATION = "x-image-meta-location"


class ListView:
    """GET / and GET /images[/detail]: public images, hidden ones left out, `list_limit` at most at a time."""

    def __init__(self, context: Any, request: Request):
        self.request = request

    @view_config(context=ClassicImages, method="GET", permission=policy.LIST)
    def index(self) -> Response:
        """The brief list."""
        return self._page(codec.image_brief)

    @view_config(context=ClassicImages, name="detail", method="GET", permission=policy.LIST)
    def detail(self) -> Response:
        """The detailed list."""
        return self._page(codec.image_detail)

    @view_config(context=Root, method="GET")
    def root(self) -> Response:
        """The seed's index, and the versions, which clients ask for before they have a token."""
        versions = version_document(self.request)
        try:
            if self.request.has_permission(policy.LIST):
                return self._page(codec.image_brief, status=300, versions=versions)
        except Unauthenticated:
            pass
        return Response(json={"versions": versions, "images": []}, status=300)

    def _page(self, form: Callable[[Image], dict[str, Any]], status: int = 200, **rest: Any) -> Response:
        listing = ImageQuery(Scope.PUBLIC, conditions=(SHOWN,), limit=self._limit())
        page = self.request.db.page(replace(listing, after=self._after(listing.sort)))
        if page.more and page.last is not None:
            following = link_parameters(page.last["id"], page.last)
            rest["next"] = f"{self.request.path}?{urlencode({'limit': listing.limit, **following})}"
        return stream_images(page, form, rest, status)

    def _limit(self) -> int:
        most = self.request.registry["calotype.settings"].list_limit
        text = self.request.GET.get("limit")
        if text is None:
            return most
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise InvalidRequest(f"limit param must be an integer, and positive, not {quoted(text)}.")
        return min(int(text), most)

    def _after(self, sort: Sequence[SortKey]) -> Mapping[str, Any] | None:
        text = self.request.GET.get("marker")
        if text is None:
            return None
        carried = read_position(self.request.GET, "id", [key.field for key in sort])
        if carried is not None:
            return carried
        image = self.request.visible_image(text)
        if image is None:
            raise InvalidRequest("Invalid marker. Image could not be found.")
        return position(image, sort)


@view_config(context=Root, name="versions", method="GET", renderer="json")
def versions(context: Root, request: Request) -> dict[str, Any]:
    """The versions of the API that are implemented here; nobody needs a token to ask."""
    return {"versions": version_document(request)}


@view_defaults(context=ClassicImages, method="POST", permission=policy.CREATE, renderer="json")
class CreateView:
    """POST /images: the seed's three scenarios."""

    def __init__(self, context: ClassicImages, request: Request):
        self.request = request

    @view_config(announces_body=True)
    def upload(self) -> dict[str, Any]:
        """Scenario 1: the bytes are here."""
        if not self.request.has_body:
            return self.register() if LOCATION in self.request.headers else self.reserve()
        return _upload(self.request, None)

    @view_config(announces_body=False, header=LOCATION)
    def register(self) -> dict[str, Any]:
        """Scenario 2: the bytes lie elsewhere."""
        return _register(self.request, None)

    @view_config(announces_body=False)
    def reserve(self) -> dict[str, Any]:
        """Scenario 3: the bytes come later."""
        draft = codec.read_draft(self.request)
        return _image(self.request.lifecycle.reserve(draft, self.request.caller))


@view_defaults(context=ClassicImage, method="PUT", permission=policy.UPDATE, renderer="json")
class UpdateView:
    """PUT /images/ID: change metadata, and complete a reserved image."""

    def __init__(self, context: ClassicImage, request: Request):
        self.image = context.image
        self.request = request

    @view_config(announces_body=True)
    def upload(self) -> dict[str, Any]:
        """The bytes of a reserved image."""
        if not self.request.has_body:
            return self.register() if LOCATION in self.request.headers else self.update()
        return _upload(self.request, self.image)

    @view_config(announces_body=False, header=LOCATION)
    def register(self) -> dict[str, Any]:
        """A reserved image's bytes lie elsewhere."""
        return _register(self.request, self.image)

    @view_config(announces_body=False)
    def update(self) -> dict[str, Any]:
        """Metadata only; properties are merged."""
        draft = codec.read_draft(self.request)
        return _image(self.request.lifecycle.update(self.image, draft, self.request.caller))


@view_config(context=ClassicImage, method="HEAD", permission=policy.VIEW)
def meta(context: ClassicImage, request: Request) -> Response:
    """HEAD /images/ID: metadata as headers."""
    response = metadata_response(request, context.image)
    response.headers.extend(codec.image_headers(context.image))
    return response


@view_config(context=ClassicImage, method=("GET",), permission=policy.DOWNLOAD)
def show(context: ClassicImage, request: Request) -> Response:
    """GET /images/ID: the bytes, and metadata as headers."""
    image = context.image
    response = image_response(request, image)
    response.headers.extend(codec.image_headers(image))
    return response


@view_config(context=ClassicImage, method="DELETE", permission=policy.DELETE)
def delete(context: ClassicImage, request: Request) -> Response:
    """DELETE /images/ID: 200 and nothing."""
    request.lifecycle.delete(context.image, request.caller)
    return Response(content_type="text/plain", charset="utf-8")


def _upload(request: Request, image: Image | None) -> dict[str, Any]:
    body = upload_body(request)
    draft = codec.read_draft(request)
    return _image(request.lifecycle.upload(draft, body, body.length, request.caller, image))


def _register(request: Request, image: Image | None) -> dict[str, Any]:
    draft = codec.read_draft(request)
    confirm = request.confirm_caller
    return _image(request.lifecycle.register(draft, request.caller, image, confirm=confirm))


def _image(image: Image) -> dict[str, Any]:
    return {"image": codec.image_detail(image)}


def _error_form(request: Request, status: int, text: str) -> Response:
    """The seed's errors: text/plain, and one sentence for whatever is not there."""
    return errors.plain_text(request, status, "Image not found" if text == "Not found" else text)


def includeme(config: Configurator) -> None:
    """Hang /images under the root, and answer whatever method has no view with 405."""
    config.add_root_child("images", ClassicImages)
    config.add_error_form("images", _error_form)
    for context, name, allowed in (
        (Root, "", "GET"),
        (Root, "versions", "GET"),
        (ClassicImages, "", "GET, POST"),
        (ClassicImages, "detail", "GET"),
        (ClassicImage, "", "GET, PUT, DELETE"),
    ):
        refuse_other_methods(config, context, name, allowed)
    config.scan("calotype.api.classic.views")
