"""The rights over metadata definitions, in the terms of `calotype.model.policy`.

Only administrators have the right DEFINE, which is to create, change and remove definitions. Every caller
that may list may also VIEW a public namespace. Only the project that owns it and administrators may VIEW a
private one. For all other callers, it does not exist.
"""

from __future__ import annotations

from calotype.model.images import Visibility
from calotype.model.policy import ADMIN, ANONYMOUS, AUTHENTICATED, VIEW, Grant, project_readers
from calotype_metadefs.database import Namespace

DEFINE = "define"

#: The rights over all namespaces.
GRANTS = (Grant(ADMIN, frozenset({DEFINE})),)


def namespace_grants(namespace: Namespace) -> tuple[Grant, ...]:
    """Return the rights over one namespace and its definitions."""
    grants = [Grant(ADMIN, frozenset({VIEW, DEFINE}))]
    if namespace.owner is not None:
        grants.append(Grant(project_readers(namespace.owner), frozenset({VIEW})))
    if namespace.visibility is Visibility.PUBLIC:
        grants.append(Grant(AUTHENTICATED, frozenset({VIEW})))
        grants.append(Grant(ANONYMOUS, frozenset({VIEW})))
    return tuple(grants)
