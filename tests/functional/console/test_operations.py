"""The pages for operators."""

from __future__ import annotations

import pytest

from tests.functional.console.conftest import Browser

PAGES = ("", "/transfers", "/failures", "/usage", "/unused", "/pending", "/audit")


@pytest.mark.parametrize("page", PAGES)
def test_only_administrators_see_a_page_for_operators(admin: Browser, person: Browser, page: str) -> None:
    assert admin.get(f"/console/operations{page}").status == 200
    assert person.get(f"/console/operations{page}").status == 403
    assert "/console/operations" not in person.get("/console/images").text


def test_the_overview_has_stores_and_processes(admin: Browser) -> None:
    page = admin.get("/console/operations").text

    assert '<th scope="row">file <small>default</small></th>' in page
    assert "no key store.s3.* is set" in page
    assert ">alive<" in page


def test_a_failed_upload_is_listed_with_its_reason(admin: Browser, person: Browser) -> None:
    headers = {"X-Auth-Token": person.token, "Content-Type": "application/octet-stream"}
    form = {"x-image-meta-disk_format": "qcow2", "x-image-meta-container_format": "bare"}
    assert person.server.post("/images", {**headers, **form}, b"raw bytes" * 1000).status == 415

    assert "declared as qcow2" in admin.get("/console/operations/failures").text


def test_usage_pending_and_audit_show_what_people_do(admin: Browser, person: Browser) -> None:
    image = person.upload("counted", b"1" * 2048)
    person.send(f"/console/images/{image}/delete")

    assert '<th scope="row">lab</th>' in admin.get("/console/operations/usage").text
    assert "pending delete" in admin.get("/console/operations/pending").text
    assert "bob · lab" in admin.get("/console/operations/audit").text


@pytest.mark.parametrize("page", ["transfers", "failures", "pending", "unused"])
def test_a_link_that_is_not_of_the_page_gets_a_sentence(admin: Browser, page: str) -> None:
    answer = admin.get(f"/console/operations/{page}?after=nonsense")

    assert answer.status == 400
    assert "begin with the first one" in answer.text
