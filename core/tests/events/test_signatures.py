"""Signatures of deliveries: the example of the Standard Webhooks specification, and invalid secrets."""

from __future__ import annotations

import pytest

from calotype.config.event_settings import KINDS
from calotype.events.signatures import signed_headers, signing_key
from calotype.events.webhooks import pause_after
from calotype.model.events import EventKind


def test_the_example_of_the_specification_gets_its_signature() -> None:
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    headers = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_that_is_not_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="must be base64"):
        signing_key("whsec_not base64")


def test_a_secret_without_the_prefix_is_the_key_itself() -> None:
    assert signing_key("plain text of 24 characters") == b"plain text of 24 characters"


def test_pauses_grow_up_to_a_limit() -> None:
    assert [pause_after(attempts) for attempts in (0, 1, 2, 9, 10, 1000)] == [1, 2, 4, 512, 600, 600]


def test_a_webhook_can_name_every_kind_of_event() -> None:
    assert tuple(map(str, EventKind)) == KINDS
