"""Identify callers. `calotype.model.policy` says what each caller may do.

The setting `calotype.identity` selects one of three methods. Identity headers are believed only if the
middleware that checks tokens has run. It leaves an entry in the WSGI environment that no client can set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from pyramid.authorization import ACLHelper
from pyramid.security import Allowed, Denied

from calotype.config.settings import Settings
from calotype.identity import keystone
from calotype.identity.token_file import TokenFile
from calotype.model.audit import Origin
from calotype.model.policy import Caller

#: The caller of every request under identity `none`: the administrator of the only project.
SOLE_CALLER = Caller(user=None, project="default", roles=frozenset({"admin"}))
#: A caller without credentials, if anonymous callers are allowed.
NOBODY = Caller(anonymous=True)

#: The WWW-Authenticate header of a 401.
CHALLENGE = 'X-Auth-Token realm="calotype"'


class Head(Protocol):
    """The part of a request that identifies its sender."""

    @property
    def environ(self) -> dict[str, Any]: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


class Asking(Head, Protocol):
    """A request whose caller is identified once, and confirmed later if the request takes long."""

    caller: Caller
    identified_at: float

    @property
    def id(self) -> str: ...


Identify = Callable[[Head], Caller | None]


class Unauthenticated(Exception):
    """The request has no credentials, or invalid ones."""

    def __init__(self) -> None:
        super().__init__("Authentication is required: the token is missing, unknown or expired.")


class IdentityUnavailable(Exception):
    """The identity service cannot report at the moment whether a token is still valid."""

    def __init__(self) -> None:
        super().__init__("The identity service cannot be asked about the token at the moment: try again.")


def identify_sole(head: Head) -> Caller:
    """Return the only caller, whatever token the request has (identity `none`)."""
    return SOLE_CALLER


def identify_by_token(head: Head, *, tokens: TokenFile) -> Caller | None:
    """Return the caller of the request's token, or None without a token (identity `tokens`).

    Raises:
        Unauthenticated: the token is unknown, revoked or expired.
    """
    text = head.headers.get("X-Auth-Token")
    if text is None:
        return None
    caller = tokens.caller(text)
    if caller is None:
        raise Unauthenticated
    return caller


def identify_by_keystone(head: Head, *, system_scope: bool = False) -> Caller | None:
    """Return the caller whose token keystonemiddleware has checked, or None (identity `keystone`).

    With `system_scope`, a system-scoped token gives the rights of its roles.
    """
    headers = head.headers
    if "keystone.token_auth" not in head.environ or headers.get("X-Identity-Status") != "Confirmed":
        return None
    roles = (role.strip().lower() for role in headers.get("X-Roles", "").split(","))
    # Images belong to projects, so a domain's administrator is not an administrator of images.
    of_system = bool(headers.get("OpenStack-System-Scope"))
    return Caller(
        headers.get("X-User-Id"),
        headers.get("X-Project-Id"),
        frozenset(filter(None, roles)),
        outside=bool(headers.get("X-Domain-Id")) or (of_system and not system_scope),
        expires=keystone.expiry(head.environ),
        origin=Origin(token_id=keystone.audit_id(head.environ)),
    )


def confirm_by_keystone(head: Head, *, system_scope: bool = False) -> Caller | None:
    """Return the caller after checking the token with Keystone again (identity `keystone`).

    The middleware's cache is bypassed.

    Raises:
        Unauthenticated: the token was revoked, or has expired.
        IdentityUnavailable: Keystone does not answer in time, or refuses to answer.
    """
    caller = identify_by_keystone(head, system_scope=system_scope)
    if caller is None:
        return None
    try:
        roles = keystone.current_roles(head.environ)
    except keystone.Unanswered as error:
        raise IdentityUnavailable from error
    if roles is None:
        raise Unauthenticated
    return replace(caller, roles=roles)


class SecurityPolicy:
    """Pyramid's security policy: checks callers against the ACLs of the resource tree.

    `identify` returns the caller of a request. `confirm` returns it again for a request that has taken longer
    than `confirm_after` seconds so far.
    """

    def __init__(self, identify: Identify, confirm: Identify, *, allow_anonymous: bool, confirm_after: float):
        self._identify = identify
        self._confirm = confirm
        self._allow_anonymous = allow_anonymous
        self._confirm_after = confirm_after
        self._acl = ACLHelper()

    def identity(self, request: Asking) -> Caller:
        """Return the caller of the request.

        Raises:
            Unauthenticated: there is no valid token, and anonymous callers are not allowed.
        """
        request.identified_at = time.monotonic()
        caller = self._identify(request)
        share_out = request.environ.get("calotype_server.set_caller")
        if caller is not None and share_out is not None:
            share_out(f"{caller.user} of {caller.project}")
        return self._known(request, caller)

    def confirm(self, request: Asking) -> Caller:
        """Return the request's caller. Identify it again if `confirm_after` seconds have passed.

        Raises:
            Unauthenticated: the token was revoked meanwhile, or has expired.
        """
        if time.monotonic() - request.identified_at >= self._confirm_after:
            request.caller = self._known(request, self._confirm(request))
            request.identified_at = time.monotonic()
        return request.caller

    def _known(self, request: Asking, caller: Caller | None) -> Caller:
        if caller is None and not self._allow_anonymous:
            raise Unauthenticated
        known = NOBODY if caller is None else caller
        address = request.environ.get("REMOTE_ADDR")
        return replace(known, origin=replace(known.origin, address=address, request_id=request.id))

    def authenticated_userid(self, request: Asking) -> str | None:
        """Return the caller's user, or None if the identity method has no users."""
        return request.caller.user

    def permits(self, request: Asking, context: object, permission: str) -> Allowed | Denied:
        """Return whether the context's ACL grants the permission to one of the caller's principals."""
        return self._acl.permits(context, request.caller.principals, permission)

    def remember(self, request: Asking, userid: str, **kw: object) -> list[tuple[str, str]]:
        """Return no headers, because every request brings its own token."""
        return []

    def forget(self, request: Asking, **kw: object) -> list[tuple[str, str]]:
        """Return no headers, because nothing is remembered."""
        return []


def make_security(settings: Settings) -> SecurityPolicy:
    """Return the policy that the settings select."""
    identify: Identify = identify_sole
    confirm: Identify = identify_sole
    if settings.identity == "tokens":
        identify = confirm = partial(identify_by_token, tokens=TokenFile(settings.tokens_path()))
    elif settings.identity == "keystone":
        identify = partial(identify_by_keystone, system_scope=settings.system_scope)
        confirm = partial(confirm_by_keystone, system_scope=settings.system_scope)
    return SecurityPolicy(
        identify,
        confirm,
        allow_anonymous=settings.allow_anonymous,
        confirm_after=settings.confirm_after,
    )
