"""The command `calotype` against Glance, and with tokens and Keystone against Calotype: the same commands."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.clients import Clients
from tests.functional.command.conftest import Command
from tests.support.waiting import wait_for
from tests.support.web import Web, reply

#: One test of a real Glance takes minutes with its installation.
pytestmark = pytest.mark.campaign

_TASKS = "Glance needs Keystone for imports, and tests/functional/command has those of Calotype"
DATA = os.urandom(1 << 20) * 5
QCOW2 = b"QFI\xfb\0\0\0\3"


@dataclass(frozen=True)
class Site:
    """A server, and the command with the caller's settings."""

    command: Command
    is_glance: bool

    @property
    def imports(self) -> bool:
        """Return True if this is a Glance that imports: its tasks belong to the project of a token."""
        return self.is_glance and "OS_AUTH_URL" in self.command.environ


@pytest.fixture(params=["none", "tokens", "keystone", "glance", "glance with keystone"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """Calotype with each identity method, and Glance without and with Keystone."""
    if request.param.startswith("glance"):
        name = "glance_keystone" if "keystone" in request.param else "glance"
        return Site(Command(tmp_path, _glance_variables(request.getfixturevalue(name))), True)
    names = {"none": "without_identities", "tokens": "with_tokens", "keystone": "with_keystone"}
    clients: Clients = request.getfixturevalue(names[request.param])
    return Site(Command(tmp_path, clients.env), False)


def _glance_variables(settings: dict[str, str]) -> dict[str, str]:
    if "KEYSTONE_URL" not in settings:
        return {"CALOTYPE_URL": settings["GLANCE_URL"]}
    return {
        "OS_AUTH_URL": settings["KEYSTONE_URL"],
        "OS_USERNAME": "admin",
        "OS_PASSWORD": settings["KEYSTONE_PASSWORD"],
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": settings["KEYSTONE_REGION"],
    }


@pytest.fixture
def pages() -> Iterator[Web]:
    """A web server with a page."""
    with Web({"/disk.raw": reply(200, b"bytes from the web")}) as running:
        yield running


def unique() -> str:
    return f"image-{uuid.uuid4()}"


def test_an_image_goes_there_and_back(site: Site) -> None:
    name = unique()
    site.command.file("disk.raw", DATA)

    (pushed,) = site.command.record("push", "disk.raw", name, "--tag", "t", "-p", "os_distro=debian")
    site.command.ok("pull", name, "copy.raw")

    assert (pushed["status"], pushed["size"], pushed["tags"]) == ("active", len(DATA), ["t"])
    assert (site.command.folder / "copy.raw").read_bytes() == DATA
    assert [image["id"] for image in site.command.record("ls", name, "--tag", "t")] == [pushed["id"]]
    (changed,) = site.command.record(
        "set", name, "--name", f"{name}-2", "-p", "a=b", "--remove-property", "os_distro"
    )
    assert (changed["a"], "os_distro" in changed) == ("b", False)
    assert site.command.record("show", pushed["id"][:13])["name"] == f"{name}-2"
    site.command.ok("rm", f"{name}-2")
    assert site.command.run("show", pushed["id"]).status == 4


def test_a_stream_goes_there_and_back(site: Site) -> None:
    name = unique()
    site.command.ok("push", "-", name, "--disk-format", "raw", stdin=DATA)

    assert site.command.ok("pull", name, "-").out == DATA


def test_an_image_is_shared(site: Site) -> None:
    name = unique()
    site.command.file("disk.raw", b"disk")
    site.command.ok("push", "disk.raw", name, "--visibility", "private")

    (member,) = site.command.record("share", name, "0f" * 16)

    assert member["status"] == "pending"
    assert site.command.record("share", name, "0f" * 16, "--remove") == []


def test_the_server_describes_itself(site: Site) -> None:
    assert "fast" in {store["id"] for store in site.command.record("stores")}
    assert site.command.record("ping")["images"] == "can be listed"
    assert site.command.record("usage") is not None


def test_an_image_is_imported(site: Site, pages: Web) -> None:
    if not site.imports:
        pytest.skip(_TASKS)
    name = unique()

    (image,) = site.command.record("import", pages.url("/disk.raw"), name)

    assert (image["status"], image["size"]) == ("active", 18)


def test_an_image_is_copied_into_another_store(site: Site) -> None:
    if not site.imports:
        pytest.skip(_TASKS)
    name = unique()
    site.command.file("disk.raw", b"disk")
    site.command.ok("push", "disk.raw", name)

    (copied,) = site.command.record("copy", name, "--store", "cold")

    assert set(copied["stores"].split(",")) == {"fast", "cold"}


def test_what_glance_cannot_is_said_in_one_sentence(site: Site) -> None:
    if not site.is_glance:
        pytest.skip("Calotype can")
    name = unique()
    site.command.file("disk.raw", b"disk")
    image_id = site.command.record("push", "disk.raw", name)[0]["id"]
    site.command.ok("rm", image_id)

    refused = site.command.run("undelete", image_id)

    assert refused.status == 4
    assert len(refused.err.splitlines()) <= 3


def test_changes_are_watched(site: Site) -> None:
    site.command.file("disk.raw", b"disk")
    names: list[str] = []
    with site.command.start("watch", "--count", "1") as process:

        def seen() -> bytes:
            names.append(unique())
            site.command.ok("push", "disk.raw", names[-1])
            return b"" if process.poll() is None else process.stdout.read()

        try:
            line = wait_for(seen, pause=1).decode()
        finally:
            process.kill()
    assert any(name in line for name in names)
