"""The views below /v2/metadefs. Each decodes the request, calls one verb, and encodes the response."""

from __future__ import annotations

from typing import Any

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.json_input import read_document
from calotype.api.http.operations import CHANGES, FLAG, NONE, PAGE, STRING, Operation, json_of, list_of
from calotype.api.http.operations import properties as object_of
from calotype.api.http.paging import link_parameters
from calotype.api.http.request import Request
from calotype.api.http.responses import nothing
from calotype.api.http.versions import base_url
from calotype.api.v2.views.documents import json_response, page_response, without_body
from calotype.model import policy
from calotype.model.errors import Protected
from calotype_metadefs import codec
from calotype_metadefs.database import Kind
from calotype_metadefs.resources import (
    Association,
    Associations,
    NamespaceResource,
    Namespaces,
    Object,
    Objects,
    Part,
    Properties,
    Property,
    ResourceTypes,
    SchemaResource,
    Several,
    Tag,
    Tags,
    verbs_of,
)
from calotype_metadefs.rights import DEFINE
from calotype_metadefs.schemas import SCHEMAS
from calotype_metadefs.verbs import DefinitionDraft

_REMOVAL = Operation({204: NONE}, errors=(*CHANGES, Protected))


def _new(kind: str) -> Operation:
    """Return the description of a request that adds a definition."""
    return Operation({201: json_of(f"metadefs.{kind}")}, body=json_of(f"metadefs.{kind}"), errors=CHANGES)


def _replaced(kind: str) -> Operation:
    """Return the description of a request that replaces a definition."""
    return Operation({200: json_of(f"metadefs.{kind}")}, body=json_of(f"metadefs.{kind}"), errors=CHANGES)


@view_config(
    context=SchemaResource,
    method="GET",
    permission=policy.LIST,
    decorator=without_body,
    operation=Operation({200: json_of({"type": "object"})}),
)
def schema(context: SchemaResource, request: Request) -> Response:
    """GET /v2/schemas/metadefs/NAME: the schema."""
    return json_response(context.document)


@view_config(
    context=ResourceTypes,
    method="GET",
    permission=policy.LIST,
    decorator=without_body,
    operation=Operation({200: json_of(object_of(resource_types=list_of({"type": "object"})))}),
)
def resource_types(context: ResourceTypes, request: Request) -> Response:
    """GET /v2/metadefs/resource_types: all resource types."""
    known = verbs_of(request).definitions.resource_types()
    return json_response({"resource_types": [codec.resource_type_document(one) for one in known]})


@view_config(
    context=Namespaces,
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of("metadefs.namespaces")}, query={**PAGE, **codec.FILTERS}),
)
def namespaces(context: Namespaces, request: Request) -> Response:
    """GET /v2/metadefs/namespaces: a page of the namespaces that the caller may view."""
    database = verbs_of(request).definitions
    listing = codec.read_listing(request, request.settings.list_limit)
    page = database.page(listing)
    documents = (
        (link_parameters(one.name, listing.position(one)), codec.namespace_document(one, associations))
        for one, associations in database.each_with(page.records, Kind.ASSOCIATION)
    )
    return page_response(request, "namespaces", codec.ROOT, documents, more=page.more)


@view_config(
    context=Namespaces,
    method="POST",
    permission=DEFINE,
    operation=Operation(
        {201: json_of("metadefs.namespace")}, body=json_of("metadefs.namespace"), errors=CHANGES
    ),
)
def create_namespace(context: Namespaces, request: Request) -> Response:
    """POST /v2/metadefs/namespaces: create a namespace with its definitions."""
    draft = codec.read_namespace(read_document(request), request.registry[SCHEMAS])
    namespace = verbs_of(request).create(draft, request.caller)
    contents = verbs_of(request).listed(namespace)
    response = json_response(codec.namespace_document(namespace, contents), 201)
    response.headers["Location"] = base_url(request) + codec.path_of(namespace)
    return response


