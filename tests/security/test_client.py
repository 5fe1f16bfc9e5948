"""The client: a server cannot make it send a token elsewhere, write elsewhere, or change the terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from calotype_client.cli.main import main
from calotype_client.cli.pull import file_name
from calotype_client.client import Client
from calotype_client.errors import CalotypeError, ChecksumMismatch, ProtocolError
from calotype_client.images import Image
from calotype_client.profiles.profile import Profile
from calotype_client.profiles.remotes import Remotes
from calotype_client.transfers.tus import session_path
from tests.support.web import Web, redirect, reply

TOKEN = "canary-6b1f0c2e9d"
IMAGE = {"id": str(uuid.uuid4()), "name": "n", "status": "active", "size": 5, "visibility": "public"}


@pytest.fixture
def elsewhere() -> Iterator[Web]:
    """A server that must get no token."""
    with Web() as running:
        running.page = reply(200, b"bytes")
        yield running


@pytest.fixture
def service() -> Iterator[Web]:
    """A server that the client talks to."""
    with Web() as running:
        yield running


def client_of(web: Web) -> Client:
    return Client.at(web.url("").rstrip("/"), TOKEN)


def tokens(web: Web) -> set[str | None]:
    """Return the tokens that a server has got."""
    return {request.get("X-Auth-Token") for request in web.requests}


def test_a_redirect_to_another_host_gets_no_token(service: Web, elsewhere: Web) -> None:
    """A store's address for one image is such a redirect."""
    service.page = redirect(elsewhere.url("/bytes", host="localhost"))
    with client_of(service) as client:
        assert b"".join(client.stream(Image.from_document(IMAGE))) == b"bytes"

    assert (tokens(service), tokens(elsewhere)) == ({TOKEN}, {None})


@pytest.mark.parametrize(
    "form", ["{url}/v2/images?marker=x", "//{host}/v2/images", "{url}@x/v2/images", "v2/images"]
)
def test_a_list_continues_only_on_its_own_server(service: Web, elsewhere: Web, form: str) -> None:
    url = elsewhere.url("").rstrip("/")
    following = form.format(url=url, host=url.partition("//")[2])
    service.page = reply(200, json.dumps({"images": [IMAGE], "next": following}).encode())

    with client_of(service) as client, pytest.raises(ProtocolError, match="not its own"):
        list(client.images())
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "location", ["http://elsewhere/uploads/1", "//elsewhere/uploads/1", "", "https://u@elsewhere/"]
)
def test_an_upload_goes_only_to_its_own_server(location: str) -> None:
    with Client.at("http://images:9292", TOKEN) as client, pytest.raises(ProtocolError, match="not its own"):
        session_path(client, location)


def test_only_the_user_can_read_a_kept_token(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        Remotes({"HOME": str(tmp_path)}).add("r", {"auth_type": "admin_token", "auth": {"token": TOKEN}})
    finally:
        os.umask(mask)

    (path,) = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "a/b",
        "..",
        ".bashrc",
        "x\0y",
        "\x1b[2J",
        " .x",
        "a\\b",
        "",
        ".",
        "\u202etxt.exe",
    ],
)
def test_the_name_of_an_image_becomes_a_visible_file_of_the_current_folder(name: str) -> None:
    made = file_name(Image.from_document({**IMAGE, "name": name, "disk_format": "raw"}))

    assert Path(made).name == made
    assert made.isprintable()
    assert made[0] not in ". "
    assert made.removesuffix(".raw").strip("_")


def test_a_server_cannot_change_the_terminal(
    service: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("HOME", str(tmp_path)), ("CALOTYPE_URL", service.url("").rstrip("/"))):
        monkeypatch.setenv(name, value)
    hostile = {**IMAGE, "name": "\x1b]0;title\x07", "status": "\x1b[2J", "disk_format": "\u202ewar"}
    pages = [reply(200, json.dumps({"images": [hostile]}).encode()), reply(400, b"\x1b[2Jno\x07")]
    said = io.StringIO()
    for page in pages:
        service.page = page
        for form in ("table", "value", "csv"):
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                main(["ls", "-o", form])

    assert not set(said.getvalue()) & {"\x1b", "\x07", "\u202e"}
    assert "\\x1b[2J" in said.getvalue()


def test_other_bytes_than_the_image_should_have_make_no_file(service: Web, tmp_path: Path) -> None:
    service.page = reply(200, b"other")
    image = Image.from_document({**IMAGE, "os_hash_algo": "sha256", "os_hash_value": "0" * 64})
    with client_of(service) as client:
        client.cache = tmp_path / "cache"
        with pytest.raises(ChecksumMismatch):
            client.pull(image, tmp_path / "file")

    assert [each.name for each in tmp_path.iterdir()] == ["cache"]


def test_a_token_is_shown_nowhere(service: Web) -> None:
    service.page = reply(401, b"no")
    with client_of(service) as client, pytest.raises(CalotypeError) as caught:
        list(client.images())

    profile = Profile(name="p", token=TOKEN, keystone={"password": TOKEN})
    assert TOKEN not in f"{caught.value!r} {caught.value} {caught.value.advice} {profile!r}"
