"""Who may do what: the one table of rights.

A right is a permission granted to a principal, on the collection or on one image.
The resource tree shows the grants as ACLs, and each view names the permission that it needs; a view that
names none is closed. `calotype.database.rights` asks the same table again in the unit that writes, and
`may_set` about single fields. The functions named `sees_` decide what a caller is shown besides images.

Images v1 has rules of its own, because its clients depend on them: who gets 404 instead of 403
(`api.v1.resources`), which fields of the server an update may repeat and whose `owner` is ignored
(`api.v1.views`), and when a list shows all images to an admin (`api.v1.listing`).

                  VIEW               DOWNLOAD            change (1)    ANSWER  publish, set owner
    admin         always             always              yes           yes     yes
    owner         always             unless deactivated  yes           no      no
    owner, reader always             no                  no            no      no
    member        if shared          unless deactivated  no (2)        its own no
    anybody       public, community  unless deactivated  no            no      no
    a reader      as above           no                  no            no      no
    anonymous     public (3)         unless deactivated  no            no      no

    (1) UPDATE, UPLOAD, DELETE, SHARE, DEACTIVATE
    (2) SHARE, if the owner said that it may
    (3) where `allow_anonymous` lets them in at all

OPERATE - copy bytes into more stores, take them out of one, ask how stores are made, see what
is done for whom and have it done as a task - is an admin's alone.

A caller who may not VIEW an image is told that it is not there. That
holds of the time it takes, too, to a microsecond: `scope_of` has the column VIEW in the
database's words, and what lies outside of a caller's scope is not read.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from calotype.model.audit import Actor, Origin
from calotype.model.images import Image, Member, Status, Visibility
from calotype.model.queries import Scope

LIST = "list"
CREATE = "create"
VIEW = "view"
DOWNLOAD = "download"
UPDATE = "update"
UPLOAD = "upload"
DELETE = "delete"
SHARE = "share"
ANSWER = "answer"
DEACTIVATE = "deactivate"
OPERATE = "operate"
#: A permission that no grant gives.
NEVER = "never"

#: What an image's owner may do with it, besides looking at its bytes.
OWNING = frozenset({VIEW, UPDATE, UPLOAD, DELETE, SHARE, DEACTIVATE})

AUTHENTICATED = "authenticated"
WRITER = "writer"
ANONYMOUS = "anonymous"
ADMIN = "role:admin"

#: The roles that mean something here; Keystone's tokens may bring others along.
ROLES = ("admin", "member", "reader")
#: A caller with no other role than these only looks; Keystone's own word for it.
_READER_ROLES = frozenset({"reader"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: a user of a project, with roles (lower case). Nobody known has neither.

    `expires` is when the token ends by which the caller is known, and `origin` where the request comes from.
    Neither is part of who the caller is. `outside`: the token has the scope of something that has no images,
    such as a domain, and gives no rights.
    """

    user: str | None = None
    project: str | None = None
    roles: frozenset[str] = frozenset()
    anonymous: bool = False
    outside: bool = False
    expires: datetime.datetime | None = field(default=None, compare=False)
    origin: Origin = field(default_factory=Origin, compare=False)

    @property
    def actor(self) -> Actor:
        """The caller as the audit trail names it."""
        return Actor(self.user, self.project, self.origin)

    @property
    def is_admin(self) -> bool:
        """Whether every right is the caller's."""
        return "admin" in self.roles and not self.outside

    @property
    def principals(self) -> frozenset[str]:
        """What rights are given to: being somebody, being more than a reader, the project, each role."""
        if self.anonymous:
            return frozenset({ANONYMOUS})
        if self.outside:
            return frozenset()
        found = {AUTHENTICATED, *(f"role:{role}" for role in self.roles)}
        writes = not (self.roles and self.roles <= _READER_ROLES)
        if writes:
            found.add(WRITER)
        if self.project is not None:
            found.add(project_readers(self.project))
            if writes:
                found.add(project_writers(self.project))
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions given to one principal."""

    principal: str
    permissions: frozenset[str]


#: Rights over the collection of images; what a list shows is the caller's to see anyway.
COLLECTION_GRANTS = (
    Grant(AUTHENTICATED, frozenset({LIST})),
    Grant(ANONYMOUS, frozenset({LIST})),
    Grant(WRITER, frozenset({CREATE})),
    Grant(ADMIN, frozenset({CREATE, OPERATE})),
)


def image_grants(image: Image) -> tuple[Grant, ...]:
    """The rows of the table for one image, in its status and with its visibility."""
    download = frozenset() if image.status is Status.DEACTIVATED else frozenset({DOWNLOAD})
    grants = [Grant(ADMIN, OWNING | {DOWNLOAD, ANSWER})]
    if image.owner is not None:
        grants.append(Grant(project_readers(image.owner), frozenset({VIEW})))
        grants.append(Grant(project_writers(image.owner), OWNING | download))
    if image.visibility is Visibility.SHARED:
        for member in image.members:
            grants.append(Grant(project_readers(member.project), frozenset({VIEW})))
            sharing = frozenset({SHARE}) if member.can_share else frozenset()
            grants.append(Grant(project_writers(member.project), download | sharing | {ANSWER}))
    if image.visibility in (Visibility.PUBLIC, Visibility.COMMUNITY):
        grants.append(Grant(AUTHENTICATED, frozenset({VIEW})))
        grants.append(Grant(WRITER, download))
    if image.visibility is Visibility.PUBLIC:
        grants.append(Grant(ANONYMOUS, frozenset({VIEW}) | download))
    return tuple(grants)


def scope_of(caller: Caller) -> Scope:
    """Where to look for what the caller may VIEW."""
    return Scope.ALL if caller.is_admin else Scope.PUBLIC if caller.anonymous else Scope.VISIBLE


def may(caller: Caller, permission: str, grants: Iterable[Grant]) -> bool:
    """Whether one of the grants gives the permission to the caller."""
    principals = caller.principals
    return any(grant.principal in principals and permission in grant.permissions for grant in grants)


def visible_members(caller: Caller, image: Image) -> tuple[Member, ...]:
    """The members that the caller may know of: all of its own images', of others' only itself."""
    if caller.is_admin or (image.owner is not None and caller.project == image.owner):
        return image.members
    return tuple(member for member in image.members if member.project == caller.project)


def sees_deleted(caller: Caller) -> bool:
    """Return whether the caller may look at deleted images."""
    return caller.is_admin


def sees_job(caller: Caller, owner: str | None) -> bool:
    """Return whether the caller may look at a job of this project's."""
    return caller.is_admin or (owner is not None and owner == caller.project)