@view_config(
    context=NamespaceResource,
    method="GET",
    permission=policy.VIEW,
    decorator=without_body,
    operation=Operation({200: json_of("metadefs.namespace")}, query={"resource_type": STRING}),
)
def show_namespace(context: NamespaceResource, request: Request) -> Response:
    """GET /v2/metadefs/namespaces/NAMESPACE: the namespace with its definitions."""
    namespace = context.namespace
    contents = verbs_of(request).listed(namespace)
    return json_response(codec.namespace_document(namespace, contents, request.GET.get("resource_type")))


@view_config(
    context=NamespaceResource,
    method="PUT",
    permission=DEFINE,
    operation=Operation(
        {200: json_of("metadefs.namespace")}, body=json_of("metadefs.namespace"), errors=CHANGES
    ),
)
def update_namespace(context: NamespaceResource, request: Request) -> Response:
    """PUT /v2/metadefs/namespaces/NAMESPACE: set all fields. Missing fields get their defaults."""
    draft = codec.read_namespace_fields(read_document(request), request.registry[SCHEMAS])
    return json_response(
        codec.namespace_document(verbs_of(request).update(context.namespace, draft, request.caller), ())
    )


@view_config(
    context=NamespaceResource, method="DELETE", permission=DEFINE, decorator=without_body, operation=_REMOVAL
)
def delete_namespace(context: NamespaceResource, request: Request) -> Response:
    """DELETE /v2/metadefs/namespaces/NAMESPACE: delete a namespace with its definitions."""
    verbs_of(request).delete(context.namespace, request.caller)
    return nothing()


@view_config(
    context=Associations,
    method="GET",
    permission=policy.VIEW,
    decorator=without_body,
    operation=Operation({200: json_of("metadefs.resource_types")}),
)
def associations(context: Associations, request: Request) -> Response:
    """GET .../resource_types: the associations of the namespace."""
    return json_response({"resource_type_associations": _listed(context, request)})


@view_config(
    context=Objects,
    method="GET",
    permission=policy.VIEW,
    decorator=without_body,
    operation=Operation({200: json_of("metadefs.objects")}),
)
def objects(context: Objects, request: Request) -> Response:
    """GET .../objects: the objects of the namespace."""
    return json_response({"objects": _listed(context, request), "schema": "/v2/schemas/metadefs/objects"})


@view_config(
    context=Properties,
    method="GET",
    permission=policy.VIEW,
    decorator=without_body,
    operation=Operation({200: json_of("metadefs.properties")}),
)
def properties(context: Properties, request: Request) -> Response:
    """GET .../properties: a JSON object with the properties by name."""
    listed = verbs_of(request).listed(context.namespace, context.kind)
    return json_response({"properties": codec.properties_document(listed)})


@view_config(
    context=Tags,
    method="GET",
    permission=policy.VIEW,
    decorator=without_body,
    operation=Operation({200: json_of("metadefs.tags")}, query=PAGE),
)
def tags(context: Tags, request: Request) -> Response:
    """GET .../tags: all tags of the namespace, or a page of them if the request has a limit."""
    listed = codec.tags_asked_for(request, verbs_of(request).listed(context.namespace, context.kind))
    return json_response({"tags": [{"name": tag.name} for tag in listed]})


def _listed(context: Several, request: Request) -> list[dict[str, Any]]:
    listed = verbs_of(request).listed(context.namespace, context.kind)
    return [codec.definition_document(context.namespace, one) for one in listed]


@view_config(context=Associations, method="POST", permission=DEFINE, operation=_new("resource_type"))
@view_config(context=Objects, method="POST", permission=DEFINE, operation=_new("object"))
@view_config(context=Properties, method="POST", permission=DEFINE, operation=_new("property"))
def add(context: Several, request: Request) -> Response:
    """POST .../KIND: add a definition."""
    draft = codec.read_definition(context.kind, read_document(request), request.registry[SCHEMAS])
    made = verbs_of(request).add(context.namespace, draft, request.caller)
    return json_response(codec.definition_document(context.namespace, made), 201)


