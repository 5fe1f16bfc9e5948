"""The security policy: when it identifies a caller, and when it does so again."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from calotype.identity.security import NOBODY, SecurityPolicy, Unauthenticated
from calotype.model.policy import Caller

FIRST, SECOND = Caller("u", "p", frozenset({"member"})), Caller("u", "p", frozenset({"reader"}))


def make_policy(
    answers: Iterator[Caller | None], *, after: float, allow_anonymous: bool = False
) -> SecurityPolicy:
    return SecurityPolicy(
        lambda request: FIRST,
        lambda request: next(answers),
        allow_anonymous=allow_anonymous,
        confirm_after=after,
    )


def a_request(policy: SecurityPolicy) -> SimpleNamespace:
    request = SimpleNamespace(environ={}, id="req-1")
    request.caller = policy.identity(request)
    return request


def test_the_caller_of_a_slow_request_is_identified_again() -> None:
    """r1-C2: the request has the rights that the token gives at the second check."""
    policy = make_policy(iter([SECOND]), after=0)
    request = a_request(policy)
    assert policy.confirm(request) == SECOND
    assert request.caller == SECOND


def test_the_caller_of_a_quick_request_is_identified_once() -> None:
    """r1-C2: most requests take milliseconds, and need no second check."""
    policy = make_policy(iter([]), after=5)
    request = a_request(policy)
    assert policy.confirm(request) == FIRST


def test_a_confirmed_caller_is_not_identified_again_until_the_time_has_passed_once_more() -> None:
    """r1-C2: the time begins again with each confirmation."""
    policy = make_policy(iter([SECOND]), after=0.05)
    request = a_request(policy)
    request.identified_at -= 1
    assert [policy.confirm(request), policy.confirm(request)] == [SECOND, SECOND]


@pytest.mark.parametrize("allow_anonymous", [False, True])
def test_a_caller_whose_token_is_no_longer_valid_is_treated_like_one_without_a_token(
    allow_anonymous: bool,
) -> None:
    """r1-C2: the setting decides if such a caller is anonymous or refused."""
    policy = make_policy(iter([None]), after=0, allow_anonymous=allow_anonymous)
    request = a_request(policy)
    if allow_anonymous:
        assert policy.confirm(request) == NOBODY
    else:
        with pytest.raises(Unauthenticated):
            policy.confirm(request)
