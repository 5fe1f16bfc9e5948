"""A real browser uploads from a page of another origin, like Horizon, and obeys the CORS headers."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.clients.browser import visit
from tests.servers.fixtures import Settings
from tests.support.callers import Tokens
from tests.support.server import Server, write_ini
from tests.support.web import Web

PAGE = """<!doctype html><title>upload</title><pre id="told"></pre><script>
const [base, token] = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const told = {};
const ask = (method, path, headers, body) =>
    fetch(base + path, {method, body, headers: {"X-Auth-Token": token, ...headers}});
(async () => {
    const made = await ask("POST", "/v2/images", {"Content-Type": "application/json"},
        JSON.stringify({disk_format: "raw", container_format: "bare"}));
    told.location = made.headers.get("Location");
    const id = (await made.json()).id;
    const octets = {"Content-Type": "application/octet-stream"};
    told.put = (await ask("PUT", `/v2/images/${id}/file`, octets, new Blob(["x".repeat(300000)]))).status;
    const part = await ask("GET", `/v2/images/${id}/file`, {"Range": "bytes=0-3"});
    told.range = part.headers.get("Content-Range");
    told.etag = part.headers.get("ETag");
    const classic = await ask("GET", `/images/${id}`, {});
    told.status = classic.headers.get("x-image-meta-status");
    const error = await ask("PUT", `/v2/images/${id}/file`, octets, "again");
    told.error = [error.status, error.headers.get("x-openstack-request-id") !== null];
    told.stranger = (await fetch(base + "/v2/images")).status;
})().catch(error => told.failed = String(error)).finally(
    () => document.getElementById("told").textContent = "told:" + JSON.stringify(told));
</script>
"""


@pytest.mark.campaign
def test_a_page_of_another_origin_uploads_and_reads_headers_if_its_origin_is_named(
    tmp_path: Path, chromium: Settings
) -> None:
    """Issue 15.5: the browser sends the preflights itself, and blocks pages of other origins."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "page.html").write_text(PAGE)
    with Web(folder=site) as web:
        tokens = Tokens(tmp_path)
        token = tokens.add("u", "P", ("member",))
        app = {
            **tokens.settings,
            "calotype.cors_origins": f"http://127.0.0.1:{web.port}",
        }
        server = Server(tmp_path / "server", write_ini(tmp_path, app))
        try:
            asked = quote(json.dumps([server.base, token]))
            told = visit(chromium, tmp_path / "a", f"http://127.0.0.1:{web.port}/page.html#{asked}")
            other = visit(chromium, tmp_path / "b", f"http://localhost:{web.port}/page.html#{asked}")
        finally:
            server.stop()
    location, etag = told.pop("location"), told.pop("etag")
    assert told == {
        "put": 204,
        "range": "bytes 0-3/300000",
        "status": "active",
        "error": [409, True],
        "stranger": 401,
    }
    assert str(location).startswith(f"{server.base}/v2/images/")
    assert etag
    assert other == {"failed": "TypeError: Failed to fetch"}
