"""Concatenation of tus 1.0: parts that arrive in parallel become one image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.uploads.test_tus import assert_stored
from tests.support.server import Server
from tests.support.uploads import HALVES, WHOLE, DraftClient, TusClient

FIRST, SECOND = HALVES
HALF, SIZE = len(FIRST), len(WHOLE)
PARTIAL = {"Upload-Concat": "partial"}


@pytest.fixture(scope="module")
def tus(server: Server) -> TusClient:
    return TusClient(server)


def part(tus: TusClient, data: bytes) -> str:
    """Upload a part, and return its path."""
    answer = tus.ask("POST", "/uploads", {**PARTIAL, "Upload-Length": f"{len(data)}"})
    assert answer.status == 201, answer.text
    path = tus.path(answer)
    assert tus.patch(path, 0, data).status == 204
    return path


def test_parts_that_arrive_at_the_same_time_become_one_image(tus: TusClient) -> None:
    with ThreadPoolExecutor() as pool:
        parts = list(pool.map(lambda data: part(tus, data), HALVES))
    urls = f"final;{tus.server.base}{parts[0]} {parts[1]}"
    answer = tus.create({"Upload-Concat": urls}, name="of two")
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, f"{SIZE}")
    path = tus.path(answer)
    assert_stored(tus, path)
    head = tus.ask("HEAD", path)
    assert (head.headers["Upload-Concat"], head.headers["Upload-Length"]) == (urls, f"{SIZE}")
    assert tus.show(path)["name"] == "of two"


def test_a_part_is_no_image(tus: TusClient) -> None:
    before = tus.server.query("SELECT count(*) FROM images")
    path = part(tus, FIRST)
    head = tus.ask("HEAD", path)
    assert (head.headers["Upload-Concat"], head.headers["Upload-Offset"]) == ("partial", f"{HALF}")
    assert tus.server.query("SELECT count(*) FROM images") == before


def test_no_bytes_can_be_added_to_the_result(tus: TusClient) -> None:
    path = tus.path(tus.create({"Upload-Concat": f"final;{part(tus, FIRST)}"}))
    assert tus.patch(path, HALF, SECOND).status == 403
    assert_stored(tus, path, FIRST)


def test_a_part_can_be_terminated(tus: TusClient) -> None:
    path = part(tus, FIRST)
    assert tus.ask("DELETE", path).status == 204
    assert tus.create({"Upload-Concat": f"final;{path}"}).status == 410


@pytest.mark.parametrize(
    ("status", "sentence", "headers"),
    [
        (409, "is not a complete partial upload", {}),
        (400, "neither a body nor Upload-Length", {"Upload-Length": f"{HALF}"}),
        (400, "each of them once", {"twice": "yes"}),
    ],
)
def test_an_invalid_concatenation_is_refused_and_makes_no_image(
    tus: TusClient, status: int, sentence: str, headers: dict[str, str]
) -> None:
    answer = tus.ask("POST", "/uploads", {**PARTIAL, "Upload-Length": f"{SIZE}"})
    incomplete, complete = tus.path(answer), part(tus, FIRST)
    second = incomplete if not headers else complete if "twice" in headers else part(tus, SECOND)
    before = tus.server.query("SELECT count(*) FROM images")
    refused = tus.create({"Upload-Concat": f"final;{complete} {second}", **headers})
    assert (refused.status, sentence in refused.text) == (status, True), refused.text
    assert tus.server.query("SELECT count(*) FROM images") == before
    assert tus.create({"Upload-Concat": f"final;{complete}"}).status == 201


def test_a_part_cannot_be_completed_by_the_draft(tus: TusClient) -> None:
    """H3: its bytes and its length stay as they are."""
    answer = tus.ask("POST", "/uploads", {**PARTIAL, "Upload-Defer-Length": "1"})
    path = tus.path(answer)
    refused = DraftClient(tus.server).patch(path, 0, FIRST)
    assert (refused.status, refused.headers["Upload-Complete"]) == (409, None)
    head = tus.ask("HEAD", path)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Defer-Length"]) == ("0", "1")


def test_the_session_of_an_image_is_no_part(tus: TusClient) -> None:
    path = tus.begin(HALF)
    assert tus.create({"Upload-Concat": f"final;{path}"}).status == 409
    assert tus.patch(path, 0, FIRST).status == 204
