"""The resource tree: the root and its children. The ACLs of resources protect them.

Each path segment of a URL selects a child of the resource before it. A dialect adds its own subclasses of
`ImageCollection` and `ImageResource` as children of Root (`config.add_child(Root, name, factory)`) and
registers views for them. An extension does the same, below Root or below any other class that does not accept
every name. An unknown name raises KeyError, which becomes 404.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pyramid.authorization import Allow
from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED

from calotype.api.http.request import Parts, Request
from calotype.model import policy
from calotype.model.images import Image
from calotype.model.states import Status

log = logging.getLogger(__name__)

#: The registry's key for the children that dialects and extensions add: parent class -> name -> factory.
CHILDREN = "calotype.children"
#: The key in the WSGI environment by which the server marks requests of its admin listener.
ADMIN = "calotype_server.is_admin"


class Resource:
    """A node of the resource tree."""

    #: False for pages that people read in a browser, which the OpenAPI document leaves out.
    is_api: ClassVar[bool] = True
    #: The permission that a caller needs to get a 405 with the methods of the resource.
    methods_shown_with: ClassVar[str] = NO_PERMISSION_REQUIRED
    #: The classes of the children by name, besides those that `add_child` registers.
    children: ClassVar[Mapping[str, type[Resource]]] = {}
    #: The class of a child with any other name, or None if any other name is 404.
    any_child: ClassVar[type[Resource] | None] = None

    __name__: str | None
    __parent__: Resource | None

    def __init__(self, request: Request, name: str | None = None, parent: Resource | None = None):
        self.request = request
        self.__name__ = name
        self.__parent__ = parent

    @property
    def name(self) -> str:
        """The path segment of the resource; "" for the root."""
        return self.__name__ or ""

    def __getitem__(self, name: str) -> Resource:
        """Return the child with this name; raises KeyError if there is none."""
        added = self.request.registry[CHILDREN].get(type(self), {})
        child = self.children.get(name) or added.get(name) or self.any_child
        if child is None:
            raise KeyError(name)
        return child(self.request, name, self)

    def hides(self, permission: str) -> bool:
        """Return True if a caller without the permission gets 404 instead of 403."""
        return False


class Root(Resource):
    """The root, whose children are the dialects and extensions."""

    __acl__: ClassVar = [(Allow, grant.principal, grant.permissions) for grant in policy.COLLECTION_GRANTS]


class AdminRoot(Resource):
    """The root of requests that come through the admin listener. It has views, but no children."""

    __acl__: ClassVar = Root.__acl__


class _Roots:
    """The root factory: it chooses the root by the listener that the request came through."""

    def __init__(self, admin_listen: str | None):
        self._awaited = admin_listen

    def __call__(self, request: Request) -> Root | AdminRoot:
        admin = request.environ.get(ADMIN)
        if admin is None and self._awaited:
            log.warning(
                "calotype.admin_listen = %s has no effect, because this WSGI server cannot listen there: "
                "/metrics is not answered anywhere; use egg:calotype-server#main, or remove the key",
                self._awaited,
            )
            self._awaited = None
        return AdminRoot(request) if admin else Root(request)


class ImageCollection(Resource):
    """A collection of images. Its children are images, by id; any other name may be the name of a view."""

    image_class: ClassVar[type[ImageResource]]
    #: The class of deleted images, which only administrators see. None if the dialect never shows them.
    tombstone_class: ClassVar[type[ImageResource] | None] = None
    __acl__: ClassVar = [(Allow, grant.principal, grant.permissions) for grant in policy.COLLECTION_GRANTS]

    def __getitem__(self, name: str) -> ImageResource:
        shows_deleted = self.tombstone_class is not None and policy.sees_deleted(self.request.caller)
        image = self.request.visible_image(name, deleted=shows_deleted)
        if image is None:
            raise KeyError(name)
        is_deleted = image.status is Status.DELETED
        kind = self.tombstone_class if is_deleted and self.tombstone_class else self.image_class
        return kind(self.request, name, self, image)


class ImageResource(Resource):
    """An image as it was when the request arrived. A caller without the permission VIEW gets 404."""

    __parent__: Resource
    methods_shown_with: ClassVar[str] = policy.VIEW

    def __init__(self, request: Request, name: str, parent: Resource, image: Image):
        super().__init__(request, name, parent)
        self.image = image

    def __acl__(self) -> list[Any]:
        return [(Allow, grant.principal, grant.permissions) for grant in policy.image_grants(self.image)]

    def hides(self, permission: str) -> bool:
        return not self.request.has_permission(policy.VIEW, self)


class ImagePart(ImageResource):
    """A resource below an image, with the same image."""

    def __init__(self, request: Request, name: str, parent: ImageResource):
        super().__init__(request, name, parent, parent.image)


def includeme(config: Configurator) -> None:
    """Install the root factory, and the directive `add_child` for dialects and extensions."""
    config.registry[CHILDREN] = {}
    config.set_root_factory(_Roots(Parts.of(config.registry).settings.admin_listen))
    config.add_directive("add_child", _add_child)


def _add_child(
    config: Configurator, parent: type[Resource], name: str, factory: Callable[..., Resource]
) -> None:
    """Add a child to every resource of the class `parent`; `factory` is a subclass of Resource."""
    children = config.registry[CHILDREN].setdefault(parent, {})

    def add() -> None:
        children[name] = factory

    config.action(("child", parent, name), add)
