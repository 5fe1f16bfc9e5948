"""The v2 dialect's verbs, by noun: each is a codec in, one verb of the lifecycle, a codec out."""

from __future__ import annotations

from pyramid.config import Configurator

from calotype.api.http.allowed_methods import refuse_other_methods
from calotype.api.http.resources import ImageResource
from calotype.api.v2.resources import (
    V2,
    Actions,
    Audit,
    ImageMember,
    Info,
    InfoStores,
    Members,
    Schema,
    StoreImage,
    Tag,
    Task,
    Tasks,
    TombstoneActions,
    V2Image,
    V2Images,
)
from calotype.model import policy

_NOUNS = ("images", "data", "imports", "sharing", "info", "tasks", "audit")


def includeme(config: Configurator) -> None:
    """Register the views, and answer whatever method has none with 405, where the caller may look at all."""
    for noun in _NOUNS:
        config.scan(f"calotype.api.v2.views.{noun}")
    for context, name, allowed in (
        (V2, "", "GET"),
        (V2Images, "", "GET, POST"),
        (V2Image, "", "GET, PATCH, DELETE"),
        (V2Image, "file", "GET, PUT"),
        (V2Image, "stage", "PUT"),
        (V2Image, "import", "POST"),
        (V2Image, "tasks", "GET"),
        (Tag, "", "PUT, DELETE"),
        (Actions, "deactivate", "POST"),
        (Actions, "reactivate", "POST"),
        (Actions, "undelete", "POST"),
        (TombstoneActions, "undelete", "POST"),
        (Members, "", "GET, POST"),
        (ImageMember, "", "GET, PUT, DELETE"),
        (Schema, "", "GET"),
        (Info, "import", "GET"),
        (Info, "usage", "GET"),
        (InfoStores, "", "GET"),
        (InfoStores, "detail", "GET"),
        (StoreImage, "", "DELETE"),
        (Tasks, "", "GET, POST"),
        (Task, "", "GET"),
        (Audit, "", "GET"),
    ):
        permission = policy.VIEW if issubclass(context, ImageResource) else None
        if issubclass(context, (Tasks, Task, Audit)):
            permission = policy.OPERATE
        refuse_other_methods(config, context, name, allowed, permission=permission)
