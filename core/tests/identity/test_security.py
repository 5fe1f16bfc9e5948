"""Who is asking, and when that is asked again."""

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


def test_a_caller_is_asked_about_again_when_the_request_was_long_in_coming() -> None:
    """r1-C2: and what the token gives then is what counts from then on."""
    policy = make_policy(iter([SECOND]), after=0)
    request = a_request(policy)
    assert policy.confirm(request) == SECOND
    assert request.caller == SECOND


def test_a_caller_is_not_asked_about_again_when_the_request_was_quick() -> None:
    """r1-C2: most requests take milliseconds, and are to cost no more than they did."""
    policy = make_policy(iter([]), after=5)
    request = a_request(policy)
    assert policy.confirm(request) == FIRST


def test_the_seconds_begin_anew_when_a_caller_was_confirmed() -> None:
    """r1-C2: one answer is good for as many seconds again."""
    policy = make_policy(iter([SECOND]), after=0.05)
    request = a_request(policy)
    request.identified_at -= 1
    assert [policy.confirm(request), policy.confirm(request)] == [SECOND, SECOND]


@pytest.mark.parametrize("allow_anonymous", [False, True])
def test_a_caller_who_is_nobody_any_more_is_treated_as_nobody(allow_anonymous: bool) -> None:
    """r1-C2: as at the head, where there was no token."""
    policy = make_policy(iter([None]), after=0, allow_anonymous=allow_anonymous)
    request = a_request(policy)
    if allow_anonymous:
        assert policy.confirm(request) == NOBODY
    else:
        with pytest.raises(Unauthenticated):
            policy.confirm(request)
