"""Sign in and out, and the rule that only the console's own pages use a browser's session."""

from __future__ import annotations

import json

import pytest

from tests.functional.console.conftest import FORM, Browser, House
from tests.support.server import Server


def test_a_page_without_a_session_leads_to_the_sign_in_and_back(house: House) -> None:
    answer = house.server.get("/console/images?q=debian")

    assert answer.status == 303
    assert answer.headers["Location"].endswith("/console/sign-in?next=%2Fconsole%2Fimages%3Fq%3Ddebian")
    assert 'value="/console/images?q=debian"' in house.server.get(answer.headers["Location"][-54:]).text


def test_co_01_the_session_is_a_cookie_that_scripts_and_other_sites_cannot_use(house: House) -> None:
    """CO-01"""
    token = house.tokens.add("eve", "lab", ("member",))
    answer = Browser(house.server, token).sign_in()

    assert answer.status == 303
    assert {"HttpOnly", "SameSite=Strict"} <= set(answer.headers["Set-Cookie"].split("; "))


def test_a_session_ends_with_its_token(house: House) -> None:
    browser = house.browser("gone", "lab")
    assert browser.get("/console/images").status == 200

    house.tokens.revoke(browser.token.partition(".")[0])

    assert browser.get("/console/images").status == 303


def test_signing_out_removes_the_cookie(house: House) -> None:
    answer = house.browser("leaving", "lab").send("/console/sign-out")

    assert answer.headers["Location"].endswith("/console/sign-in")
    assert "calotype_console=;" in answer.headers["Set-Cookie"]
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "leads_to",
    ["https://elsewhere.example/", "//elsewhere.example", "/v2/images", "/console/\r\nSet-Cookie: a=b"],
)
def test_co_02_the_sign_in_leads_to_no_other_site(house: House, leads_to: str) -> None:
    """CO-02"""
    browser = Browser(house.server, house.tokens.add("next", "lab", ("member",)))

    answer = browser.send("/console/sign-in", token=browser.token, next=leads_to)

    assert answer.headers["Location"].endswith("/console/images")


def test_co_03_attempts_to_sign_in_are_slowed_down(start_server, tmp_path) -> None:
    """CO-03"""
    server: Server = start_server(
        {"calotype.identity": "tokens", "calotype.tokens_file": f"{tmp_path}/t.json"}
    )
    browser = Browser(server, "wrong")

    answers = [browser.sign_in() for _ in range(6)]

    assert [answer.status for answer in answers] == [403] * 5 + [429]
    assert "unknown or has expired" in answers[0].text
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 61


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
    ],
    ids=str,
)
def test_co_04_a_form_of_another_site_is_refused(person: Browser, headers: dict[str, str]) -> None:
    """CO-04"""
    image = person.reserve("kept")
    forged = Browser(person.server, person.token, headers, person.cookie)

    assert forged.send(f"/console/images/{image}/delete").status == 403
    assert person.get(f"/console/images/{image}").status == 200


def test_co_04_a_form_of_another_site_is_refused_without_identity(server: Server) -> None:
    """CO-04: nobody signs in there, and every caller has all rights."""
    headers = {"Sec-Fetch-Site": "cross-site", **FORM}

    assert server.post("/console/images/new", headers, b"name=forged").status == 403
    assert server.get("/v2/images?name=forged").json["images"] == []


def test_an_older_browser_proves_its_page_by_the_origin(person: Browser) -> None:
    older = Browser(person.server, person.token, {"Origin": person.server.base}, person.cookie)

    assert older.send("/console/images/new", name="older").status == 303


def test_co_05_the_session_counts_only_for_what_the_pages_need(person: Browser) -> None:
    """CO-05: no other request of a browser has the rights of the session."""
    image, ours = person.upload("narrow"), {"Sec-Fetch-Site": "same-origin", "Cookie": person.cookie}

    assert person.server.get(f"/v2/images/{image}/file", ours).body == b"bytes"
    assert person.server.get(f"/v2/images/{image}", ours).status == 401
    assert person.server.request("DELETE", f"/v2/images/{image}", ours).status == 401
    assert (
        person.server.get(f"/v2/images/{image}/file", {**ours, "Sec-Fetch-Site": "cross-site"}).status == 401
    )


def test_an_upload_of_a_page_needs_no_other_token(person: Browser) -> None:
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": "disk_format cmF3"}
    ours = {**tus, "Sec-Fetch-Site": "same-origin", "Cookie": person.cookie}

    assert person.server.post("/uploads", ours).status == 201
    assert person.server.post("/uploads", {**ours, "Sec-Fetch-Site": "cross-site"}).status == 401


def test_a_token_in_the_request_wins_over_the_session(person: Browser, admin: Browser) -> None:
    page = person.get("/console/images", **{"X-Auth-Token": admin.token})

    assert "ada · atelier · administrator" in page.text


@pytest.mark.parametrize("path", ["/console/images", "/console/sign-in", "/console/images/none"])
def test_co_06_each_page_allows_only_files_of_this_service(person: Browser, path: str) -> None:
    """CO-06"""
    headers = person.get(path).headers

    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert rules.pop("default-src") == "'none'"
    assert {rules.pop("frame-ancestors"), rules.pop("base-uri")} == {"'none'"}
    assert set(rules.values()) == {"'self'"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_a_form_of_another_type_is_refused(person: Browser) -> None:
    headers = {"Content-Type": "application/json", "Cookie": person.cookie, **person.own}

    answer = person.server.post("/console/images/new", headers, json.dumps({"name": "x"}).encode())

    assert answer.status == 415
