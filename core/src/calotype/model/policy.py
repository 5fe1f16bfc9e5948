"""The table of rights: the permissions that each caller has.

A right is a permission that is granted to a principal, on the collection or on one image. The resource tree
has the grants as ACLs, and each view names the permission that it needs. No caller may use a view without a
permission. `calotype.database.rights` checks the same table again in the unit that writes. `may_set` decides
who may set a field. The functions that begin with `sees_` decide who may see everything else.

Images v1 has further rules, because its clients depend on them: for 404 instead of 403 (`api.v1.resources`),
for fields that an update may repeat or that are ignored (`api.v1.views`), and for the lists of administrators
(`api.v1.listing`).

                  VIEW               DOWNLOAD            change (1)    ANSWER  publish, set owner
    admin         always             always              yes           yes     yes
    owner         always             unless deactivated  yes           no      no
    owner, reader always             no                  no            no      no
    member        if shared          unless deactivated  no (2)        its own no
    anybody       public, community  unless deactivated  no            no      no
    a reader      as above           no                  no            no      no
    anonymous     public (3)         unless deactivated  no            no      no

    (1) UPDATE, UPLOAD, DELETE, SHARE, DEACTIVATE
    (2) SHARE, if the owner allows it
    (3) if `allow_anonymous` is on

Only an admin may OPERATE, which is to copy bytes into more stores, to remove them from one, to see details of
stores and jobs of other projects, and to start tasks.

A caller that may not VIEW an image gets the response for an image that does not exist. It takes just as long,
to a microsecond: `scope_of` translates the column VIEW into a query, so images outside of the caller's scope
are not read.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from calotype.model.audit import Actor, Origin
from calotype.model.images import Image, Member, Visibility
from calotype.model.queries import Scope
from calotype.model.states import Status

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

#: The permissions of an image's owner, besides DOWNLOAD.
OWNING = frozenset({VIEW, UPDATE, UPLOAD, DELETE, SHARE, DEACTIVATE})

AUTHENTICATED = "authenticated"
WRITER = "writer"
ANONYMOUS = "anonymous"
ADMIN = "role:admin"

#: The roles that give rights. Keystone's tokens may have others, too.
ROLES = ("admin", "member", "reader")
#: A caller that has only these roles may change nothing. Keystone defines the name `reader`.
_READER_ROLES = frozenset({"reader"})


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request: a user of a project, with roles in lower case.

    `expires` is when the caller's token expires, and `origin` is where the request comes from. Comparisons of
    callers ignore both. `outside` is true if the token is scoped to something without images, such as a
    domain. The caller then has no rights.
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
        """True if the caller has every right."""
        return "admin" in self.roles and not self.outside

    @property
    def principals(self) -> frozenset[str]:
        """The caller's principals: authenticated, a writer, its project, and each of its roles."""
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


#: The rights over the collection of images. A list has only images that the caller may view.
COLLECTION_GRANTS = (
    Grant(AUTHENTICATED, frozenset({LIST})),
    Grant(ANONYMOUS, frozenset({LIST})),
    Grant(WRITER, frozenset({CREATE})),
    Grant(ADMIN, frozenset({CREATE, OPERATE})),
)


def image_grants(image: Image) -> tuple[Grant, ...]:
    """Return the rights over one image, which depend on its status and visibility."""
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


def session_grants(project: str | None) -> tuple[Grant, ...]:
    """Return the rights over an upload session that has no image, or no more."""
    grants = [Grant(ADMIN, frozenset({UPLOAD}))]
    if project is not None:
        grants.append(Grant(project_writers(project), frozenset({UPLOAD})))
    return tuple(grants)


def scope_of(caller: Caller) -> Scope:
    """Return the scope that contains exactly the images that the caller may VIEW."""
    return Scope.ALL if caller.is_admin else Scope.PUBLIC if caller.anonymous else Scope.VISIBLE


def may(caller: Caller, permission: str, grants: Iterable[Grant]) -> bool:
    """Return whether one of the grants gives the permission to the caller."""
    principals = caller.principals
    return any(grant.principal in principals and permission in grant.permissions for grant in grants)


def visible_members(caller: Caller, image: Image) -> tuple[Member, ...]:
    """Return the members that the caller may see: all if it is the owner or an admin, else only itself."""
    if caller.is_admin or (image.owner is not None and caller.project == image.owner):
        return image.members
    return tuple(member for member in image.members if member.project == caller.project)


def sees_deleted(caller: Caller) -> bool:
    """Return whether the caller may see deleted images."""
    return caller.is_admin


def sees_job(caller: Caller, owner: str | None) -> bool:
    """Return whether the caller may see a job of the project `owner`."""
    return caller.is_admin or (owner is not None and owner == caller.project)


def sees_stores(caller: Caller, image: Image) -> bool:
    """Return whether the caller may see the names of the stores that hold the bytes of the image."""
    return caller.is_admin or image.status is not Status.DEACTIVATED


def sees_processes(caller: Caller) -> bool:
    """Return whether the caller may see the list of serving processes."""
    return caller.is_admin


class FieldRule(enum.Enum):
    """The condition under which a client that may UPDATE an image may set a field."""

    ALWAYS = enum.auto()
    ADMIN = enum.auto()  #: if it is an admin
    UNTIL_DATA = enum.auto()  #: while the image has no bytes, or the field no value


#: Every field that a client may set. The server alone sets all others.
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
    """Return whether the caller may set a field to this value; `image` is None for a new one."""
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
    """Return whether the caller may name an external source of bytes; `allowed` is "admin" or "everyone"."""
    return allowed == "everyone" or caller.is_admin


def project_readers(project: str) -> str:
    """Return the principal for all users of a project."""
    return f"project:{project}"


def project_writers(project: str) -> str:
    """Return the principal for the users of a project that may change something."""
    return f"writers:{project}"  # not a suffix, because that could be part of another project's name
