"""Sources that an import accepts however they answer, and the reasons for refusing the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.functional.v2.test_tasks import task
from tests.support.server import meta
from tests.support.v2 import Person
from tests.support.web import Web, raw

BYTES = b"bytes of a mirror" * 1000
FORMATS = {"disk_format": "raw", "container_format": "bare"}


def by_import(person: Person, url: str) -> str:
    """Have the URL imported into a new image, and return its id."""
    image_id = person.make()
    document = {"method": {"name": "web-download", "uri": url}}
    answer = person.send("POST", f"/images/{image_id}/import", document)
    assert answer.status == 202, answer.text
    return image_id


def by_task(person: Person, url: str) -> str:
    """Have an image made by a task."""
    answer = person.send("POST", "/tasks", task(url))
    assert answer.status == 201, answer.text
    return answer.json["image_id"]


def by_copy_from(person: Person, url: str) -> str:
    """Have an image made by v1's copy-from."""
    headers = {"x-glance-api-copy-from": url, **meta(name="copied", **FORMATS)}
    answer = person.ask("POST", "/v1/images", headers=headers)
    assert answer.status == 201, answer.text
    return answer.json["image"]["id"]


COPIES = (by_import, by_task, by_copy_from)


def mirrored(web: Web) -> list[str]:
    """A URL that redirects each request to another mirror, with an ETag and a date of its own."""
    length = f"Content-Length: {len(BYTES)}\n"
    mirrors = [
        web.answer(
            raw(f'HTTP/1.1 200 OK\n{length}ETag: "{name}"\nLast-Modified: {date} 2026 10:00:00 GMT\n', BYTES)
        )
        for name, date in (("one", "Tue, 01 Sep"), ("two", "Wed, 02 Sep"), ("three", "Thu, 03 Sep"))
    ]
    turns = itertools.cycle(mirrors)
    return [web.answer(lambda handler: raw(f"HTTP/1.1 302 Found\nLocation: {next(turns)}\n", b"")(handler))]