def sees_stores(caller: Caller, image: Image) -> bool:
    """Return whether the caller may know which stores hold the bytes of the image."""
    return caller.is_admin or image.status is not Status.DEACTIVATED


def sees_processes(caller: Caller) -> bool:
    """Return whether the caller may know which processes serve."""
    return caller.is_admin


class FieldRule(enum.Enum):
    """When a client may set a field of an image that it may update."""

    ALWAYS = enum.auto()
    ADMIN = enum.auto()  #: by an admin only
    UNTIL_DATA = enum.auto()  #: while the image has no data, or as long as nothing was set


#: Every field that a client may set. A field without a row is the server's own.
FIELDS = {
    "name": FieldRule.ALWAYS,
    "visibility": FieldRule.ALWAYS,
    "protected": FieldRule.ALWAYS,
    "os_hidden": FieldRule.ALWAYS,
    "min_disk": FieldRule.ALWAYS,
    "min_ram": FieldRule.ALWAYS,
    "owner": FieldRule.ADMIN,
    "disk_format": FieldRule.UNTIL_DATA,
    "container_format": FieldRule.UNTIL_DATA,
}


def may_set(caller: Caller, field: str, value: Any, image: Image | None) -> bool:
    """Whether the caller may give a field this value; `image` is None for a new one."""
    rule = FIELDS.get(field)
    if rule is FieldRule.ADMIN:
        return caller.is_admin or value == (image.owner if image is not None else caller.project)
    if rule is FieldRule.UNTIL_DATA and image is not None:
        before = getattr(image, field)
        return image.status is Status.QUEUED or before is None or before == value
    if field == "visibility" and value == Visibility.PUBLIC:
        return caller.is_admin or (image is not None and image.visibility is Visibility.PUBLIC)
    return rule is not None


def may_name_sources(caller: Caller, allowed: str) -> bool:
    """Whether the caller may name a place outside to read bytes from; `allowed`: admin, or everyone."""
    return allowed == "everyone" or caller.is_admin


def project_readers(project: str) -> str:
    """The principal that stands for all who work in a project."""
    return f"project:{project}"


def project_writers(project: str) -> str:
    """The principal that stands for those of a project who may change things."""
    return f"writers:{project}"  # no project's name may end in what makes another principal
