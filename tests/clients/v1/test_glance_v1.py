"""Unmodified python-glanceclient with `--os-image-api-version 1`."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

import pytest

from calotype.identity.token_file import TokenFile
from tests.clients.v1.programs_of import Programs
from tests.support.pages import DOCS, read_blocks
from tests.support.v1 import V1
from tests.support.waiting import wait_for
from tests.support.web import Halves, Web

BYTES = os.urandom(300_000)
MD5 = hashlib.md5(BYTES).hexdigest()
FORMATS = ("--disk-format", "raw", "--container-format", "bare")


@pytest.fixture
def disk(tmp_path: Path) -> str:
    """A file with an image's bytes."""
    path = tmp_path / "disk.raw"
    path.write_bytes(BYTES)
    return str(path)


def unique(name: str) -> str:
    """Return a name that no other test has used."""
    return f"{name} {uuid.uuid4().hex[:8]}"


def create(programs: Programs, name: str, *more: str, stdin: str | bytes = "closed") -> dict[str, str]:
    """Run image-create with formats, and return the record that it prints."""
    return programs.record("image-create", "--name", name, *FORMATS, *more, stdin=stdin)


def test_119_an_image_is_made_found_by_name_and_downloaded(programs: Programs, disk: str) -> None:
    name = unique("My Image é")
    made = create(
        *(programs, name, "--file", disk, "--is-public", "True", "--is-protected", "False"),
        *("--min-ram", "5", "--property", "kernel_id=5", "--checksum", MD5, "--store", "file", "--progress"),
    )
    assert (made["disk_format"], made["container_format"], made["min_ram"]) == ("raw", "bare", "5")
    assert (made["is_public"], made["status"], made["checksum"]) == ("True", "active", MD5)
    assert (made["name"], made["Property 'kernel_id'"]) == (name, "5")
    by_id, by_name = programs.record("image-show", made["id"]), programs.record("image-show", name)
    assert by_id == by_name
    assert (by_id["status"], by_id["checksum"]) == ("active", MD5)
    target = Path(disk).with_name("download")
    programs.glance("image-download", "--file", str(target), made["id"])
    assert target.read_bytes() == BYTES
    assert name in [row["Name"] for row in programs.table("image-list")]


def test_119_an_update_keeps_properties_or_purges_them(programs: Programs) -> None:
    image_id = create(programs, unique("update"), "--property", "kernel_id=5", stdin=b"x")["id"]
    update = ("image-update", image_id, "--name", unique("new"), "--property", "a=1")
    kept = programs.record(*update, stdin="terminal")
    assert (kept["Property 'a'"], kept["Property 'kernel_id'"]) == ("1", "5")
    purged = programs.record(*update, "--purge-props", stdin="terminal")
    assert purged["Property 'a'"] == "1"
    assert "Property 'kernel_id'" not in purged


def test_119_a_reserved_image_gets_its_bytes_from_a_pipe(programs: Programs) -> None:
    reserved = programs.record("image-create", "--name", unique("reserved"))
    assert reserved["status"] == "queued"
    filled = programs.record("image-update", reserved["id"], *FORMATS, stdin=BYTES)
    assert (filled["status"], filled["size"], filled["checksum"]) == ("active", str(len(BYTES)), MD5)


def test_119_an_image_can_be_uploaded_from_a_pipe(programs: Programs) -> None:
    made = create(programs, unique("piped"), stdin=BYTES)
    assert (made["status"], made["size"], made["checksum"]) == ("active", str(len(BYTES)), MD5)


def test_119_an_empty_input_with_size_0_is_an_empty_image(programs: Programs) -> None:
    """r1-H9: without `--size 0`, an empty input counts as no data, as behind a proxy."""
    made = create(programs, unique("empty"), "--size", "0", stdin=b"")
    assert (made["status"], made["size"]) == ("active", "0")
    assert create(programs, unique("reserved"), stdin=b"")["status"] == "queued"


def test_119_an_image_is_registered_at_or_copied_from_a_url(programs: Programs, source: Web) -> None:
    url = source.answer(Halves(BYTES), "?a=b&c=d")
    lying = create(programs, unique("lying"), "--location", url)
    assert (lying["status"], lying["size"]) == ("active", str(len(BYTES)))
    copied = create(programs, unique("copied"), "--copy-from", url)
    wait_for(lambda: programs.record("image-show", copied["id"])["status"] == "active")
    assert programs.record("image-show", copied["id"])["checksum"] == MD5


