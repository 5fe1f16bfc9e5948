"""Signatures of deliveries, as the Standard Webhooks specification 1.0 defines them.

A receiver verifies them with any library for that specification. The timestamp is signed, so that a receiver
can refuse a delivery that an attacker repeats later.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"


def signing_key(secret: str) -> bytes:
    """Return the key that a secret stands for: decoded if it is `whsec_` and base64, else the text itself.

    Raises:
        ValueError: the text after `whsec_` is not base64.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"must be base64 after {_PREFIX}") from None


def signed_headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that identify and sign a delivery; `timestamp` is in seconds of the Unix time."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
