"""The verbs about images and servers, one after the other."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.functional.command.conftest import Command
from tests.support.v2 import People
from tests.support.waiting import wait_for
from tests.support.web import Web, reply

Commands = dict[str, Command]


def unique() -> str:
    return f"image-{uuid.uuid4()}"


def make(command: Command, name: str, *options: str) -> str:
    """Push a small image, and return its id."""
    command.file("small.raw", b"a small disk")
    (image,) = command.record("push", "small.raw", name, *options)
    return image["id"]


def test_a_list_is_filtered_by_pattern_status_tag_and_property(command: Command) -> None:
    word = unique()
    make(command, f"{word}-a", "--tag", "x")
    make(command, f"{word}-b", "-p", "os_distro=debian")

    def names(*options: str) -> list[str]:
        return [
            image["name"].removeprefix(f"{word}-") for image in command.record("ls", f"{word}*", *options)
        ]

    assert names() == ["b", "a"]
    assert names("--tag", "x") == ["a"]
    assert names("-p", "os_distro=debian") == ["b"]
    assert names("--sort", "name:asc") == ["a", "b"]
    assert names("--status", "queued") == []
    assert names("--limit", "1") == ["b"]


def test_an_image_is_found_by_name_id_and_the_beginning_of_its_id(command: Command) -> None:
    name = unique()
    image_id = make(command, name)

    for reference in (name, image_id, image_id.upper(), image_id[:18]):
        assert command.record("show", reference)["id"] == image_id


def test_an_ambiguous_name_lists_the_candidates(command: Command) -> None:
    name = unique()
    ids = [make(command, name), make(command, name, "--no-resume")]

    result = command.run("show", name)

    assert result.status == 4
    assert all(image_id in result.err for image_id in ids)


def test_a_misspelt_name_gets_a_suggestion(command: Command) -> None:
    name = unique()
    make(command, name)

    result = command.run("show", name[:-1] + "_")

    assert result.status == 4
    assert f"Did you mean {name!r}?" in result.err


def test_set_changes_fields_properties_and_tags(command: Command) -> None:
    name = unique()
    make(command, name, "--tag", "old", "-p", "gone=1")

    (changed,) = command.record(
        *("set", name, "--name", f"{name}-2", "-p", "kept=2", "--remove-property", "gone"),
        *("--tag", "new", "--remove-tag", "old", "--min-disk", "3", "--protected"),
    )

    assert (changed["name"], changed["kept"], changed["tags"]) == (f"{name}-2", "2", ["new"])
    assert (changed["min_disk"], changed["protected"], "gone" in changed) == (3, True, False)
    refused = command.run("rm", f"{name}-2")
    assert refused.status == 3
    command.ok("set", f"{name}-2", "--unprotected")
    command.ok("rm", f"{name}-2")


def test_a_deactivated_image_cannot_be_pulled(commands: Commands) -> None:
    name = unique()
    make(commands["u1"], name)
    commands["u1"].ok("set", name, "--deactivated")

    refused = commands["u1"].run("pull", name, "x.raw")
    commands["u1"].ok("set", name, "--active")

    assert (refused.status, "is deactivated" in refused.err) == (6, True)
    commands["u1"].ok("pull", name, "x.raw")


def test_rm_deletes_what_it_can_and_reports_the_rest(command: Command) -> None:
    kept, gone = unique(), unique()
    make(command, kept, "--protected")
    make(command, gone)

    result = command.run("rm", kept, gone, "-o", "json")

    assert (result.status, "protected" in result.err) == (3, True)
    assert [image["name"] for image in json.loads(result.out)] == [gone]
    assert command.run("show", gone).status == 4


def test_an_administrator_undeletes_an_image(commands: Commands) -> None:
    name = unique()
    image_id = make(commands["adm"], name)
    commands["adm"].ok("rm", name)

    commands["adm"].ok("undelete", image_id)

    assert commands["adm"].record("show", name)["status"] == "active"


def test_an_image_is_shared_accepted_and_no_longer_shared(commands: Commands) -> None:
    name = unique()
    image_id = make(commands["u1"], name, "--visibility", "private")

    (member,) = commands["u1"].record("share", name, "P2")
    assert (member["member_id"], member["status"]) == ("P2", "pending")
    assert [image["id"] for image in commands["u2"].record("ls", "--offered")] == [image_id]
    commands["u2"].ok("share", name, "--accept")
    assert [image["id"] for image in commands["u2"].record("ls", name)] == [image_id]
    assert commands["u1"].record("share", name, "P2", "--remove") == []
    assert commands["u2"].record("ls", name) == []
    again = commands["u1"].run("share", name, "P2", "--remove")
    assert (again.status, "is not shared with project 'P2'" in again.err) == (4, True)


def test_an_image_is_imported_with_its_phases(commands: Commands, web: Web) -> None:
    name = unique()
    url = web.answer(reply(200, b"bytes from the web"), "/disk.raw")

    result = commands["adm"].ok("import", url, name, "--progress", "json", "-o", "json")

    (image,) = json.loads(result.out)
    assert (image["status"], image["size"]) == ("active", 18)
    assert commands["adm"].record("show", name, "--tasks")[0]["status"] == "success"


def test_a_failed_import_says_why(commands: Commands, web: Web) -> None:
    result = commands["adm"].run("import", web.url("/missing"), unique())

    assert result.status == 1
    assert "The import of image" in result.err
    assert "404" in result.err


def test_an_image_is_copied_into_another_store(commands: Commands) -> None:
    name = unique()
    make(commands["adm"], name)

    (copied,) = commands["adm"].record("copy", name, "--store", "cold")

    assert set(copied["stores"].split(",")) == {"fast", "cold"}
    assert commands["adm"].record("copy", name, "--store", "cold")[0]["id"] == copied["id"]


def test_an_image_is_copied_to_another_server_with_its_fields(
    command: Command, commands: Commands, people: People
) -> None:
    name = unique()
    image_id = make(command, name, "--tag", "t", "-p", "os_distro=debian", "--min-disk", "2")
    command.ok(
        *("login", people.server.base, "--name", "lab", "--token-file", "-"), stdin=people.u1.token.encode()
    )

    (copied,) = command.record("copy", name, "--to", "lab:")

    assert copied["id"] != image_id
    found = commands["u1"].record("show", name)
    assert (found["id"], found["tags"], found["os_distro"], found["min_disk"]) == (
        *(copied["id"], ["t"], "debian"),
        2,
    )
    assert commands["u1"].ok("pull", name, "-").out == b"a small disk"
    assert command.record("show", f"lab:{name}")["id"] == copied["id"]


def test_wait_returns_when_the_image_is_active(command: Command) -> None:
    name = unique()
    image_id = make(command, name)

    assert command.record("wait", name)[0]["id"] == image_id
    impossible = command.run("wait", name, "--for", "queued")
    assert (impossible.status, "will not become queued" in impossible.err) == (1, True)


def test_wait_ends_at_its_timeout(command: Command) -> None:
    created = command.ok("api", "POST", "/v2/images", "-d", json.dumps({"name": unique()})).json

    result = command.run("wait", created["id"], "--timeout", "1")

    assert (result.status, "is still queued" in result.err) == (5, True)


def test_watch_shows_a_new_image(command: Command) -> None:
    name = unique()
    with command.start("watch", "--count", "1") as process:

        def line() -> bytes:
            make(command, f"{name}-{uuid.uuid4()}")
            return b"" if process.poll() is None else process.stdout.read()

        try:
            assert name in wait_for(line, pause=1).decode()
        finally:
            process.kill()


def test_stores_usage_and_ping_describe_the_server(commands: Commands, people: People) -> None:
    assert {store["id"] for store in commands["u1"].record("stores")} == {"fast", "cold", "web"}
    assert commands["adm"].record("stores", "--detail")[0]["type"] in ("file", "http")
    usage = {row["resource"]: row for row in commands["u1"].record("usage")}
    assert usage["image_count_total"]["usage"] >= 0
    ping = commands["u1"].record("ping")
    assert (ping["url"], ping["images"]) == (people.server.base, "can be listed")


def test_api_sends_any_request(command: Command) -> None:
    name = unique()
    image_id = make(command, name)
    patch = json.dumps([{"op": "replace", "path": "/name", "value": f"{name}-2"}])
    media_type = "Content-Type: application/openstack-images-v2.1-json-patch"

    changed = command.ok("api", "PATCH", f"/v2/images/{image_id}", "-d", patch, "-H", media_type)

    assert changed.json["name"] == f"{name}-2"
    assert command.ok("api", "GET", "/v2/images?limit=1", "-i").text.startswith("200\n")
    missing = command.run("api", "GET", "/v2/images/nothing")
    assert (missing.status, missing.json["error"]["code"]) == (4, 404)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(command: Command, shell: str) -> None:
    assert "_CALOTYPE_COMPLETE" in command.ok("completion", shell).text


def test_names_of_images_are_completed_and_kept_for_a_while(command: Command) -> None:
    name = unique()
    make(command, name)
    words = {"COMP_WORDS": f"calotype show {name[:12]}", "COMP_CWORD": "2"}
    command.environ.update({"_CALOTYPE_COMPLETE": "bash_complete", **words})

    assert name in command.run().text
    (kept,) = (command.home / ".cache" / "calotype").glob("names-*.json")
    assert name in json.loads(kept.read_text())
