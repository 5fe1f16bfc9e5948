"""Who is asking. The answer is a Caller; what a Caller may do stands in `calotype.model.policy`.

Three ways to know, chosen by `calotype.identity`. Whatever a client says of itself in
identity headers counts only when the middleware that checks tokens has gone before,
which it shows by an entry in the WSGI environment that no client can make.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pyramid.authorization import ACLHelper
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.security import Allowed, Denied

from calotype.config.settings import Settings
from calotype.identity import keystone
from calotype.identity.token_file import TokenFile
from calotype.model.audit import Origin
from calotype.model.policy import Caller

#: Identity `none`: everybody is the administrator of the one project there is.
SOLE_CALLER = Caller(user=None, project="default", roles=frozenset({"admin"}))
#: Somebody without any credentials, where those are let in.
NOBODY = Caller(anonymous=True)

#: What a 401 tells a client about how to authenticate.
CHALLENGE = 'X-Auth-Token realm="calotype"'

Identify = Callable[[Request], Caller | None]


class Unauthenticated(Exception):
    """The request has no credentials, or wrong ones."""

    def __init__(self) -> None:
        super().__init__("Authentication is required: the token is missing, unknown or expired.")


class IdentityUnavailable(Exception):
    """Nobody can say at the moment whether a token still counts."""

    def __init__(self) -> None:
        super().__init__("The identity service cannot be asked about the token at the moment: try again.")


def identify_sole(request: Request) -> Caller:
    """Identity `none`: whatever token comes along is passed over."""
    return SOLE_CALLER


def identify_by_tokens(tokens: TokenFile) -> Identify:
    """Identity `tokens`: the file knows; None without a token.

    Raises:
        Unauthenticated: the token is unknown.
    """

    def identify(request: Request) -> Caller | None:
        text = request.headers.get("X-Auth-Token")
        if text is None:
            return None
        caller = tokens.caller(text)
        if caller is None:
            raise Unauthenticated
        return caller

    return identify


def identify_by_keystone(request: Request, *, system_scope: bool = False) -> Caller | None:
    """Identity `keystone`: keystonemiddleware's auth_token in the pipeline has checked the token.

    `system_scope`: what a token for the whole system gives counts as what one for a project gives.
    """
    headers = request.headers
    if "keystone.token_auth" not in request.environ or headers.get("X-Identity-Status") != "Confirmed":
        return None
    roles = (role.strip().lower() for role in headers.get("X-Roles", "").split(","))
    # Images belong to projects. An administrator of one customer's domain must not be one of all images.
    of_system = bool(headers.get("OpenStack-System-Scope"))
    return Caller(
        headers.get("X-User-Id"),
        headers.get("X-Project-Id"),
        frozenset(filter(None, roles)),
        outside=bool(headers.get("X-Domain-Id")) or (of_system and not system_scope),
        expires=keystone.expiry(request.environ),
        origin=Origin(token_id=keystone.audit_id(request.environ)),
    )


def confirm_by_keystone(request: Request, *, system_scope: bool = False) -> Caller | None:
    """Identity `keystone`: ask it again, past the filter's cache.

    Raises:
        Unauthenticated: the token was revoked, or has expired.
        IdentityUnavailable: Keystone does not answer in time, or not about the token.
    """
    caller = identify_by_keystone(request, system_scope=system_scope)
    if caller is None:
        return None
    try:
        roles = keystone.current_roles(request.environ)
    except keystone.Unanswered as error:
        raise IdentityUnavailable from error
    if roles is None:
        raise Unauthenticated
    return replace(caller, roles=roles)


class SecurityPolicy:
    """Pyramid's security policy: callers, held against the ACLs of the resource tree.

    `identify` knows the caller from a request's head, and `confirm` asks once more, when the request took
    longer than `confirm_after` seconds from there on.
    """

    def __init__(self, identify: Identify, confirm: Identify, *, allow_anonymous: bool, confirm_after: float):
        self._identify = identify
        self._confirm = confirm
        self._allow_anonymous = allow_anonymous
        self._confirm_after = confirm_after
        self._acl = ACLHelper()

    def identity(self, request: Request) -> Caller:
        """The Caller behind the request.

        Raises:
            Unauthenticated: nobody is known, and nobody unknown is let in.
        """
        request.identified_at = time.monotonic()
        caller = self._identify(request)
        share_out = request.environ.get("calotype_server.set_caller")
        if caller is not None and share_out is not None:
            share_out(f"{caller.user} of {caller.project}")
        return self._known(request, caller)

    def confirm(self, request: Request) -> Caller:
        """Return the caller, asked for again if the request's head came too long ago.

        Whoever it then is, is the request's caller from now on. Whatever reads a body, or waits for others,
        before it changes something calls this between the two.

        Raises:
            Unauthenticated: the token was revoked meanwhile, or has expired.
        """
        caller: Caller = request.caller
        if time.monotonic() - request.identified_at >= self._confirm_after:
            caller = request.caller = self._known(request, self._confirm(request))
            request.identified_at = time.monotonic()
        return caller

    def _known(self, request: Request, caller: Caller | None) -> Caller:
        if caller is None and not self._allow_anonymous:
            raise Unauthenticated
        known = NOBODY if caller is None else caller
        address = request.environ.get("REMOTE_ADDR")
        return replace(known, origin=replace(known.origin, address=address, request_id=request.id))

    def authenticated_userid(self, request: Request) -> str | None:
        """The caller's user, where there are users."""
        return request.caller.user

    def permits(self, request: Request, context: object, permission: str) -> Allowed | Denied:
        """Whether the context's ACL gives the permission to one of the caller's principals."""
        return self._acl.permits(context, request.caller.principals, permission)

    def remember(self, request: Request, userid: str, **kw: object) -> list[tuple[str, str]]:
        """Nothing is remembered: each request says who it is."""
        return []

    def forget(self, request: Request, **kw: object) -> list[tuple[str, str]]:
        """Nothing to forget."""
        return []


def includeme(config: Configurator) -> None:
    """Install the policy that the settings choose, and `request.caller`, asked for once a request."""
    settings: Settings = config.registry["calotype.settings"]
    identify: Identify = identify_sole
    confirm: Identify = identify_sole
    if settings.identity == "tokens":
        identify = confirm = identify_by_tokens(TokenFile(settings.tokens_path()))
    elif settings.identity == "keystone":
        identify = partial(identify_by_keystone, system_scope=settings.system_scope)
        confirm = partial(confirm_by_keystone, system_scope=settings.system_scope)
    policy = SecurityPolicy(
        identify,
        confirm,
        allow_anonymous=settings.allow_anonymous,
        confirm_after=settings.confirm_after,
    )

    def confirm_caller(request: Request) -> Caller:
        return policy.confirm(request)

    config.set_security_policy(policy)
    config.add_request_method(policy.identity, "caller", reify=True)
    config.add_request_method(confirm_caller)
