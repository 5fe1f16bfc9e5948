"""The console in a real browser: the keyboard, uploads that are cut, and no serious finding of axe."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.servers.fixtures import Settings
from tests.support.callers import Tokens
from tests.support.pages import DOCS
from tests.support.server import Server, write_ini

SIZE = 24 << 20
#: Bytes per second that the browser may send, so that an upload lasts long enough to be cut.
RATE = 8 << 20
#: A name of this machine to which browsers do not give what they give to localhost.
PLAIN = "console.test"
PAGES = (
    "images",
    "images/new",
    "images/ID",
    "operations",
    *(f"operations/{one}" for one in ("usage", "audit")),
)


class House:
    """A server with a few images, and a browser."""

    def __init__(self, server: Server, token: str, browser: Browser):
        self.server, self.token, self.browser = server, token, browser

    @contextlib.contextmanager
    def signed_in(
        self, scheme: str = "light", *, scripts: bool = True, host: str = "127.0.0.1"
    ) -> Iterator[Page]:
        """Open a page for the block. No script may fail, and nothing break the policy of the page."""
        context = self.browser.new_context(
            viewport={"width": 1200, "height": 760}, color_scheme=scheme, java_script_enabled=scripts
        )
        page, problems = context.new_page(), []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda told: problems.append(told.text) if "Policy" in told.text else None)
        page.goto(f"http://{host}:{self.server.port}/console")
        page.get_by_label("Token").fill(self.token)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/console/images")
        yield page
        context.close()
        assert problems == []

    def upload(self, name: str, body: bytes, **fields: str) -> str:
        """Upload an image through the API, and return its id."""
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/octet-stream"}
        fields = {"x-image-meta-name": name, "x-image-meta-type": "raw", **fields}
        return str(self.server.post("/images", {**headers, **fields}, body).image["id"])

    def document(self, name: str) -> dict[str, object]:
        """Return the image with this name."""
        found = self.server.get(f"/v2/images?name={name}", {"X-Auth-Token": self.token}).json["images"]
        assert len(found) == 1
        return dict(found[0])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, chromium: Settings) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("console")
    tokens = Tokens(folder)
    server = Server(folder, write_ini(folder, tokens.settings))
    with sync_playwright() as playwright:
        args = ["--no-sandbox", f"--host-resolver-rules=MAP {PLAIN} 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=chromium["CHROMIUM"], args=args)
        opened = House(server, tokens.add("ada", "atelier", ("admin",)), browser)
        for number in range(1, 4):
            opened.upload(f"debian-12-build-{number}", os.urandom(number << 20))
        yield opened
        browser.close()
    server.stop()


def begin_upload(page: Page, house: House, path: Path) -> None:
    """Choose a file on the page for a new image, and begin."""
    page.goto(f"{house.server.base}/console/images/new")
    page.set_input_files("#file", path)
    page.get_by_role("button", name="Upload").click()
    wait_for_bytes(page, 1)


def wait_for_bytes(page: Page, least: int, seconds: float = 60) -> None:
    """Wait until the bar shows at least `least` bytes, without Playwright's wait, which the policy stops."""
    for _ in range(int(seconds * 10)):
        if page.locator("#bar").evaluate("bar => bar.value") >= least:
            return
        page.wait_for_timeout(100)
    raise AssertionError(page.locator("main").inner_text())


def slow_down(page: Page) -> None:
    """Limit what the browser sends, as a slower line does."""
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": RATE}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", limits)


