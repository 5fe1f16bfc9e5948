"""The verbs of v2, one module for each noun; `documents` is what they share."""

from __future__ import annotations

from pyramid.config import Configurator

_NOUNS = ("images", "data", "imports", "sharing", "info", "tasks", "audit")


def includeme(config: Configurator) -> None:
    """Register the views."""
    for noun in _NOUNS:
        config.scan(f"calotype.api.v2.views.{noun}")