@view_config(
    context=Tags,
    method="POST",
    permission=DEFINE,
    operation=Operation(
        {201: json_of("metadefs.tags")},
        body=json_of("metadefs.new-tags"),
        headers={"X-Openstack-Append": FLAG},
        errors=CHANGES,
    ),
)
def set_tags(context: Tags, request: Request) -> Response:
    """POST .../tags: replace all tags. With `X-Openstack-Append: True`, add tags."""
    document = read_document(request)
    request.registry[SCHEMAS].check("tags", document)
    names = [tag["name"] for tag in document["tags"]]
    keep = request.headers.get("X-Openstack-Append", "").strip().lower() == "true"
    verbs_of(request).tag(context.namespace, names, request.caller, keep=keep)
    return json_response({"tags": [{"name": name} for name in names]}, 201)


@view_config(
    context=Tag,
    method="POST",
    permission=DEFINE,
    decorator=without_body,
    operation=Operation({201: json_of("metadefs.tag")}, errors=CHANGES),
)
def add_tag(context: Tag, request: Request) -> Response:
    """POST .../tags/NAME: add a tag."""
    draft = DefinitionDraft(context.kind, str(context.__name__))
    made = verbs_of(request).add(context.namespace, draft, request.caller)
    return json_response(codec.definition_document(context.namespace, made), 201)


@view_config(context=Objects, method="DELETE", permission=DEFINE, decorator=without_body, operation=_REMOVAL)
@view_config(
    context=Properties, method="DELETE", permission=DEFINE, decorator=without_body, operation=_REMOVAL
)
@view_config(context=Tags, method="DELETE", permission=DEFINE, decorator=without_body, operation=_REMOVAL)
def clear(context: Several, request: Request) -> Response:
    """DELETE .../KIND: remove all definitions of the kind."""
    verbs_of(request).clear(context.namespace, context.kind, request.caller)
    return nothing()


@view_config(
    context=Property,
    method="GET",
    permission=policy.VIEW,
    decorator=without_body,
    operation=Operation({200: json_of("metadefs.property")}, query={"resource_type": STRING}),
)
def show_property(context: Property, request: Request) -> Response:
    """GET .../properties/NAME: the property. If `resource_type` is given, NAME begins with its prefix."""
    name, resource_type = str(context.__name__), request.GET.get("resource_type")
    found = verbs_of(request).find_property(context.namespace, name, resource_type)
    return json_response(codec.definition_document(context.namespace, found))


@view_config(
    context=Object,
    method="GET",
    permission=policy.VIEW,
    decorator=without_body,
    operation=Operation({200: json_of("metadefs.object")}),
)
@view_config(
    context=Tag,
    method="GET",
    permission=policy.VIEW,
    decorator=without_body,
    operation=Operation({200: json_of("metadefs.tag")}),
)
def show(context: Part, request: Request) -> Response:
    """GET .../KIND/NAME: the definition."""
    found = verbs_of(request).find(context.namespace, context.kind, str(context.__name__))
    return json_response(codec.definition_document(context.namespace, found))


@view_config(context=Object, method="PUT", permission=DEFINE, operation=_replaced("object"))
@view_config(context=Property, method="PUT", permission=DEFINE, operation=_replaced("property"))
@view_config(context=Tag, method="PUT", permission=DEFINE, operation=_replaced("tag"))
def replace(context: Part, request: Request) -> Response:
    """PUT .../KIND/NAME: replace the definition, including its name."""
    draft = codec.read_definition(context.kind, read_document(request), request.registry[SCHEMAS])
    made = verbs_of(request).replace(context.namespace, str(context.__name__), draft, request.caller)
    return json_response(codec.definition_document(context.namespace, made))


@view_config(
    context=Association, method="DELETE", permission=DEFINE, decorator=without_body, operation=_REMOVAL
)
@view_config(context=Object, method="DELETE", permission=DEFINE, decorator=without_body, operation=_REMOVAL)
@view_config(context=Property, method="DELETE", permission=DEFINE, decorator=without_body, operation=_REMOVAL)
@view_config(context=Tag, method="DELETE", permission=DEFINE, decorator=without_body, operation=_REMOVAL)
def remove(context: Part, request: Request) -> Response:
    """DELETE .../KIND/NAME: remove the definition."""
    verbs_of(request).remove(context.namespace, context.kind, str(context.__name__), request.caller)
    return nothing()