def content(path: Path, size: int) -> str:
    """Fill the file with `size` random bytes, and return their SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, 1 << 20):
            block = os.urandom(min(1 << 20, size - start))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def test_an_upload_that_is_paused_and_cut_becomes_the_image(house: House, tmp_path: Path) -> None:
    wanted = content(tmp_path / "cut.raw", SIZE)
    with house.signed_in() as page:
        slow_down(page)
        begin_upload(page, house, tmp_path / "cut.raw")
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Continue").click()
        wait_for_bytes(page, 2000000)
        page.context.set_offline(True)
        page.wait_for_timeout(500)
        page.context.set_offline(False)
        page.wait_for_url("**/console/images/*-*", timeout=120_000)
        assert "active" in page.locator("dl").inner_text()

    document = house.document("cut")
    assert (document["status"], document["size"], document["os_hash_value"]) == ("active", SIZE, wanted)


def test_an_upload_goes_on_after_the_page_was_closed(house: House, tmp_path: Path) -> None:
    wanted = content(tmp_path / "closed.raw", SIZE)
    with house.signed_in() as page:
        slow_down(page)
        begin_upload(page, house, tmp_path / "closed.raw")
        wait_for_bytes(page, 2000000)
        page.goto(f"{house.server.base}/console/images")
        page.goto(f"{house.server.base}/console/images/new")
        page.set_input_files("#file", tmp_path / "closed.raw")
        page.get_by_role("button", name="Upload").click()
        page.wait_for_url("**/console/images/*-*", timeout=120_000)

    assert house.document("closed")["os_hash_value"] == wanted


def test_a_file_is_uploaded_over_plain_http(house: House, tmp_path: Path) -> None:
    """Without TLS, browsers withhold `crypto.randomUUID` and `Sec-Fetch-Site` from every other host."""
    path = tmp_path / "plain.raw"
    wanted = content(path, 1 << 20)
    with house.signed_in(host=PLAIN) as page:
        page.get_by_role("link", name="New image").click()
        page.set_input_files("#file", path)
        page.get_by_role("button", name="Upload").click()
        page.wait_for_url(re.compile(r"/console/images/[0-9a-f-]{36}$"))

    assert house.document("plain")["os_hash_value"] == wanted


def test_a_page_changes_when_the_service_reports_an_event(house: House) -> None:
    with house.signed_in() as page:
        house.upload("arrives-by-itself", b"bytes")
        page.get_by_role("link", name="arrives-by-itself").wait_for(timeout=20_000)


def test_everything_but_uploads_works_without_scripts_and_by_keyboard(house: House) -> None:
    with house.signed_in(scripts=False) as page:
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        page.get_by_label("Name begins with").fill("debian-12-build-2")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        page.get_by_role("link", name="debian-12-build-2").click()
        page.get_by_text("Edit", exact=True).click()
        page.get_by_label("Tags").fill("by\nkeyboard")
        with page.expect_navigation():
            page.get_by_role("button", name="Save").press("Enter")

    assert sorted(house.document("debian-12-build-2")["tags"]) == ["by", "keyboard"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(house: House, scheme: str) -> None:
    image, found = house.upload("looked-at", b"bytes"), {}
    with house.signed_in(scheme) as page:
        for path in PAGES:
            page.goto(f"{house.server.base}/console/{path.replace('ID', image)}")
            for summary in page.locator("summary").all():
                summary.click()
            for one in Axe().run(page).response["violations"]:
                if one["impact"] in ("serious", "critical"):
                    found[path, one["id"]] = [node["html"][:200] for node in one["nodes"]][:3]
    assert found == {}


@pytest.mark.campaign
def test_5_gib_that_are_cut_three_times_become_the_image(house: House, tmp_path: Path) -> None:
    wanted = content(tmp_path / "large.raw", 5 << 30)
    with house.signed_in() as page:
        begin_upload(page, house, tmp_path / "large.raw")
        for quarter in (1, 2, 3):
            wait_for_bytes(page, quarter * (5 << 28), seconds=600)
            page.context.set_offline(True)
            page.wait_for_timeout(500)
            page.context.set_offline(False)
        page.wait_for_url("**/console/images/*-*", timeout=600_000)

    assert house.document("large")["os_hash_value"] == wanted


@pytest.mark.campaign
def test_the_screenshots_of_the_page_about_the_console(house: House, tmp_path: Path) -> None:
    """Write them anew."""
    folder, image = DOCS / "console", house.document("debian-12-build-3")["id"]
    headers = {"X-Auth-Token": house.token, "Content-Type": "application/octet-stream"}
    formats = {"x-image-meta-disk_format": "qcow2", "x-image-meta-container_format": "bare"}
    refused = {**headers, **formats, "x-image-meta-name": "installer"}
    assert house.server.post("/images", refused, os.urandom(1 << 20)).status == 415
    assert house.server.request("PUT", f"/v2/images/{image}/tags/stable", headers).status == 204
    with house.signed_in() as page:
        for name, path in (("images", "images"), ("image", f"images/{image}"), ("operations", "operations")):
            page.goto(f"{house.server.base}/console/{path}")
            page.screenshot(path=folder / f"{name}.png")
        content(tmp_path / "ubuntu-26.04.raw", SIZE)
        slow_down(page)
        begin_upload(page, house, tmp_path / "ubuntu-26.04.raw")
        wait_for_bytes(page, 5000000)
        page.screenshot(path=folder / "upload.png")
    with house.signed_in("dark") as page:
        page.screenshot(path=folder / "dark.png")
