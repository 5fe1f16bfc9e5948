"""Digests of RFC 9530 in resumable uploads: of one request's bytes, and of the whole image."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.functional.uploads.test_draft import image_of, shown
from tests.support.server import Server
from tests.support.uploads import HALVES, WHOLE, DraftClient, TusClient

FIRST, SECOND = HALVES
HALF, SIZE = len(FIRST), len(WHOLE)


def digest(data: bytes, algorithm: str = "sha-256") -> str:
    found = hashlib.new(algorithm.replace("-", ""), data).digest()
    return f"{algorithm}=:{base64.b64encode(found).decode()}:"


@pytest.fixture(scope="module")
def tus(server: Server) -> TusClient:
    return TusClient(server)


@pytest.fixture(scope="module")
def draft(server: Server) -> DraftClient:
    return DraftClient(server)


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_bytes_of_the_draft_with_another_digest_are_discarded(draft: DraftClient, algorithm: str) -> None:
    file = draft.reserve()
    refused = draft.put(file, FIRST, "?0", Content_Digest=digest(SECOND, algorithm))
    assert (refused.status, refused.headers["Upload-Complete"]) == (400, "?0")
    path = draft.path(refused)
    assert draft.head(path).headers["Upload-Offset"] == "0"

    assert draft.patch(path, 0, FIRST, "?0", Content_Digest=digest(FIRST, algorithm)).status == 204
    assert draft.patch(path, HALF, SECOND, "?1", Content_Digest=digest(FIRST, algorithm)).status == 400
    assert draft.head(path).headers["Upload-Offset"] == f"{HALF}"
    assert draft.patch(path, HALF, SECOND, "?1", Content_Digest=digest(SECOND, algorithm)).status == 204
    assert shown(draft, image_of(file))["status"] == "active"


def test_bytes_of_tus_with_another_digest_are_discarded(tus: TusClient) -> None:
    path = tus.begin(SIZE)
    assert tus.patch(path, 0, FIRST, Content_Digest=digest(SECOND)).status == 460
    assert tus.offset(path) == 0
    checksum = f"sha256 {digest(SECOND)[9:-1]}"
    contradiction = tus.patch(path, 0, FIRST, Content_Digest=digest(FIRST), Upload_Checksum=checksum)
    assert (contradiction.status, "than Upload-Checksum" in contradiction.text) == (400, True)
    assert tus.patch(path, 0, WHOLE, Content_Digest=digest(WHOLE)).status == 204


def test_an_image_with_another_digest_than_the_whole_is_refused(draft: DraftClient) -> None:
    file = draft.reserve()
    begun = draft.put(file, FIRST, "?0", Repr_Digest=digest(FIRST), Content_Digest=digest(FIRST))
    assert begun.status == 201, begun.text
    last = draft.patch(draft.path(begun), HALF, SECOND)
    assert (last.status, last.headers["Upload-Complete"]) == (400, "?1")
    assert "checksum" in last.text
    assert shown(draft, image_of(file))["status"] == "queued"
    assert draft.head(draft.path(begun)).status == 410

    again = draft.put(file, FIRST, "?0", Repr_Digest=digest(WHOLE))
    assert draft.patch(draft.path(again), HALF, SECOND).status == 204


def test_tus_checks_the_digest_of_the_whole_too(tus: TusClient) -> None:
    path = tus.begin(SIZE, {"Repr-Digest": digest(FIRST)})
    assert tus.patch(path, 0, WHOLE).status == 400
    assert tus.show(path)["status"] == "killed"
    path = tus.begin(SIZE, {"Repr-Digest": digest(WHOLE)})
    assert tus.patch(path, 0, WHOLE).status == 204


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Digest": "sha-256=abc"},
        {"Repr-Digest": "sha-256=:YQ==:"},
        {"Repr-Digest": digest(WHOLE, "sha-512")},
    ],
)
def test_a_digest_that_cannot_be_checked_is_refused_before_the_upload_begins(
    draft: DraftClient, tus: TusClient, headers: dict[str, str]
) -> None:
    file = draft.reserve()
    named = {name.replace("-", "_"): value for name, value in headers.items()}
    assert draft.put(file, WHOLE, "?1", **named).status == 400
    assert draft.put(file, WHOLE, "?1").status == 204
    if "Repr-Digest" in headers:
        assert tus.create({"Upload-Length": "4", **headers}).status == 400
