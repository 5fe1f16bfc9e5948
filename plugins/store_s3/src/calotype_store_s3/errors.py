"""The map from botocore's errors to the contract's errors.

Reasons reach clients, so they name no host, key, bucket or credential. They name the option that is
probably wrong. botocore's own error is chained, for the log.
"""

from __future__ import annotations

import re
from typing import Any

from botocore import exceptions as aws

from calotype.stores import BlobNotFound, Misconfigured, StoreError, StoreFull, TooLarge, Unavailable
from calotype.stores.toolkit import retry_after

NO_BUCKET = "its bucket does not exist (set bucket, or create = true)"
REFUSES = "it refuses our credentials"
WRONG_REGION = "the bucket belongs to another region or endpoint (set region, or endpoint_url)"
CLOCK = "the clocks differ too much (set this machine's clock by NTP)"
CHECKSUM = "it refuses this form of checksum (set checksums = when_required)"

#: Reasons for error codes of the server, by code. These errors remain until an operator changes something.
MISCONFIGURED = {
    "NoSuchBucket": NO_BUCKET,
    "InvalidBucketName": "it refuses the bucket's name (set bucket)",
    "InvalidAccessKeyId": f"{REFUSES}: the access key is unknown (set access_key and secret_key)",
    "SignatureDoesNotMatch": f"{REFUSES}: the signature is wrong (set secret_key; check region and proxies)",
    "AccessDenied": f"{REFUSES}: they lack the right to do this",
    "AuthorizationHeaderMalformed": WRONG_REGION,
    "PermanentRedirect": WRONG_REGION,
    "IllegalLocationConstraintException": WRONG_REGION,
    "InvalidLocationConstraint": WRONG_REGION,
    "InvalidRegion": WRONG_REGION,
}
#: Reasons for error codes of errors that are temporary, or concern one request.
UNAVAILABLE = {
    "ExpiredToken": f"{REFUSES}: they have expired",
    "InvalidToken": f"{REFUSES}: the session token is wrong",
    "RequestTimeTooSkewed": CLOCK,
    "RequestExpired": CLOCK,
    "TemporaryRedirect": WRONG_REGION,
    "MissingContentLength": CHECKSUM,
    "XAmzContentSHA256Mismatch": "the bytes changed on their way to it",
    "BadDigest": "the bytes changed on their way to it",
    "InvalidDigest": CHECKSUM,
    "NotImplemented": f"it does not implement a feature that this request uses; perhaps {CHECKSUM}",
    "KMS.NotFoundException": "its encryption key does not exist (set kms_key_id)",
    "KMS.DisabledException": "its encryption key is switched off",
    "InvalidStorageClass": "it does not know the storage class (set storage_class)",
    "MethodNotAllowed": "it does not allow this; perhaps the endpoint is not S3 (set endpoint_url)",
}
FULL = {
    "QuotaExceeded": "it is over its quota",
    "XMinioStorageFull": "it is full",
    "InsufficientStorage": "it is full",
}
LARGE = "the image, or one of its parts, is larger than it allows"
SLOW = {"SlowDown", "ServiceUnavailable", "TooManyRequests", "RequestLimitExceeded", "Throttling"}
MISSING = {"NoSuchKey", "NoSuchVersion"}


def code_of(error: BaseException | None) -> str:
    """Return the server's error code; "" if the error did not come from the server.

    The answer to a HEAD has no body, so its code is the status. A StoreError has the code of its cause.
    """
    if isinstance(error, StoreError):
        error = error.__cause__
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, aws.ClientError) else ""


def lost_answers(outcome: BaseException | dict[str, Any] | None) -> bool:
    """Return whether the answer to an earlier try may be lost, though the server did the operation."""
    if isinstance(outcome, StoreError):
        outcome = outcome.__cause__
    if isinstance(outcome, aws.ClientError):
        outcome = outcome.response
    if not isinstance(outcome, dict):
        return True
    metadata = outcome.get("ResponseMetadata", {})
    return metadata.get("RetryAttempts", 0) > 0 or metadata.get("HTTPStatusCode", 500) >= 500


