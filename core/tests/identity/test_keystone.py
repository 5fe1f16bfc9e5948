"""Asking Keystone once more: what its answers mean, and what is done when there is none."""

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
    """A session as keystonemiddleware has it, that answers what it was made with."""

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
    """A request as it comes out of the filter."""
    request = Request.blank(
        "/", headers={"X-Auth-Token": " token ", "X-Identity-Status": "Confirmed", **headers}
    )
    request.headers.update({"X-User-Id": "u", "X-Project-Id": "p", "X-Roles": "Member,reader"})
    auth = SimpleNamespace(user=SimpleNamespace(expires=AT), _session=session, _auth="service")
    request.environ["keystone.token_auth"] = auth
    return request


def test_a_valid_token_gives_its_current_roles() -> None:
    """r1-C2: and the service's credentials ask, within seconds."""
    session = Session(document={"token": {"roles": [{"name": "Reader"}]}})
    caller = confirm_by_keystone(a_request(session))
    assert caller is not None
    assert (caller.user, caller.project, caller.roles, caller.expires) == ("u", "p", {"reader"}, AT)
    ((url, given),) = session.asked
    assert (url, given["auth"], given["headers"]) == ("/auth/tokens", "service", {"X-Subject-Token": "token"})
    assert given["timeout"] <= 5


def test_a_token_that_keystone_no_longer_accepts_is_unauthenticated() -> None:
    """r1-C2: revoked, or expired."""
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
def test_without_an_answer_of_keystone_identity_is_unavailable(session: Session) -> None:
    """r1-C2: who cannot be known changes nothing, and may try again."""
    with pytest.raises(IdentityUnavailable):
        confirm_by_keystone(a_request(session))


def test_if_the_filter_has_no_session_identity_is_unavailable() -> None:
    """r1-C2: another version of keystonemiddleware, whose inside is another one."""
    request = a_request(Session())
    del request.environ["keystone.token_auth"]._session
    with pytest.raises(IdentityUnavailable):
        confirm_by_keystone(request)


def test_a_service_may_send_requests_for_a_user_whose_token_has_expired() -> None:
    """The filter has let it in because of the service's own token, and so do we."""
    session = Session(document={"token": {"roles": []}})
    request = a_request(session, **{"X-Service-Identity-Status": "Confirmed"})
    caller = identify_by_keystone(request)
    assert caller is not None
    assert caller.expires is None
    confirm_by_keystone(request)
    assert session.asked[0][0] == "/auth/tokens?allow_expired=1"


def test_without_a_token_keystone_is_not_asked() -> None:
    """The anonymous stay what they are."""
    assert confirm_by_keystone(Request.blank("/")) is None


@pytest.mark.parametrize("header", ["X-Domain-Id", "OpenStack-System-Scope"])
@pytest.mark.parametrize("allowed", [False, True])
def test_r1_g4_a_role_on_the_system_or_a_domain_gives_no_right(header: str, allowed: bool) -> None:
    """r1-G4: at the head and when Keystone is asked again; one on the system does where a setting says so."""
    request = a_request(Session(document={"token": {"roles": [{"name": "admin"}]}}), **{header: "all"})
    request.headers["X-Roles"] = "admin"
    del request.headers["X-Project-Id"]
    for find in (identify_by_keystone, confirm_by_keystone):
        caller = find(request, system_scope=allowed)
        assert caller is not None
        rights = allowed and header != "X-Domain-Id"
        assert (caller.is_admin, bool(caller.principals), caller.project) == (rights, rights, None)
