"""Metadata definitions in the v2 dialect: /v2/metadefs. Every rule is `calotype.images.definitions`'s."""

from __future__ import annotations

from pyramid.config import Configurator

from calotype.api.http.allowed_methods import refuse_other_methods
from calotype.api.v2.metadefs.resources import (
    Association,
    Associations,
    NamespaceResource,
    Namespaces,
    Object,
    Objects,
    Properties,
    Property,
    ResourceTypes,
    Tag,
    Tags,
)


def includeme(config: Configurator) -> None:
    """Register the views, and answer whatever method has none with 405."""
    config.include("calotype.api.v2.metadefs.schemas")
    config.scan("calotype.api.v2.metadefs.views")
    for context, allowed in (
        (ResourceTypes, "GET"),
        (Namespaces, "GET, POST"),
        (NamespaceResource, "GET, PUT, DELETE"),
        (Associations, "GET, POST"),
        (Association, "DELETE"),
        (Objects, "GET, POST, DELETE"),
        (Object, "GET, PUT, DELETE"),
        (Properties, "GET, POST, DELETE"),
        (Property, "GET, PUT, DELETE"),
        (Tags, "GET, POST, DELETE"),
        (Tag, "GET, POST, PUT, DELETE"),
    ):
        refuse_other_methods(config, context, "", allowed)