def explain(store: str, error: Exception, *, virtual: bool = False) -> StoreError:
    """Return the contract's error for an error of botocore.

    `virtual` is true if the bucket is in the host name.
    """
    if isinstance(error, aws.ClientError):
        return _refusal(store, error)
    if isinstance(error, (aws.NoCredentialsError, aws.PartialCredentialsError)):
        return Misconfigured(store, "no credentials were found (set access_key and secret_key)")
    if isinstance(error, (aws.CredentialRetrievalError, aws.TokenRetrievalError)):
        return Unavailable(store, "AWS's default credential chain failed (set access_key and secret_key)")
    if isinstance(error, aws.SSLError):
        return Unavailable(store, _tls_reason(str(error), virtual))
    if isinstance(error, aws.ProxyConnectionError):
        return Unavailable(store, "the proxy cannot be reached (set proxy)")
    if isinstance(error, aws.EndpointConnectionError):
        hint = "set addressing = path, or endpoint_url" if virtual else "set endpoint_url"
        return Unavailable(store, f"it cannot be connected to ({hint})")
    if isinstance(error, aws.ConnectTimeoutError):
        return Unavailable(store, "it could not be connected to in time")
    if isinstance(error, aws.ReadTimeoutError):
        return Unavailable(store, "it did not answer in time")
    if isinstance(error, aws.NoRegionError):
        return Misconfigured(store, "its region is not known (set region)")
    if isinstance(error, aws.ParamValidationError):
        return Misconfigured(store, "S3 does not accept the value of an option")
    if isinstance(error, aws.HTTPClientError):
        return Unavailable(store, "the connection broke")
    return Unavailable(store, f"the request failed with {type(error).__name__}")


def _refusal(store: str, error: aws.ClientError) -> StoreError:
    metadata = error.response.get("ResponseMetadata", {})
    status, code = metadata.get("HTTPStatusCode", 0), code_of(error)
    if code in SLOW or status in (429, 503):
        return Unavailable(
            store, "it asks us to slow down", retry_after(metadata.get("HTTPHeaders", {}).get("retry-after"))
        )
    if code in FULL or status == 507:
        return StoreFull(store, FULL.get(code, "it is full"))
    if code == "EntityTooLarge" or status == 413:
        return TooLarge(store, LARGE)
    if code in MISCONFIGURED:
        return Misconfigured(store, MISCONFIGURED[code])
    if code in UNAVAILABLE:
        return Unavailable(store, UNAVAILABLE[code])
    if code in MISSING or (status == 404 and code == "404"):
        return BlobNotFound(store, "nothing is stored there")
    if status in (401, 403):
        return Misconfigured(store, f"{REFUSES} (set access_key and secret_key; check region and clock)")
    if status == 411:
        return Unavailable(store, CHECKSUM)
    if 300 <= status < 400:
        return Unavailable(store, WRONG_REGION)
    shown = code if re.fullmatch(r"[A-Za-z0-9.]{1,64}", code) else "an error"
    if status >= 500:
        return Unavailable(store, f"it failed with {shown}")
    return StoreError(store, f"it refuses the request with {shown}")


def _tls_reason(text: str, virtual: bool) -> str:
    if "mismatch" in text or "doesn't match" in text:
        hint = "set addressing = path, or endpoint_url" if virtual else "set endpoint_url"
        return f"its TLS certificate is for another name ({hint})"
    if "WRONG_VERSION_NUMBER" in text or "wrong version number" in text:
        return "it does not speak TLS (set endpoint_url to http://)"
    if "certificate verify failed" in text:
        return "its TLS certificate is not signed by a known CA (set ca_bundle)"
    return "TLS failed (set endpoint_url, or ca_bundle)"
