"""The commands that answer an operator's questions, beside a server that has done something."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.test_progress import SlowUpload
from tests.support.forked import run_manage
from tests.support.server import Server, meta, write_ini
from tests.support.uploads import TusClient
from tests.support.waiting import wait_for

LONG_AGO = "2020-01-01 00:00:00.000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("overviews")
    running = Server(
        folder,
        write_ini(folder, {"calotype.delete_grace": "1h", "calotype.project_images": "500"}),
    )
    yield running
    running.stop()


def ask(server: Server, *words: str, status: int = 0) -> list[dict[str, Any]]:
    """Return the JSON objects that a command prints."""
    command, *options = words
    done = run_manage([command, server.ini, *server.variables, *options], {})
    assert done.returncode == status, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_transfers_shows_who_uploads_how_fast_and_where(server: Server) -> None:
    image_id = server.reserve(name="ubuntu")["id"]
    tus = TusClient(server)
    session = tus.create({"Upload-Length": "10"})
    assert session.status == 201
    upload = SlowUpload(server, f"/images/{image_id}", 4)
    upload.go_on.release(2)
    (process,) = ask(server, "processes")
    assert process["alive"] is True

    shown = wait_for(
        lambda: {one["kind"]: one for one in ask(server, "transfers")},
        lambda kinds: bool(kinds["upload"]["moved"]),
    )
    running, waiting = shown["upload"], shown["session"]
    assert (running["image_id"], running["image_name"], running["store"]) == (image_id, "ubuntu", "file")
    assert (running["project"], running["moved"], running["total"]) == ("default", 2 << 20, 4 << 20)
    assert running["rate"] > 0
    assert (running["host"], running["pid"]) == (process["host"], process["pid"])
    assert session.headers["Location"].endswith(waiting["id"])
    assert (waiting["moved"], waiting["total"], waiting["moved_at"], waiting["pid"]) == (0, 10, None, None)

    (pending,) = ask(server, "pending")
    assert (pending["kind"], pending["id"]) == ("upload session", waiting["id"])
    assert next(one["sessions"] for one in ask(server, "usage") if one["project"] == "default") == 1
    upload.finish()
    assert tus.ask("DELETE", f"/uploads/{waiting['id']}").status == 204
    assert ask(server, "transfers") == []


def test_failures_shows_failed_uploads_findings_and_webhooks_newest_first(server: Server) -> None:
    refused = server.post("/images", {**meta(size="2"), "Content-Type": "application/octet-stream"}, b"x")
    assert refused.status == 400
    at = "2999-01-0{} 00:00:00.000000"
    row = ("f1", "missing", "file", "KEY", "it is not there", "open", at.format(1), at.format(1))
    server.execute(
        "INSERT INTO findings (id, kind, store, subject, detail, state, found_at, seen_at) "
        f"VALUES ({', '.join('?' * len(row))})",
        *row,
    )
    server.execute(
        "INSERT INTO webhooks (name, failed_at, last_error) VALUES ('hook', ?, '500')", at.format(2)
    )

    webhook, finding, upload = ask(server, "failures", "--limit", "3")
    assert (webhook["kind"], webhook["id"], webhook["reason"]) == ("webhook", "hook", "500")
    assert (finding["kind"], finding["what"], finding["store"]) == ("finding", "missing", "file")
    assert (upload["kind"], upload["what"], upload["project"]) == ("change", "upload", "default")
    assert upload["reason"].startswith("Supplied size (2)")


def test_pending_shows_deleted_bytes_until_the_grace_period_ends(server: Server) -> None:
    image_id = server.upload(b"12345")["id"]
    used = next(one for one in ask(server, "usage") if one["project"] == "default")
    assert (used["max_images"], used["max_bytes"], used["bytes"] >= 5) == (500, None, True)
    assert server.delete(f"/images/{image_id}").status == 200

    (removal,) = [one for one in ask(server, "pending") if one["image_id"] == image_id]
    assert (removal["kind"], removal["store"], removal["size"]) == ("pending delete", "file", 5)
    (deleted,) = server.query("SELECT deleted_at FROM images WHERE id = ?", image_id)
    assert removal["due"].replace("T", " ") > str(deleted[0])


def test_an_image_that_is_read_is_not_unused(server: Server) -> None:
    """The counts are written when the process ends, so the server is started again."""
    never, part, whole = (server.upload(b"12345")["id"] for _ in range(3))
    server.execute("UPDATE images SET created_at = ?, activated_at = ?", LONG_AGO, LONG_AGO)
    assert server.get(f"/images/{part}", {"Range": "bytes=1-2"}).status == 206
    for headers in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=2-"}):
        assert server.get(f"/images/{whole}", headers).status in (200, 206)
    assert server.head(f"/images/{whole}").status == 200
    server.stop()
    server.start()

    counted = dict(server.query("SELECT image_id, downloads FROM image_downloads"))
    assert counted == {part: 0, whole: 2}
    shown = {one["id"]: one for one in ask(server, "unused")}
    assert never in shown
    assert not {part, whole} & set(shown)
    server.execute("UPDATE image_downloads SET day = '2020-02-01' WHERE image_id = ?", whole)
    (again,) = [one for one in ask(server, "unused") if one["id"] == whole]
    assert (again["last_download"], again["size"]) == ("2020-02-01", 5)


def test_stores_shows_how_full_each_store_is(server: Server) -> None:
    (store,) = [one for one in ask(server, "stores", "--json") if one["name"] == "file"]
    (held,) = server.query("SELECT count(*), sum(counted) FROM image_locations WHERE state = 'stored'")
    assert (store["copies"], store["bytes"], store["reachable"], store["default"]) == (*held, True, True)
    assert 0 < store["free"] <= store["capacity"]
    shown = run_manage(["stores", server.ini, *server.variables], {}).stdout
    assert f"  holds           {held[0]} copies of images" in shown
    assert "  room            capacity " in shown


def test_a_page_ends_at_the_limit_and_says_so(server: Server) -> None:
    for _ in range(2):
        server.upload(str(uuid.uuid4()).encode())
    server.execute("UPDATE images SET created_at = ?, activated_at = ?", LONG_AGO, LONG_AGO)
    done = run_manage(["unused", server.ini, *server.variables, "--limit", "1"], {})
    assert len(done.stdout.splitlines()) == 1
    assert "calotype-manage: there are more: raise --limit to see them" in done.stderr
