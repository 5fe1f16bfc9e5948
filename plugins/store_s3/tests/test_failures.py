"""Reasons for failures of a store: they name the option, but no hosts, names or secrets."""

from __future__ import annotations

import datetime
import logging
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from calotype.stores import BlobNotFound, Misconfigured, StoreError, StoreFull, TooLarge, Unavailable
from calotype.testing import Fault, FaultProxy, Trickle, pattern
from calotype_store_s3 import S3Store
from calotype_store_s3.errors import explain

CANARY = "canary-6bb1f0c7"
Make = Callable[..., S3Store]
VERBS = {
    "get": lambda store: store.get("s3:k.1"),
    "size": lambda store: store.size("s3:k.1"),
    "add": lambda store: store.add("k.1", Trickle(pattern(100))),
    "add in parts": lambda store: store.add("k.1", Trickle(pattern(6 << 20))),
    "delete": lambda store: store.delete("s3:k.1"),
    "discard": lambda store: store.discard("k.1"),
    "list": lambda store: list(store.blobs()),
    "list attempts": lambda store: list(store.attempts()),
    "check": lambda store: store.check(),
}


def failure(store: S3Store, verb: str = "check") -> StoreError:
    """Return the error that the verb raises, which names the store and nothing confidential."""
    with pytest.raises(StoreError) as caught:
        VERBS[verb](store)
    error = caught.value
    private = ("127.0.0.1", "http", "localhost", "k.1", CANARY, "example")
    assert str(error).startswith("store 's3': ")
    assert [text for text in private if text in error.reason.replace("http://)", "")] == []
    return error


@pytest.mark.parametrize("verb", VERBS)
def test_wrong_keys_are_reported_as_refused(make: Make, verb: str) -> None:
    """r1-E2: this error stops the start if the store is named."""
    for keys in ({"secret_key": CANARY}, {"access_key": "nobody", "secret_key": CANARY}):
        error = failure(make(**keys), verb)

        assert isinstance(error, Misconfigured)
        assert "refuses our credentials" in error.reason


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"add", "add in parts"}))
def test_a_missing_bucket_is_not_a_missing_blob(make: Make, verb: str) -> None:
    """r1-E2: this error stops the start if the store is named."""
    error = failure(make(bucket="no-such-bucket"), verb)

    assert isinstance(error, Misconfigured)
    assert "bucket does not exist" in error.reason


@pytest.mark.parametrize("verb", ["add", "add in parts"])
def test_an_upload_to_a_missing_bucket_names_the_bucket(make: Make, verb: str) -> None:
    assert "bucket does not exist" in failure(make(bucket="no-such-bucket"), verb).reason


