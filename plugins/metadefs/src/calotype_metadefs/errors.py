"""The errors of metadata definitions. They subclass the core's errors, which the API maps to statuses."""

from __future__ import annotations

from collections.abc import Collection

from calotype.model.errors import Conflict, NotFound


class NamespaceNotFound(NotFound):
    """There is no such namespace, or it was deleted."""

    def __init__(self) -> None:
        super().__init__("Namespace not found")


class DuplicateDefinition(Conflict):
    """The name of a namespace, or of a definition in one, is taken."""

    def __init__(self, names: Collection[str]):
        given = ", ".join(list(names)[:3])[:200]
        super().__init__(f"The name is taken already: {given}. Use another name.")
