"""The operator's command beside a running server: tokens, undelete, sweep, fsck."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.conftest import StartServer
from tests.support.forked import run_manage
from tests.support.server import OCTETS, Server, meta


def run(server: Server, *words: str, of: str | None = None, status: int = 0) -> str:
    """Run `calotype-manage WORDS INI [OF] VARIABLES`, check its exit status and return its output."""
    done = run_manage([*words, server.ini, *([of] if of else []), *server.variables])
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def upload(server: Server, body: bytes) -> str:
    return server.post("/images", {**OCTETS, **meta(is_public="True")}, body).json["image"]["id"]


@pytest.fixture
def keeping(start_server: StartServer) -> Server:
    """Return a server that keeps deleted bytes, and does not sweep by itself."""
    return start_server(
        {
            "calotype.delete_grace": "3600",
            "calotype.sweep_interval": "0",
            "calotype.lease": "1",
            "calotype.metrics": "true",
        }
    )


def test_a_deleted_image_comes_back_as_it_was(keeping: Server) -> None:
    image_id = upload(keeping, b"bytes to come back")
    assert keeping.delete(f"/images/{image_id}").status == 200
    assert keeping.get(f"/images/{image_id}").status == 404

    assert f"{image_id} is active again" in run(keeping, "images", "undelete", of=image_id)

    assert keeping.get(f"/images/{image_id}").body == b"bytes to come back"
    assert "no deleted image" in run(keeping, "images", "undelete", of=str(uuid.uuid4()), status=1)


def test_a_sweep_ends_abandoned_uploads_and_keeps_deleted_bytes_for_the_grace_period(keeping: Server) -> None:
    kept = upload(keeping, b"kept")
    keeping.delete(f"/images/{kept}")
    image_id = keeping.post("/images").json["image"]["id"]
    # The state after a server was killed during an upload and the lease expired.
    keeping.execute("UPDATE images SET status = 'saving' WHERE id = ?", image_id)
    keeping.execute(
        """
        INSERT INTO image_locations
            ("key", image_id, store, state, external, counted, created_at, lease_owner, lease_until)
        VALUES (
                ?, ?, 'file', 'intended', FALSE, 5,
                '2020-01-01 00:00:00.000000', 'gone', '2020-01-01 00:00:00.000000'
            )
        """,
        f"{image_id}.0123456789ab",
        image_id,
    )

    assert "1 upload ended, 1 blob removed, 0 left" in run(keeping, "sweep")

    shown = keeping.head(f"/images/{image_id}").headers
    assert shown["x-image-meta-status"] == "killed"
    assert "ended before the upload did" in shown["x-image-meta-status_reason"]
    assert "is active again" in run(keeping, "images", "undelete", of=kept)
    assert "0 uploads ended, 0 blobs removed" in run(keeping, "sweep")


def test_fsck_finds_missing_and_damaged_bytes_and_removes_only_orphans(keeping: Server) -> None:
    well, short, changed, missing = (upload(keeping, bytes([65 + number]) * 1000) for number in range(4))
    files = {path.name.partition(".")[0]: path for path in keeping.data_dir.glob("images/*/*")}
    files[short].write_bytes(b"B" * 999)
    files[changed].write_bytes(b"X" * 1000)
    files[missing].unlink()
    orphan = files[well].with_name(files[well].name[:-1] + ("0" if files[well].name[-1] != "0" else "1"))
    orphan.write_bytes(b"nobody's")

    found = [json.loads(line) for line in run(keeping, "fsck", "--window=0", status=1).splitlines()]

    assert {(one["fault"], one.get("image_id")) for one in found[:-1]} == {
        ("wrong size", short),
        ("missing", missing),
        ("orphan", None),
    }
    deep = run(keeping, "fsck", "--window=0", "--deep=100MiB", "--repair", status=1)
    assert changed in deep
    assert not orphan.exists()
    assert keeping.get(f"/images/{well}").status == 200
    assert "there is no store 'x'" in run(keeping, "fsck", "--store=x", status=1)


def test_fsck_ignores_recent_objects(keeping: Server) -> None:
    upload(keeping, b"x")
    path = next(keeping.data_dir.glob("images/*/*"))
    path.with_name(path.name[:-1] + "z").write_bytes(b"just coming")

    assert json.loads(run(keeping, "fsck").splitlines()[-1])["wrong"] == 0


def test_fsck_never_reports_a_running_upload_as_an_orphan(keeping: Server) -> None:
    image_id = upload(keeping, b"whole, and not yet the image's own")
    keeping.execute(
        "UPDATE image_locations SET state = 'intended', location = NULL, lease_until = '2999-01-01 00:00:00'"
    )

    assert json.loads(run(keeping, "fsck", "--window=0", "--repair").splitlines()[-1])["wrong"] == 0
    assert len(keeping.blobs(image_id)) == 1


def test_metrics_and_readiness_show_stores_and_images(keeping: Server) -> None:
    upload(keeping, b"counted")

    keeping.readyz(lambda told: told.json["stores"]["file"] == "ok")
    metrics = keeping.get("/metrics").text
    assert 'calotype_store_state{state="ok",store="file"} 1.0' in metrics
    assert 'calotype_store_state{state="full",store="file"} 0.0' in metrics
    assert 'calotype_store_hanging_calls{store="file"} 0.0' in metrics
    assert 'calotype_images{status="active"} 1.0' in metrics
    assert 'calotype_store_seconds_count{operation="add",outcome="ok",store="file"} 1.0' in metrics
    assert keeping.get("/healthz").text == "ok\n"


def test_metrics_are_off_by_default(server: Server) -> None:
    assert server.get("/metrics").status == 404


def test_tokens_can_be_added_listed_and_revoked(keeping: Server) -> None:
    said = run(keeping, "token", "add", "--user=u", "--project=p", "--role=member", "--days=2")
    token_id, _, secret = said.split()[-1].partition(".")

    listed = run(keeping, "token", "list")
    assert f"{token_id}  user=u project=p roles=member  expires" in listed
    assert secret not in listed
    run(keeping, "token", "revoke", of=token_id)
    assert token_id not in run(keeping, "token", "list")
    assert "there is no token" in run(keeping, "token", "revoke", of=token_id, status=1)
