"""Who may do what with metadata definitions, in the terms of `calotype.model.policy`.

DEFINE - to make, change and remove definitions - is a right of administrators alone.
A public namespace is VIEWed by everybody who may list; a private one by its owner's project and by
administrators. A caller who may not VIEW a namespace is told that it is not there.
"""

from __future__ import annotations

from calotype.model.images import Visibility
from calotype.model.policy import ADMIN, ANONYMOUS, AUTHENTICATED, VIEW, Grant, project_readers
from calotype_metadefs.database import Namespace

DEFINE = "define"

#: Rights over all namespaces.
GRANTS = (Grant(ADMIN, frozenset({DEFINE})),)


def namespace_grants(namespace: Namespace) -> tuple[Grant, ...]:
    """Return the rights over one namespace and its contents."""
    grants = [Grant(ADMIN, frozenset({VIEW, DEFINE}))]
    if namespace.owner is not None:
        grants.append(Grant(project_readers(namespace.owner), frozenset({VIEW})))
    if namespace.visibility is Visibility.PUBLIC:
        grants.append(Grant(AUTHENTICATED, frozenset({VIEW})))
        grants.append(Grant(ANONYMOUS, frozenset({VIEW})))
    return tuple(grants)
