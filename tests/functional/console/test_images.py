"""The pages of images: lists, one image, and its forms."""

from __future__ import annotations

import html.parser
import re
import uuid
from urllib.parse import quote

import pytest

from tests.functional.console.conftest import Browser, House
from tests.support.waiting import wait_for

#: Texts that run a script where a page forgets to escape them.
PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}</textarea><svg onload=alert(1)>",
)


class Elements(html.parser.HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_harmless(page: str) -> None:
    """Check that a page has no script of its own, no handler, and no link that is a script."""
    for tag, attributes in Elements(page).found:
        assert tag not in ("svg", "iframe"), tag
        assert tag != "script" or (attributes["src"] or "").startswith("/console/assets/")
        assert not any(name.startswith("on") or name == "style" for name in attributes), attributes
        assert not (attributes.get("href") or "").lower().startswith("javascript:")


def names(page: str) -> list[str]:
    """Return the names of the images in the list."""
    return re.findall(r'<th scope="row"><a href="/console/images/[^"]*">([^<]*)</a>', page)


def seen(page: str) -> str:
    return re.search(r'name="seen" value="([^"]*)"', page)[1]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_co_07_texts_of_images_run_nowhere(person: Browser, admin: Browser, payload: str) -> None:
    """CO-07: names, tags, properties, projects, and the pages of operators that show them."""
    image = person.reserve(payload, visibility="shared")
    page = person.get(f"/console/images/{image}").text
    edited = {"seen": seen(page), "tags": payload.replace(" ", ""), "properties": f"p = {payload}"}
    assert person.send(f"/console/images/{image}/edit", **edited).status == 303
    assert person.send(f"/console/images/{image}/share", project=payload).status == 303

    for browser in (person, admin):
        for path in (
            f"/console/images/{image}",
            "/console/images",
            f"/console/images?q={quote(payload[:4])}",
        ):
            assert_harmless(browser.get(path).text)
    for path in ("audit", "failures", "usage", "transfers", "pending"):
        assert_harmless(admin.get(f"/console/operations/{path}").text)


def test_the_list_is_filtered_and_sorted(house: House) -> None:
    person = house.browser("lister", "lists")
    for name, body in (("b-small", b"1"), ("b-large", b"1" * 3000), ("a-middle", b"1" * 500)):
        person.upload(name, body)
    person.reserve("b-queued")

    assert names(person.get("/console/images").text) == ["b-queued", "a-middle", "b-large", "b-small"]
    assert names(person.get("/console/images?q=b-&sort=name").text) == ["b-large", "b-queued", "b-small"]
    assert names(person.get("/console/images?sort=largest&status=active").text)[0] == "b-large"
    assert names(person.get("/console/images?status=queued").text) == ["b-queued"]
    assert "No image matches." in person.get("/console/images?tag=none").text
    for query in ("status=bogus", "q=%00", "q=%ff", "limit=many", "marker=none"):
        assert person.get(f"/console/images?{query}").status == 400, query


def test_a_long_list_has_pages(house: House) -> None:
    person = house.browser("pager", "pages")
    for number in range(5):
        person.reserve(f"image-{number}")

    first = person.get("/console/images?sort=name&limit=3").text
    link = re.search(r'<a href="([^"]*)" rel="next">', first)[1].replace("&amp;", "&")
    second = person.get(link).text

    assert names(first) + names(second) == [f"image-{number}" for number in range(5)]
    assert 'rel="next"' not in second
    assert "First page" in second


def test_an_image_is_edited(person: Browser) -> None:
    image = person.upload("before")
    path = f"/console/images/{image}"
    form = {
        "seen": seen(person.get(path).text),
        "name": "after",
        "visibility": "shared",
        "min_disk": "3",
        "min_ram": "",
        "flags": "1",
        "protected": "on",
        "tags": "one two, three",
        "properties": "os_distro = debian\n\na=b = c\n",
    }

    assert person.send(f"{path}/edit", **form).status == 303

    document = person.server.get(f"/v2/images/{image}", {"X-Auth-Token": person.token}).json
    expected = {"name": "after", "visibility": "shared", "min_disk": 3, "protected": True, "a": "b = c"}
    assert {name: document[name] for name in expected} == expected
    assert (sorted(document["tags"]), document["os_distro"]) == (["one", "three", "two"], "debian")


def test_an_edit_of_an_image_that_somebody_has_changed_is_refused(person: Browser) -> None:
    image = person.upload("shared-edit")
    stale = seen(person.get(f"/console/images/{image}").text)
    assert person.send(f"/console/images/{image}/edit", seen=stale, name="first").status == 303

    answer = person.send(f"/console/images/{image}/edit", seen=stale, name="second")

    assert answer.status == 409
    assert "Somebody has changed the image" in answer.text
    assert names(person.get("/console/images?q=first").text) == ["first"]


@pytest.mark.parametrize(
    "form",
    [{"properties": "no sign"}, {"min_disk": "many"}, {"visibility": "bogus"}, {"name": "x" * 300}],
    ids=lambda form: next(iter(form)),
)
def test_a_form_with_a_mistake_gets_a_sentence_and_changes_nothing(
    person: Browser, form: dict[str, str]
) -> None:
    image = person.reserve("careful")
    before = person.get(f"/console/images/{image}").text

    answer = person.send(f"/console/images/{image}/edit", seen=seen(before), **form)

    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert seen(person.get(f"/console/images/{image}").text) == seen(before)


def test_an_image_is_shared_and_accepted_and_unshared(house: House, person: Browser) -> None:
    friend = house.browser("carol", "friends")
    image = person.reserve("offered", visibility="shared")
    path = f"/console/images/{image}"
    assert friend.get(path).status == 404

    person.send(f"{path}/share", project="friends")
    assert "The answer so far: pending" in friend.get(path).text
    assert friend.send(f"{path}/answer", answer="accept", project="friends").status == 303
    assert "<td>friends</td><td>accepted</td>" in person.get(path).text
    assert person.send(f"{path}/unshare", project="friends").status == 303
    assert friend.get(path).status == 404


def test_an_image_is_deleted_and_restored_by_an_administrator(person: Browser, admin: Browser) -> None:
    image = person.upload("comes-back")
    path = f"/console/images/{image}"

    assert person.send(f"{path}/delete").status == 303
    assert person.get(path).status == 404
    assert "deleted" in admin.get(path).text
    assert admin.send(f"{path}/undelete").status == 303
    assert "comes-back" in person.get(path).text


def test_an_image_is_deactivated_and_reactivated(person: Browser) -> None:
    image = person.upload("paused")
    path = f"/console/images/{image}"

    person.send(f"{path}/deactivate")
    assert "Reactivate" in person.get(path).text
    person.send(f"{path}/deactivate")
    assert "Deactivate" in person.get(path).text


def test_other_peoples_images_are_not_found(house: House, person: Browser) -> None:
    """Also by every form, and just as an id that does not exist."""
    image, stranger = person.reserve("private", visibility="private"), house.browser("eve", "elsewhere")

    for name in ("", "/edit", "/delete", "/share", "/unshare", "/answer", "/deactivate", "/undelete"):
        for one in (image, str(uuid.uuid4())):
            path = f"/console/images/{one}{name}"
            answer = stranger.send(path, name="taken") if name else stranger.get(path)
            assert answer.status == 404, path


def test_a_failed_import_shows_its_reason(admin: Browser) -> None:
    form = {"name": "from-afar", "disk_format": "raw", "container_format": "bare", "from": "url"}
    answer = admin.send("/console/images/new", uri="http://127.0.0.1:1/none.raw", **form)

    if answer.status == 303:  # the job has begun, and fails by itself
        path = answer.headers["Location"]
        wait_for(lambda: "failure" in admin.get(path[path.index("/console") :]).text, seconds=30)
    else:
        assert answer.status in (400, 403)
        assert 'role="alert"' in answer.text


def test_an_import_without_a_url_is_refused(admin: Browser) -> None:
    assert admin.send("/console/images/new", **{"name": "x", "from": "url", "uri": ""}).status == 400


def test_only_administrators_see_who_did_what(person: Browser, admin: Browser) -> None:
    image = person.upload("history")

    assert "History" not in person.get(f"/console/images/{image}").text
    assert "History" in admin.get(f"/console/images/{image}").text


def test_thousands_of_tags_and_members_are_cut(person: Browser) -> None:
    image = person.reserve("crowded", visibility="shared", tags=" ".join(f"tag{n}" for n in range(100)))
    for number in range(60):
        person.send(f"/console/images/{image}/share", project=f"project-{number:02}")

    page = person.get(f"/console/images/{image}")

    assert "and 10 more" in page.text
    assert len(page.body) < 100 << 10
    assert "+97" in person.get("/console/images?q=crowded").text


@pytest.mark.parametrize("name", ["console.css", "live.js", "upload.js", "tus.min.js", "icon.svg"])
def test_files_are_kept_by_browsers_until_they_change(person: Browser, name: str) -> None:
    page = person.get(
        "/console/images/new" if name in ("upload.js", "tus.min.js") else "/console/images"
    ).text
    path = re.search(rf'"(/console/assets/{re.escape(name)}\?v=[0-9a-f]+)"', page)[1]

    assert "immutable" in person.server.get(path).headers["Cache-Control"]
    assert person.server.get(path.partition("?")[0]).headers["Cache-Control"] == "no-cache"
    assert person.server.get("/console/assets/other").status == 404
