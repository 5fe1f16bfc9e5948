"""Metadata definitions: /v2/metadefs, which dashboards and clients read.

`tables` and `database` keep them, `verbs` has the rules, `rights` says who may do what, and `resources`,
`views`, `codec` and `schemas` are their part of the v2 dialect.
"""

from __future__ import annotations

from pathlib import Path

from pyramid.config import Configurator

from calotype.api.http.allowed_methods import refuse_other_methods
from calotype.api.v2.resources import V2
from calotype.api.v2.resources import Schemas as V2Schemas
from calotype.database.migrate import Branch
from calotype_metadefs.resources import (
    Association,
    Associations,
    Metadefs,
    NamespaceResource,
    Namespaces,
    Object,
    Objects,
    Properties,
    Property,
    ResourceTypes,
    Schemas,
    Tag,
    Tags,
)
from calotype_metadefs.tables import Base
from calotype_metadefs.verbs import Metadefs as Verbs

MIGRATIONS = Branch("metadefs", Path(__file__).parent / "migrations", "metadefs_1", Base.metadata)


def includeme(config: Configurator) -> None:
    """Hang /v2/metadefs and its schemas into v2's tree, with 405 for every method that has no view."""
    config.add_child(V2, "metadefs", Metadefs)
    config.add_child(V2Schemas, "metadefs", Schemas)
    config.add_request_method(lambda request: Verbs(request.db), "metadefs", reify=True)
    config.include("calotype_metadefs.schemas")
    config.scan("calotype_metadefs.views")
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
