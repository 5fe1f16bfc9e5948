"""Who may do what: the one table of rights.

A right is a permission granted to a principal, on the collection or on one image.
The resource tree shows the grants as ACLs; views name the permission they need;
nothing else in the service decides about rights.
"""

from __future__ import annotations

from dataclasses import dataclass

from tintype.registry.records import Image, Visibility

LIST = "list"
CREATE = "create"
VIEW = "view"
DOWNLOAD = "download"
UPDATE = "update"
DELETE = "delete"

#: Everything that can be asked of one image.
IMAGE_PERMISSIONS = frozenset({VIEW, DOWNLOAD, UPDATE, DELETE})

EVERYONE = "everyone"
ADMIN = "role:admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: a user of a project, with roles."""

    user: str | None
    project: str | None
    roles: frozenset[str]

    @property
    def principals(self) -> frozenset[str]:
        """What the rights are given to: everyone, the project, each role."""
        own = {project_principal(self.project)} if self.project else set()
        return frozenset({EVERYONE, *own, *(f"role:{role}" for role in self.roles)})


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions given to one principal."""

    principal: str
    permissions: frozenset[str]


#: Rights over the collection of images.
COLLECTION_GRANTS = (Grant(EVERYONE, frozenset({LIST})), Grant(ADMIN, frozenset({CREATE})))


def image_grants(image: Image) -> tuple[Grant, ...]:
    """Rights over one image: its owner and an admin may do all, everyone may see a public one."""
    grants = [Grant(ADMIN, IMAGE_PERMISSIONS)]
    if image.owner is not None:
        grants.append(Grant(project_principal(image.owner), IMAGE_PERMISSIONS))
    if image.visibility is Visibility.PUBLIC:
        grants.append(Grant(EVERYONE, frozenset({VIEW, DOWNLOAD})))
    return tuple(grants)


def project_principal(project: str) -> str:
    """The principal that stands for a project's members."""
    return f"project:{project}"
