"""The rights over metadata definitions, in the terms of `calotype.model.policy`.

Only administrators have the right DEFINE, which is to create, change and remove definitions. Every caller
that may list images may also VIEW public namespaces. A private namespace can only be viewed by administrators
and by the project that owns it; all other callers get 404.
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
