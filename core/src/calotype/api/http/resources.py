"""The resource tree: Root, and what hangs under it, each with the ACL that protects it.

The URL tree is the object tree. A dialect hangs its own subclasses of `ImageCollection`
and `ImageResource` under Root (`config.add_root_child`) and registers views for them;
looking a name up that is not there raises KeyError, which ends in a 404.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from pyramid.authorization import Allow
from pyramid.config import Configurator
from pyramid.request import Request

from calotype.model import policy
from calotype.model.changes import canonical_id
from calotype.model.images import Image
from calotype.model.policy import scope_of

log = logging.getLogger(__name__)

CHILDREN = "calotype.root_children"
#: Where the server says whether a request came through its admin listener.
ADMIN = "calotype_server.is_admin"


class Resource:
    """A node of the tree."""

    __name__: str | None
    __parent__: Resource | None

    def __init__(self, request: Request, name: str | None = None, parent: Resource | None = None):
        self.request = request
        self.__name__ = name
        self.__parent__ = parent

    def __getitem__(self, name: str) -> Resource:
        raise KeyError(name)


class Root(Resource):
    """The top: one child for each segment that a dialect has claimed."""

    __acl__: ClassVar = [(Allow, grant.principal, grant.permissions) for grant in policy.COLLECTION_GRANTS]

    def __getitem__(self, name: str) -> Resource:
        return self.request.registry[CHILDREN][name](self.request, name, self)


class AdminRoot(Resource):
    """The top for requests that come through the admin listener: it has views, and no children."""

    __acl__: ClassVar = Root.__acl__


class _Roots:
    """Choose the top of a request's tree by the listener that the request came through."""

    def __init__(self, admin_listen: str | None):
        self._awaited = admin_listen

    def __call__(self, request: Request) -> Root | AdminRoot:
        admin = request.environ.get(ADMIN)
        if admin is None and self._awaited:
            log.warning(
                "calotype.admin_listen = %s has no effect, because this WSGI server cannot listen there: "
                "/metrics is not answered anywhere; use egg:calotype-server#main, or unset it",
                self._awaited,
            )
            self._awaited = None
        return AdminRoot(request) if admin else Root(request)


class ImageCollection(Resource):
    """The images. Its children are images by id; any other name is left to be a view's."""

    image_class: ClassVar[type[ImageResource]]
    __acl__: ClassVar = [(Allow, grant.principal, grant.permissions) for grant in policy.COLLECTION_GRANTS]

    def __getitem__(self, name: str) -> ImageResource:
        image = self.request.visible_image(name)
        if image is None:
            raise KeyError(name)
        return self.image_class(self.request, name, self, image)


class ImageResource(Resource):
    """One image, as it was when the request came."""

    def __init__(self, request: Request, name: str, parent: Resource, image: Image):
        super().__init__(request, name, parent)
        self.image = image

    def __acl__(self) -> list[Any]:
        return [(Allow, grant.principal, grant.permissions) for grant in policy.image_grants(self.image)]


def includeme(config: Configurator) -> None:
    """Install the tree's root and the directive by which dialects hang things under it."""
    config.registry[CHILDREN] = {}
    config.set_root_factory(_Roots(config.registry["calotype.settings"].admin_listen))
    config.add_directive("add_root_child", _add_root_child)
    config.add_request_method(_visible_image, "visible_image")


def _add_root_child(config: Configurator, name: str, factory: Callable[..., Resource]) -> None:
    config.registry[CHILDREN][name] = factory


def _visible_image(request: Request, text: str, *, deleted: bool = False) -> Image | None:
    """The image of that id, if it is one and the caller may know of it; with `deleted` its tombstone, too.

    Raises:
        Unauthenticated: whoever is nobody learns nothing, not even what is not there.
    """
    caller, image_id = request.caller, canonical_id(text)
    if image_id is None:
        return None
    return request.db.find_visible(image_id, scope_of(caller), caller.project, deleted=deleted)
