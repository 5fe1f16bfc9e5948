"""Asking Keystone about a token again: each of its answers, and no answer."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from pyramid.request import Request

from calotype.identity.security import (
    IdentityUnavailable,
    Unauthenticated,
    confirm_by_keystone,
    identify_by_keystone,
)

AT = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


class Session:
    """A session like keystonemiddleware's, with a prepared answer."""

    def __init__(self, status: int = 200, document: Any = None, error: Exception | None = None):
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._answer = SimpleNamespace(status_code=status, json=lambda: document)
        self._error = error

    def get(self, url: str, **given: Any) -> SimpleNamespace:
        self.asked.append((url, given))
        if self._error is not None:
            raise self._error
        return self._answer


def a_request(session: Session, **headers: str) -> Request:
    """Return a request as the filter passes it on."""
    request = Request.blank(
        "/", headers={"X-Auth-Token": " token ", "X-Identity-Status": "Confirmed", **headers}
    )
    request.headers.update({"X-User-Id": "u", "X-Project-Id": "p", "X-Roles": "Member,reader"})
    auth = SimpleNamespace(user=SimpleNamespace(expires=AT), _session=session, _auth="service")
    request.environ["keystone.token_auth"] = auth
    return request


def test_a_valid_token_gives_its_current_roles() -> None:
    """r1-C2: the service asks with its own credentials and a short timeout."""
    session = Session(document={"token": {"roles": [{"name": "Reader"}]}})
    caller = confirm_by_keystone(a_request(session))
    assert caller is not None
    assert (caller.user, caller.project, caller.roles, caller.expires) == ("u", "p", {"reader"}, AT)
    ((url, given),) = session.asked
    assert (url, given["auth"], given["headers"]) == ("/auth/tokens", "service", {"X-Subject-Token": "token"})
    assert given["timeout"] <= 5


def test_a_token_that_keystone_no_longer_accepts_is_unauthenticated() -> None:
    """r1-C2: the token was revoked, or has expired."""
    with pytest.raises(Unauthenticated):
        confirm_by_keystone(a_request(Session(status=404)))


@pytest.mark.parametrize(
    "session",
    [
        Session(status=401),
        Session(status=503),
        Session(error=OSError("unreachable")),
        Session(document={}),
        Session(document=None),
        Session(document={"token": {"roles": 5}}),
    ],
    ids=["refused", "away", "unreachable", "empty", "none", "odd"],
)
def test_if_keystone_does_not_answer_identity_is_unavailable(session: Session) -> None:
    """r1-C2: the request changes nothing and gets 503."""
    with pytest.raises(IdentityUnavailable):
        confirm_by_keystone(a_request(session))


def test_if_the_filter_has_no_session_identity_is_unavailable() -> None:
    """r1-C2: another version of keystonemiddleware may lack these private names."""
    request = a_request(Session())
    del request.environ["keystone.token_auth"]._session
    with pytest.raises(IdentityUnavailable):
        confirm_by_keystone(request)


def test_a_service_may_send_requests_for_a_user_whose_token_has_expired() -> None:
    """The filter accepts such a request because of the service's own token."""
    session = Session(document={"token": {"roles": []}})
    request = a_request(session, **{"X-Service-Identity-Status": "Confirmed"})
    caller = identify_by_keystone(request)
    assert caller is not None
    assert caller.expires is None
    confirm_by_keystone(request)
    assert session.asked[0][0] == "/auth/tokens?allow_expired=1"


def test_without_a_token_keystone_is_not_asked() -> None:
    """An anonymous caller stays anonymous."""
    assert confirm_by_keystone(Request.blank("/")) is None


@pytest.mark.parametrize("header", ["X-Domain-Id", "OpenStack-System-Scope"])
@pytest.mark.parametrize("allowed", [False, True])
def test_r1_g4_a_role_on_the_system_or_a_domain_gives_no_right(header: str, allowed: bool) -> None:
    """r1-G4: except a role on the system if `calotype.system_scope` is set."""
    request = a_request(Session(document={"token": {"roles": [{"name": "admin"}]}}), **{header: "all"})
    request.headers["X-Roles"] = "admin"
    del request.headers["X-Project-Id"]
    for find in (identify_by_keystone, confirm_by_keystone):
        caller = find(request, system_scope=allowed)
        assert caller is not None
        rights = allowed and header != "X-Domain-Id"
        assert (caller.is_admin, bool(caller.principals), caller.project) == (rights, rights, None)
