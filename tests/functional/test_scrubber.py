"""Copies that were damaged or removed at rest are found by scrubs and downloads, and never served."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.forked import run_manage
from tests.support.server import Server

DATA = bytes(range(256)) * 8192
OLD = "2020-01-01 00:00:00.000000"


def two_stores(folder: Path) -> dict[str, str]:
    """Return settings with two file stores, and without automatic scrubbing during a test."""
    return {
        "calotype.stores": "file spare",
        "calotype.metrics": "true",
        "calotype.scrub_rate": "1GiB",
        "store.spare.driver": "file",
        "store.spare.path": str(folder / "spare"),
        "store.spare.create": "true",
    }


@pytest.fixture
def server(start_server: StartServer, tmp_path: Path) -> Server:
    return start_server(two_stores(tmp_path))


@pytest.fixture
def plain(start_server: StartServer) -> Server:
    """Return a server with one file store."""
    return start_server({"calotype.metrics": "true", "calotype.scrub_rate": "1GiB"})


def manage(server: Server, *words: str, of: str | None = None, status: int = 0) -> str:
    """Run `calotype-manage WORDS INI [OF] VARIABLES`, check its exit status and return its output."""
    done = run_manage([*words, server.ini, *([of] if of else []), *server.variables])
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, f"this never was so: {what}"
        time.sleep(0.02)


def age(server: Server) -> None:
    """Make all copies old enough for the scrubber."""
    server.execute("UPDATE image_locations SET created_at = ?", OLD)


def scrub(server: Server, status: int = 0) -> str:
    """Age all copies, and run the scrubber."""
    age(server)
    return manage(server, "scrub", "run", status=status)


def flip(path: Path) -> None:
    """Flip one bit of a file unnoticed by the file system, like a failing disk."""
    with path.open("r+b") as file:
        file.seek(len(DATA) // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def in_both(server: Server, folder: Path, body: bytes = DATA) -> str:
    """Upload an image, and copy it to the second store."""
    image_id = server.upload(body, disk_format="raw", container_format="bare")["id"]
    asked = b'{"method": {"name": "copy-image"}, "stores": ["spare"]}'
    answer = server.post(f"/v2/images/{image_id}/import", {"Content-Type": "application/json"}, asked)
    assert answer.status == 202, answer.text
    until(lambda: spare_files(folder, image_id), "the copy has come")
    until(lambda: "spare" in server.get(f"/v2/images/{image_id}").json["stores"], "the copy is the image's")
    return image_id


def spare_files(folder: Path, image_id: str) -> list[Path]:
    return [path for path in (folder / "spare").rglob(f"{image_id}*") if path.is_file()]


def findings(server: Server) -> list[tuple]:
    return server.query("SELECT kind, store, image_id, state FROM findings ORDER BY found_at")


def errors(server: Server) -> list[str]:
    return [line for line in server.log.splitlines() if " ERROR " in line]


PATHS = ("/images/{}", "/v1/images/{}", "/v2/images/{}/file")


def test_a_damaged_copy_is_found_and_never_served_again(plain: Server) -> None:
    """r1-A6"""
    image_id = plain.upload(DATA)["id"]
    sound = plain.upload(b"sound")["id"]
    flip(*plain.blobs(image_id))

    printed = scrub(plain, status=1)

    assert "2 checked, 1 bad, 1 in quarantine" in printed
    for path in PATHS:
        answer = plain.get(path.format(image_id))
        assert answer.status == 502
        assert "damaged" in answer.text
        assert plain.get(path.format(sound)).body == b"sound"
    assert findings(plain) == [("wrong digest", "file", image_id, "open")]
    head = plain.head(f"/images/{image_id}")
    assert (head.status, head.headers["x-image-meta-status"]) == (200, "active")
    assert "is bad and is not served" in head.headers["x-image-meta-status_reason"]
    assert len(plain.blobs(image_id)) == 1, "the bytes were removed"
    assert 'calotype_quarantined_copies{store="file"} 1.0' in plain.get("/metrics").text


def test_the_service_scrubs_by_itself(start_server: StartServer) -> None:
    """r1-A6"""
    server = start_server({"calotype.scrub_period": "1", "calotype.scrub_rate": "1GiB"})
    image_id = server.upload(DATA)["id"]
    flip(*server.blobs(image_id))
    assert server.get(f"/images/{image_id}").status == 200  # it was not checked yet
    age(server)

    until(lambda: server.get(f"/images/{image_id}").status == 502, "the bad copy is found")

    (line,) = errors(server)
    assert image_id in line
    assert "put in quarantine: wrong digest" in line
    passes = "SELECT began_at FROM scrubs"
    first = server.query(passes)
    until(lambda: server.query(passes) != first, "another pass")
    assert len(errors(server)) == 1


@pytest.mark.parametrize("damage", [flip, lambda path: path.write_bytes(DATA[:-1]), Path.unlink])
def test_another_copy_is_served_and_the_damaged_one_rewritten(
    server: Server, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """r1-A6, r1-H6"""
    image_id = in_both(server, tmp_path)
    (bad,) = server.blobs(image_id)
    damage(bad)

    printed = scrub(server)

    assert "1 checked, 1 bad, 0 in quarantine" in printed
    assert printed == manage(server, "scrub", "show")
    (new,) = server.blobs(image_id)
    assert new != bad
    assert new.read_bytes() == DATA
    for path in PATHS:
        assert server.get(path.format(image_id)).body == DATA
    assert [row[3] for row in findings(server)] == ["repaired"]
    assert server.query("SELECT status_reason FROM images") == [(None,)]
    assert server.query("SELECT bytes FROM project_usage") == [(2 * len(DATA),)]


def test_a_read_only_store_is_checked_but_not_changed(start_server: StartServer, tmp_path: Path) -> None:
    """r1-A6"""
    server = start_server(two_stores(tmp_path))
    image_id = in_both(server, tmp_path)
    (bad,) = server.blobs(image_id)
    flip(bad)
    held = bad.read_bytes()
    changed = "calotype.default_store = spare\nstore.file.read_only = true"
    server.ini.write_text(server.ini.read_text().replace("calotype.default_store = file", changed))

    assert "1 bad, 1 in quarantine" in scrub(server, status=1)

    assert server.blobs(image_id) == [bad]
    assert bad.read_bytes() == held
    assert server.get(f"/images/{image_id}").body == DATA


def test_a_copy_restored_from_backup_is_served_after_a_scrub(plain: Server) -> None:
    """r1-A6"""
    image_id = plain.upload(DATA)["id"]
    (path,) = plain.blobs(image_id)
    path.unlink()
    scrub(plain, status=1)
    assert "missing" in manage(plain, "images", "unquarantine", of=image_id, status=1)
    assert plain.get(f"/images/{image_id}").status == 502

    path.write_bytes(DATA)
    assert "right" in manage(plain, "images", "unquarantine", of=image_id)

    assert plain.get(f"/images/{image_id}").body == DATA
    assert [row[3] for row in findings(plain)] == ["closed"]
    assert plain.query("SELECT status_reason FROM images") == [(None,)]


@pytest.mark.parametrize("path", PATHS)
def test_a_missing_copy_is_an_error_of_the_service_in_every_dialect(plain: Server, path: str) -> None:
    """r1-H6"""
    image_id = plain.upload(DATA)["id"]
    plain.blobs(image_id)[0].unlink()

    answers = [plain.get(path.format(image_id)) for _ in range(3)]

    assert [answer.status for answer in answers] == [502] * 3
    assert "gone" in answers[0].text
    (line,) = errors(plain)
    assert image_id in line
    assert "missing" in line
    assert findings(plain) == [("missing", "file", image_id, "open")]
    assert 'calotype_bad_copies_total{kind="missing",store="file"} 3.0' in plain.get("/metrics").text
    assert plain.head(f"/images/{image_id}").status == 200


@pytest.mark.parametrize("path", PATHS)
def test_another_copy_is_served_if_one_is_missing(server: Server, tmp_path: Path, path: str) -> None:
    """r1-H6"""
    image_id = in_both(server, tmp_path)
    server.blobs(image_id)[0].unlink()

    assert server.get(path.format(image_id)).body == DATA

    (line,) = errors(server)
    assert image_id in line
    assert "missing" in line
    assert findings(server) == [("missing", "file", image_id, "open")]


def test_no_copy_is_checked_in_a_store_whose_disk_is_not_mounted(plain: Server) -> None:
    """r1-A6"""
    image_id = plain.upload(DATA)["id"]
    images = plain.data_dir / "images"
    images.rename(plain.data_dir / "elsewhere")
    images.mkdir(mode=0o755)

    scrub(plain)
    assert plain.get(f"/images/{image_id}").status == 503

    images.rmdir()
    (plain.data_dir / "elsewhere").rename(images)
    assert plain.get(f"/images/{image_id}").body == DATA
    assert findings(plain) == []


def test_the_scrubber_stops_at_too_many_bad_copies_until_it_is_resumed(plain: Server) -> None:
    """r1-A6"""
    ids = [plain.upload(DATA[:1000] + bytes([number]))["id"] for number in range(8)]
    moved = {path: path.read_bytes() for path in plain.blobs()}
    for path in moved:
        path.unlink()

    assert "6 checked, 6 bad, 6 in quarantine" in scrub(plain, status=1)
    assert "stopped" in manage(plain, "scrub", "run", status=1)
    assert ("scrub stopped", "file", None, "open") in findings(plain)
    assert 'calotype_scrub_stopped{store="file"} 1.0' in plain.get("/metrics").text

    for path, held in moved.items():
        path.write_bytes(held)
    assert "scrubbed again" in manage(plain, "scrub", "resume", of="file")
    assert "8 checked, 0 bad, 0 in quarantine" in scrub(plain)
    assert [plain.get(f"/images/{image_id}").status for image_id in ids] == [200] * 8
    assert {row[3] for row in findings(plain)} == {"closed"}
    assert "not stopped" in manage(plain, "scrub", "resume", of="file", status=1)


def test_a_store_can_be_excluded_from_scrubbing(start_server: StartServer) -> None:
    """r1-A6"""
    server = start_server({"store.file.scrub": "false"})

    assert "no store that is scrubbed" in manage(server, "scrub", "run", status=1)


def test_the_last_good_copy_cannot_be_removed(server: Server, tmp_path: Path) -> None:
    """r1-A6"""
    image_id = in_both(server, tmp_path)
    server.execute("UPDATE image_locations SET quarantined_at = ? WHERE store = 'file'", OLD)

    refused = server.delete(f"/v2/stores/spare/{image_id}")

    assert refused.status == 403
    assert "only undamaged bytes" in refused.text
    assert server.delete(f"/v2/stores/file/{image_id}").status == 204


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(DATA[:-1])])
def test_a_missing_or_truncated_file_is_not_passed_to_the_proxy(
    start_server: StartServer, damage: Callable[[Path], object]
) -> None:
    """r1-H6: nginx would answer 404, or 200 with fewer bytes."""
    server = start_server({"store.file.accel": "/internal/file/"})
    image_id = server.upload(DATA)["id"]
    assert "X-Accel-Redirect" in server.get(f"/images/{image_id}").headers
    damage(server.blobs(image_id)[0])

    for path in PATHS:
        assert server.get(path.format(image_id)).status == 502
