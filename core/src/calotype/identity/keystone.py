"""Read the entries of keystonemiddleware in the WSGI environment, and check a token with Keystone again.

The middleware caches tokens for `token_cache_time`, so it may not know yet that a token was revoked. Requests
to Keystone use the middleware's own session and service credentials, because these have the operator's
settings (certificates, proxies): see docs/decisions/0014-confirming-keystone-tokens.md.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

#: Timeout in seconds for a connection to Keystone, and for the beginning of its response.
_TIMEOUT = 5
#: The entry of Keystone's service catalog that holds its own endpoint.
_IDENTITY = {
    "service_type": "identity",
    "interface": ["internal", "admin", "public"],
    "version": (3, 0),
}


class Unanswered(Exception):
    """Keystone did not report whether a token is still valid."""


def expiry(environ: Mapping[str, Any]) -> datetime.datetime | None:
    """Return the time at which the user's token expires.

    Return None if a service sends the request for the user, because the user's token may then have expired.
    """
    user = getattr(environ["keystone.token_auth"], "user", None)
    return None if user is None or _by_service(environ) else user.expires


def audit_id(environ: Mapping[str, Any]) -> str | None:
    """Return Keystone's audit id of the user's token, which is not a credential, or None if there is none."""
    user = getattr(environ["keystone.token_auth"], "user", None)
    return getattr(user, "audit_id", None)


def current_roles(environ: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the current roles of the user's token in lower case, or None if it was revoked or has expired.

    Raises:
        Unanswered: Keystone is unreachable, or refuses the service's request.
    """
    asking = environ["keystone.token_auth"]
    try:
        # keystonemiddleware has no public way to bypass its cache. A test on a real Keystone checks these
        # private names.
        answer = asking._session.get(
            "/auth/tokens?allow_expired=1" if _by_service(environ) else "/auth/tokens",
            auth=asking._auth,
            headers={"X-Subject-Token": environ["HTTP_X_AUTH_TOKEN"].strip()},
            endpoint_filter=_IDENTITY,
            timeout=_TIMEOUT,
            raise_exc=False,
            log=False,
        )
        if answer.status_code == 200:
            return frozenset(role["name"].lower() for role in answer.json()["token"].get("roles", ()))
    except Exception as error:  # errors of keystoneauth1, which is not imported here, or bad JSON
        raise Unanswered(f"Keystone could not be asked about a token: {type(error).__name__}.") from error
    if answer.status_code == 404:
        return None
    raise Unanswered(f"Keystone answered {answer.status_code} about a token.")


def _by_service(environ: Mapping[str, Any]) -> bool:
    return environ.get("HTTP_X_SERVICE_IDENTITY_STATUS") == "Confirmed"
