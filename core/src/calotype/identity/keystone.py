"""What keystonemiddleware's filter leaves in the WSGI environment, and asking Keystone once more by it.

The filter knows a token from its cache for `token_cache_time`, so only Keystone itself can say that it
was revoked. It is asked by the session and the service credentials that the filter has, over which
it lays its own settings (certificates, proxies): see docs/decisions/0014-confirming-keystone-tokens.md.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

#: Seconds in which Keystone must accept a connection, and begin to answer.
_TIMEOUT = 5
#: Where Keystone is, as its own catalog says.
_IDENTITY = {
    "service_type": "identity",
    "interface": ["internal", "admin", "public"],
    "version": (3, 0),
}


class Unanswered(Exception):
    """Keystone did not say whether a token still counts."""


def expiry(environ: Mapping[str, Any]) -> datetime.datetime | None:
    """Return when the user's token ends; None where a service speaks for the user, and it may have ended."""
    user = getattr(environ["keystone.token_auth"], "user", None)
    return None if user is None or _by_service(environ) else user.expires


def audit_id(environ: Mapping[str, Any]) -> str | None:
    """Return Keystone's own name for the user's token, which lets nobody in; None where it is not told."""
    user = getattr(environ["keystone.token_auth"], "user", None)
    return getattr(user, "audit_id", None)


def current_roles(environ: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the roles that the user's token gives now, in lower case; None: it was revoked, or has expired.

    Raises:
        Unanswered: Keystone is away, or does not let us ask.
    """
    asking = environ["keystone.token_auth"]
    try:
        # keystonemiddleware has no public way to ask past its cache. A test on a real Keystone holds it to
        # these names.
        answer = asking._session.get(
            "/auth/tokens?allow_expired=1" if _by_service(environ) else "/auth/tokens",
            auth=asking._auth,
            headers={"X-Subject-Token": environ["HTTP_X_AUTH_TOKEN"].strip()},
            endpoint_filter=_IDENTITY,
            timeout=_TIMEOUT,
            raise_exc=False,
            log=False,
        )
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise Unanswered(f"Keystone answered {answer.status_code} about a token.")
        return frozenset(role["name"].lower() for role in answer.json()["token"].get("roles", ()))
    except Unanswered:
        raise
    except Exception as error:  # an error of keystoneauth1, which the core does not import, or no document
        raise Unanswered(f"Keystone could not be asked about a token: {type(error).__name__}.") from error


def _by_service(environ: Mapping[str, Any]) -> bool:
    return environ.get("HTTP_X_SERVICE_IDENTITY_STATUS") == "Confirmed"
