"""Metadata definitions in the v2 dialect: /v2/metadefs. Every rule is `calotype.images.definitions`'s."""

from __future__ import annotations

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Register the views."""
    config.include("calotype.api.v2.metadefs.schemas")
    config.scan("calotype.api.v2.metadefs.views")
