"""Who is asking. The answer is a Caller; what a Caller may do stands in `tintype.policy`."""

from __future__ import annotations

from pyramid.authorization import ACLHelper
from pyramid.request import Request
from pyramid.security import Allowed, Denied

from tintype.policy import Caller

#: Identity `none`: everybody is the administrator of the one project there is.
SOLE_CALLER = Caller(user=None, project="default", roles=frozenset({"admin"}))


class SecurityPolicy:
    """Pyramid's security policy: callers, held against the ACLs of the resource tree."""

    def __init__(self) -> None:
        self._acl = ACLHelper()

    def identity(self, request: Request) -> Caller:
        """The Caller behind the request."""
        return SOLE_CALLER

    def authenticated_userid(self, request: Request) -> str | None:
        """The caller's user, where there are users."""
        return self.identity(request).user

    def permits(self, request: Request, context: object, permission: str) -> Allowed | Denied:
        """Whether the context's ACL gives the permission to one of the caller's principals."""
        return self._acl.permits(context, self.identity(request).principals, permission)

    def remember(self, request: Request, userid: str, **kw: object) -> list[tuple[str, str]]:
        """Nothing is remembered: each request says who it is."""
        return []

    def forget(self, request: Request, **kw: object) -> list[tuple[str, str]]:
        """Nothing to forget."""
        return []
