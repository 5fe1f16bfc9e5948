"""The resource tree below /v2/metadefs. It contains only the resources that the caller may see."""

from __future__ import annotations

from typing import Any, ClassVar

from pyramid.authorization import Allow

from calotype.api.http.request import Request
from calotype.api.http.resources import Resource
from calotype.api.v2.resources import Schema
from calotype.model import policy
from calotype_metadefs.database import Kind, Namespace
from calotype_metadefs.rights import GRANTS, namespace_grants
from calotype_metadefs.schemas import SCHEMAS
from calotype_metadefs.verbs import SHORT_MAX, is_name
from calotype_metadefs.verbs import Metadefs as Verbs

#: The key of the verbs in Pyramid's registry. A request property would cost every request of the service a
#: class of its own, because Pyramid creates one for each request that has such properties.
VERBS = "calotype.v2.metadefs.verbs"


def verbs_of(request: Request) -> Verbs:
    """Return the verbs on metadata definitions, which all requests share."""
    verbs: Verbs = request.registry[VERBS]
    return verbs


class Metadefs(Resource):
    """/v2/metadefs: the root of the metadata definitions."""

    __acl__: ClassVar = [(Allow, grant.principal, grant.permissions) for grant in GRANTS]

    def __getitem__(self, name: str) -> Resource:
        return _CHILDREN[name](self.request, name, self)


class Schemas(Resource):
    """/v2/schemas/metadefs: the JSON schemas by name."""

    def __getitem__(self, name: str) -> Resource:
        return Schema(self.request, name, self, self.request.registry[SCHEMAS].documents[name])


class ResourceTypes(Resource):
    """/v2/metadefs/resource_types: all resource types."""


class Namespaces(Resource):
    """/v2/metadefs/namespaces: the namespaces by name."""

    def __getitem__(self, name: str) -> NamespaceResource:
        namespace = visible_namespace(self.request, name)
        if namespace is None:
            raise KeyError(name)
        return NamespaceResource(self.request, name, self, namespace)


def visible_namespace(request: Request, name: str) -> Namespace | None:
    """Return the namespace with this name; None if there is none that the caller may see."""
    found = verbs_of(request).definitions.namespace(name) if is_name(name, SHORT_MAX) else None
    seen = found is not None and policy.may(request.caller, policy.VIEW, namespace_grants(found))
    return found if seen else None


class InNamespace(Resource):
    """A resource in a namespace. `namespace` is the record as it was when the request arrived."""

    def __init__(self, request: Request, name: str, parent: Resource, namespace: Namespace):
        super().__init__(request, name, parent)
        self.namespace = namespace


class NamespaceResource(InNamespace):
    """/v2/metadefs/namespaces/NAMESPACE: a namespace."""

    def __acl__(self) -> list[Any]:
        grants = namespace_grants(self.namespace)
        return [(Allow, grant.principal, grant.permissions) for grant in grants]

    def __getitem__(self, name: str) -> Resource:
        return _PARTS[name](self.request, name, self, self.namespace)


class Part(InNamespace):
    """One or all definitions of a kind in a namespace. The rights over the namespace apply."""

    kind: ClassVar[Kind]


class Several(Part):
    """All definitions of a kind. Every name has a child, even if no such definition exists."""

    one: ClassVar[type[Part]]

    def __getitem__(self, name: str) -> Part:
        return self.one(self.request, name, self, self.namespace)


class Object(Part):
    """/v2/metadefs/namespaces/NAMESPACE/objects/NAME: an object."""

    kind = Kind.OBJECT


class Objects(Several):
    """/v2/metadefs/namespaces/NAMESPACE/objects: the objects of a namespace."""

    kind, one = Kind.OBJECT, Object


class Property(Part):
    """/v2/metadefs/namespaces/NAMESPACE/properties/NAME: a property."""

    kind = Kind.PROPERTY


class Properties(Several):
    """/v2/metadefs/namespaces/NAMESPACE/properties: the properties of a namespace."""

    kind, one = Kind.PROPERTY, Property


class Tag(Part):
    """/v2/metadefs/namespaces/NAMESPACE/tags/NAME: a tag."""

    kind = Kind.TAG


class Tags(Several):
    """/v2/metadefs/namespaces/NAMESPACE/tags: the tags of a namespace."""

    kind, one = Kind.TAG, Tag


class Association(Part):
    """/v2/metadefs/namespaces/NAMESPACE/resource_types/NAME: an association with a resource type."""

    kind = Kind.ASSOCIATION


class Associations(Several):
    """/v2/metadefs/namespaces/NAMESPACE/resource_types: the associations of a namespace."""

    kind, one = Kind.ASSOCIATION, Association


_CHILDREN: dict[str, type[Resource]] = {"namespaces": Namespaces, "resource_types": ResourceTypes}
_PARTS: dict[str, type[Several]] = {
    "objects": Objects,
    "properties": Properties,
    "tags": Tags,
    "resource_types": Associations,
}