@pytest.mark.campaign
def test_119_lists_are_paged_and_filtered(programs: Programs) -> None:
    mark = uuid.uuid4().hex
    ids = {
        create(programs, unique("listed"), "--property", f"mark={mark}", stdin=b"x")["id"] for _ in range(3)
    }
    wanted = ("--property-filter", f"mark={mark}")
    for more in (
        ("--page-size", "1"),
        ("--all-tenants",),
        ("--is-public", "False"),
        ("--status", "active", "--changes-since", "2020-01-01T00:00:00Z"),
        ("--sort-key", "size", "--sort-dir", "desc"),
        ("--disk-format", "raw", "--container-format", "bare", "--size-min", "1", "--size-max", "1"),
    ):
        assert {row["ID"] for row in programs.table("image-list", *wanted, *more)} == ids, more
    assert not ids & {row["ID"] for row in programs.table("image-list", "--status", "queued")}


def test_119_a_long_list_is_complete(programs: Programs) -> None:
    client, mark = V1(programs.server, programs.token or None), uuid.uuid4().hex
    ids = {client.make(property_mark=mark, **({"name": f"n{n}"} if n % 2 else {}))["id"] for n in range(50)}
    listed = [row["ID"] for row in programs.table("image-list", "--property-filter", f"mark={mark}")]
    assert (len(listed), set(listed)) == (50, ids)


def test_a_member_manages_the_images_of_its_project(v1_with_tokens: Programs) -> None:
    token = TokenFile(v1_with_tokens.folder / "tokens.json").add("worker", "works", ("member",), None)
    worker = Programs(v1_with_tokens.bin, v1_with_tokens.folder, v1_with_tokens.server, token)
    name = unique("own")
    made = create(worker, name, stdin=BYTES)
    assert (made["owner"], made["is_public"], made["status"]) == ("works", "False", "active")
    assert name in [row["Name"] for row in worker.table("image-list")]
    assert worker.record("image-show", name)["id"] == made["id"]
    said = worker.glance("image-create", "--name", "x", "--is-public", "True", fails=True)
    assert "403" in said or "not allowed" in said
    worker.glance("image-delete", name)
    assert name not in worker.glance("image-list")


@pytest.mark.campaign
def test_119_images_are_shared(programs: Programs) -> None:
    image_id, project = create(programs, unique("shared"), stdin=b"x")["id"], f"t{uuid.uuid4().hex[:6]}"
    programs.glance("member-create", image_id, project, "--can-share")
    row = {"Image ID": image_id, "Member ID": project, "Can Share": "True"}
    assert programs.table("member-list", "--image-id", image_id) == [row]
    assert programs.table("member-list", "--tenant-id", project) == [row]
    programs.glance("member-delete", image_id, project)
    assert project not in programs.glance("member-list", "--image-id", image_id)


@pytest.mark.campaign
def test_119_deleted_and_missing_images_are_not_found(programs: Programs) -> None:
    for wanted in ("nosuch", "42", str(uuid.uuid4())):
        assert "No image with a name or ID of" in programs.glance("image-show", wanted, fails=True)
    image_id = create(programs, unique("going"), stdin=b"x")["id"]
    assert "[Done]" in programs.glance("--verbose", "image-delete", image_id)
    assert "No image" in programs.glance("--verbose", "image-delete", image_id, fails=True)


def test_glance_prints_the_services_error_message(programs: Programs, disk: str) -> None:
    said = programs.glance(
        *("image-create", "--name", "x", "--disk-format", "bad", "--container-format", "bare"),
        *("--file", disk),
        fails=True,
    )
    assert "Invalid disk format" in said


def test_glance_reports_an_invalid_token(v1_with_tokens: Programs) -> None:
    wrong = Programs(v1_with_tokens.bin, v1_with_tokens.folder, v1_with_tokens.server, "junk")
    assert "Invalid OpenStack Identity credentials" in wrong.glance("image-list", fails=True)


def test_the_commands_of_the_documentation_run(programs: Programs, source: Web, tmp_path: Path) -> None:
    (block,) = (block for block in read_blocks(DOCS / "clients-v1.md") if block.language == "sh")
    script = block.text.replace("http://127.0.0.1:9292", programs.server.base)
    script = script.replace("https://images.example.com/disk.raw", source.answer(Halves(BYTES)))
    (tmp_path / "disk.raw").write_bytes(BYTES)
    done = programs.shell(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy.raw").read_bytes() == BYTES