def of_any_framing(web: Web) -> list[str]:
    """URLs of sources that say in different ways, or do not say, where their bytes end."""
    length = f"Content-Length: {len(BYTES)}\n"
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BYTES), BYTES)
    return [
        web.answer(raw("HTTP/1.1 200 OK\n", BYTES)),
        web.answer(raw("HTTP/1.0 200 OK\n", BYTES)),
        web.answer(raw(f"HTTP/1.0 200 OK\n{length}", BYTES)),
        web.answer(raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n", chunked)),
        web.answer(raw(f"HTTP/1.1 200 OK\nContent-Encoding:\n{length}", BYTES)),
    ]


def of_any_length(web: Web) -> list[str]:
    """Long URLs."""
    url = web.place(BYTES) + "?"
    return [url.ljust(length, "a") for length in (1001, 2049, 8000)]


@pytest.mark.parametrize("sources", [mirrored, of_any_framing, of_any_length])
def test_an_import_succeeds_however_its_source_ends_the_body_and_however_long_the_url_is(
    adm: Person, web: Web, sources: Callable[[Web], list[str]]
) -> None:
    """r1-B2, r1-B3, r1-B5: such imports failed, for example with "the location is too long"."""
    images = {copy(adm, url): url for url in sources(web) for copy in COPIES}
    for image_id, url in images.items():
        image = adm.done(image_id)
        assert (image["status"], image["size"]) == ("active", len(BYTES)), (url, image)
        assert adm.get(f"/images/{image_id}/file").body == BYTES


@pytest.mark.parametrize("copy", COPIES)
def test_a_url_longer_than_the_limit_is_refused_with_the_limit(
    adm: Person, copy: Callable[[Person, str], str]
) -> None:
    """r1-B3"""
    with pytest.raises(AssertionError, match="has 8001 characters, and an import takes up to 8000"):
        copy(adm, "http://a.example/".ljust(8001, "a"))


def test_an_import_into_an_active_image_is_a_conflict_whatever_its_url(adm: Person) -> None:
    document = {"method": {"name": "web-download", "uri": "http://a.example/".ljust(8001, "a")}}
    assert adm.send("POST", f"/images/{adm.active()}/import", document).status == 409


def reasons(web: Web) -> dict[str, str]:
    """URLs that cannot be imported, and what must be said of each."""
    at = "store 'web': the source at 127.0.0.1 "
    return {
        f"http://127.0.0.1:{web.closed}/x?token=canary": at + "refuses the connection",
        f"http://127.0.0.1:{web.port}/x?token=canary": at + "answers 404 Not Found",
        f"https://127.0.0.1:{web.port}/x?token=canary": at + "has a TLS error (",
        web.answer(raw("HTTP/1.1 403 No\nContent-Length: 6\n", b"canary")): at + "answers 403 Forbidden",
        web.answer(raw("HTTP/1.1 503 No\nContent-Length: 6\n", b"canary")): at
        + "answers 503 Service Unavailable",
        web.answer(raw("HTTP/1.1 200 OK\nContent-Length: 60\n", b"canary")): at
        + "closes the connection before the end",
        web.answer(raw("HTTP/1.1 302 Found\nLocation: http://127.0.0.1:1/canary\n", b"")): at
        + "is refused by the filter of this service: port 1 is not in the option ports",
        web.answer(raw("HTTP/1.1 302 Found\nLocation: http://127.0.0.2/canary\n", b"")): (
            "store 'web': the source at 127.0.0.2 is refused by the filter of this service: its address"
        ),
        "http://nowhere.invalid/canary": "store 'web': the source at nowhere.invalid ",
    }


def test_the_task_and_the_image_of_a_failed_import_have_its_reason(adm: Person, web: Web) -> None:
    """r1-E11: refused connections and unknown hosts used to have the same message."""
    copies = itertools.cycle(COPIES)
    images = {next(copies)(adm, url): said for url, said in reasons(web).items()}
    for image_id, said in images.items():
        image = adm.done(image_id)
        assert image["status"] in ("queued", "killed")
        (found,) = adm.tasks(image_id)
        assert (found["status"], found["message"].startswith(said)) == ("failure", True), found["message"]
        assert "canary" not in str(found)
        reason = adm.server.query("SELECT status_reason FROM images WHERE id = ?", image_id)[0][0]
        assert reason == found["message"]


FILTER = "is refused by the filter of this service: "
REFUSED = {
    "http://mirror.example:8080/a": f"the source at mirror.example {FILTER}port 8080 is not in the option",
    "http://10.0.0.1/a.img": f"the source at 10.0.0.1 {FILTER}its address is not public, and neither",
    "http://u:p@mirror.example/a.img": f"the source {FILTER}its URL must be http or https with a plain host",
    "ftp://mirror.example/a.img": "External sources are not supported: no store takes ftp locations",
}


@pytest.mark.parametrize(("url", "said"), REFUSED.items())
def test_a_forbidden_source_is_refused_at_once_with_its_host_and_the_reason_in_every_dialect(
    adm: Person, url: str, said: str
) -> None:
    """r1-G9, r1-E11: the message for a forbidden port was "External sources are not supported"."""
    document = {"method": {"name": "web-download", "uri": url}}
    headers = {"x-image-meta-location": url, **meta(**FORMATS)}
    for answer in (
        adm.send("POST", f"/images/{adm.make()}/import", document),
        adm.send("POST", "/tasks", task(url)),
        adm.ask("POST", "/v1/images", headers={"x-glance-api-copy-from": url, **meta(**FORMATS)}),
        adm.ask("POST", "/v1/images", headers=headers),
    ):
        assert (answer.status, said in answer.text) == (400, True), answer.text
    answer = adm.server.post("/images", {"X-Auth-Token": adm.token, **headers})
    assert (answer.status, said in answer.text) == (400, True), answer.text


def test_a_location_that_cannot_be_read_is_refused_at_once_with_the_reason(adm: Person, web: Web) -> None:
    """r1-E11, r1-B3: registering a location reads the source within the request."""

    def refused(url: str) -> tuple[int, str]:
        headers = {"X-Auth-Token": adm.token, "x-image-meta-location": url, **meta(**FORMATS)}
        answer = adm.server.post("/images", headers)
        return answer.status, answer.text

    at = "store 'web': the source at 127.0.0.1 "
    assert refused(f"http://127.0.0.1:{web.closed}/x") == (503, at + "refuses the connection")
    assert refused(f"http://127.0.0.1:{web.port}/x") == (404, at + "answers 404 Not Found")
    status, text = refused(web.answer(raw("HTTP/1.1 200 OK\n", BYTES)))
    assert (status, "they can only be imported (copied)" in text) == (400, True)
    status, text = refused(web.place(BYTES).ljust(1001, "?"))
    assert (status, "import the image, so that its bytes are copied" in text) == (400, True)
