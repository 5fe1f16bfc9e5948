"""Metadata definitions below /v2/metadefs, which dashboards and clients read.

`tables` and `database` store the definitions, `verbs` contains the rules, and `rights` the table of rights.
`resources`, `views`, `codec` and `schemas` add the definitions to the dialect v2.
"""

from __future__ import annotations

from pathlib import Path

from pyramid.config import Configurator

from calotype.api.http.request import Parts
from calotype.api.v2.resources import V2
from calotype.api.v2.resources import Schemas as V2Schemas
from calotype.database.migrate import Branch
from calotype_metadefs.resources import VERBS, Metadefs, Schemas
from calotype_metadefs.tables import Base
from calotype_metadefs.verbs import Metadefs as Verbs

MIGRATIONS = Branch("metadefs", Path(__file__).parent / "migrations", "metadefs_1", Base.metadata)


def includeme(config: Configurator) -> None:
    """Add /v2/metadefs and its schemas to the resource tree of v2, and register the views."""
    config.add_child(V2, "metadefs", Metadefs)
    config.add_child(V2Schemas, "metadefs", Schemas)
    config.registry[VERBS] = Verbs(Parts.of(config.registry).database)
    config.include("calotype_metadefs.schemas")
    config.scan("calotype_metadefs.views")