@pytest.mark.parametrize("verb", VERBS)
def test_a_refused_connection_is_unavailable(make: Make, verb: str) -> None:
    """r1-E2: the service starts without the store."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        error = failure(make(endpoint_url=url, retries=0), verb)

    assert isinstance(error, Unavailable)
    assert not isinstance(error, Misconfigured)
    assert "cannot be connected to (set endpoint_url)" in error.reason


def test_a_name_that_does_not_resolve_is_unavailable(make: Make) -> None:
    error = failure(make(endpoint_url="http://nowhere.invalid", addressing="virtual", retries=0))

    assert not isinstance(error, Misconfigured)
    assert "cannot be connected to (set addressing = path" in error.reason


def test_an_unknown_ca_is_reported_as_missing(make: Make, swift: Mapping[str, str]) -> None:
    store = make(endpoint_url=swift["S3_TLS_ENDPOINT"], retries=0)

    assert "(set ca_bundle)" in failure(store).reason


def test_certificates_are_not_verified_with_verify_false(make: Make, swift: Mapping[str, str]) -> None:
    store = make(endpoint_url=swift["S3_TLS_ENDPOINT"], verify=False)
    with pytest.warns(Warning, match="Unverified HTTPS"):
        assert store.check() is None


def test_a_certificate_for_another_name_is_reported(
    make: Make, swift: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more: resolve("127.0.0.1", *more))
    port = swift["S3_TLS_ENDPOINT"].rpartition(":")[2]
    options = {"endpoint_url": f"https://s3.example:{port}", "ca_bundle": swift["SWIFT_CACERT"], "retries": 0}

    assert "for another name (set endpoint_url)" in failure(make(**options)).reason
    assert "(set addressing = path" in failure(make(addressing="virtual", **options)).reason


def test_tls_to_a_plain_server_is_reported(make: Make, swift: Mapping[str, str]) -> None:
    url = swift["S3_ENDPOINT"].replace("http://", "https://")

    assert "does not speak TLS" in failure(make(endpoint_url=url, retries=0)).reason


def test_a_wrong_clock_is_reported(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """r1-H11: the store is unavailable until the clock is right, and stops no start."""

    def yesterday(remove_tzinfo: bool = True) -> datetime.datetime:
        now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        return now.replace(tzinfo=None) if remove_tzinfo else now

    monkeypatch.setattr("botocore.auth.get_current_datetime", yesterday)

    error = failure(make())
    assert isinstance(error, Unavailable)
    assert not isinstance(error, Misconfigured)
    assert "clocks differ" in error.reason


def test_a_wrong_region_is_corrected_by_the_response_that_names_the_right_one(make: Make) -> None:
    store = make(region="eu-central-9")
    store.check()

    assert store.add("k.1", Trickle(pattern(100))).size == 100


def test_the_retry_after_of_a_busy_server_is_passed_on(make: Make, proxy: FaultProxy) -> None:
    proxy.inject(Fault(status=503, headers=(("Retry-After", "7"),)), times=None)
    error = failure(make(endpoint_url=proxy.url, retries=0))

    assert isinstance(error, Unavailable)
    assert error.retry_after == 7


def test_a_request_is_repeated_after_a_503(make: Make, proxy: FaultProxy) -> None:
    proxy.inject(Fault(status=503), times=2)

    assert make(endpoint_url=proxy.url).check() is None


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (301, Unavailable, "another region"),
        (400, StoreError, "refuses the request"),
        (403, Misconfigured, "refuses our credentials"),
        (411, Unavailable, "set checksums"),
        (413, TooLarge, "larger than it allows"),
        (500, Unavailable, "failed with 500"),
        (507, StoreFull, "it is full"),
    ],
)
def test_each_status_of_the_s3_server_raises_its_own_error(
    make: Make, proxy: FaultProxy, status: int, kind: type[StoreError], words: str
) -> None:
    proxy.inject(Fault("PUT ", status=status), times=None)
    error = failure(make(endpoint_url=proxy.url, retries=0), "add")

    assert type(error) is kind
    assert words in error.reason


@pytest.mark.parametrize(
    ("code", "kind"),
    [("EntityTooLarge", TooLarge), ("QuotaExceeded", StoreFull), ("XMinioStorageFull", StoreFull)],
)
def test_an_image_that_never_fits_differs_from_one_that_does_not_fit_now(
    code: str, kind: type[StoreError]
) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}

    assert type(explain("s3", ClientError(answer, "PutObject"))) is kind


def test_a_server_that_does_not_answer_is_unavailable(make: Make, proxy: FaultProxy) -> None:
    proxy.inject(Fault(latency=2), times=None)
    error = failure(make(endpoint_url=proxy.url, retries=0, read_timeout=0.3))

    assert "did not answer in time" in error.reason


def test_a_missing_blob_is_reported_as_missing(store: S3Store) -> None:
    for verb in ("get", "size", "delete"):
        assert type(failure(store, verb)) is BlobNotFound


def test_credentials_of_the_environment_are_used(
    make: Make, account: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", str(account["access_key"]))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", str(account["secret_key"]))

    assert make(access_key=None, secret_key=None).check() is None


def test_configured_credentials_are_used_whatever_the_environment_has(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-machines-own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)

    assert make().check() is None


def test_absent_credentials_are_reported_as_missing(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    assert "no credentials were found" in failure(make(access_key=None, secret_key=None)).reason


def test_the_log_contains_neither_keys_nor_signatures(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = make(access_key="CANARYID", secret_key=CANARY)
    for verb in VERBS:
        failure(store, verb)
    store.direct_url("s3:k.1", 60)

    assert "Starting new HTTP connection" in caplog.text  # DEBUG is on
    for secret in (CANARY, "CANARYID", "CanonicalRequest", "Signature"):
        assert secret not in caplog.text
