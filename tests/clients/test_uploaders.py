"""Clients of tus from outside this project judge resumable uploads. docs/clients.md has their table."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.clients.browser import visit
from tests.clients.judges.judging import HERE, Verdict, judge, node_modules, read, run
from tests.servers.fixtures import Settings
from tests.support.v2 import Person, start
from tests.support.web import Web

MIB = 1 << 20
PAGE = '<!doctype html><title>uploads</title><pre id="told"></pre><script src="page.js"></script>'


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web server with the pages of another origin."""
    with Web(folder=tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[Person]:
    """A member of a project, of a service that accepts the web server's pages."""
    folder = tmp_path_factory.mktemp("people")
    people = start(folder, web, **{"calotype.cors_origins": f"http://127.0.0.1:{web.port}"})
    yield people.u1
    people.server.stop()


@pytest.fixture(params=[3 * MIB, pytest.param(48 * MIB, marks=pytest.mark.campaign)], ids=["small", "large"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of random bytes."""
    path = tmp_path / "disk.raw"
    path.write_bytes(random.Random(request.param).randbytes(request.param + 1))
    return path


def assert_is_content(verdict: Verdict, person: Person, disk: Path) -> None:
    """Check that no check failed, and that each upload has made an active image of the file's bytes."""
    assert verdict.failed == {}
    uploads = [name for name in verdict.passed if name.startswith("upload")]
    assert {name: why for name in uploads if (why := _broken(person, name, disk))} == {}


def _broken(person: Person, name: str, disk: Path) -> str | None:
    """Return why the newest image with this name is not as it should be, or None. Delete the image."""
    body = disk.read_bytes()
    images = person.get(f"/images?name={quote(name)}&sort=created_at:desc").json["images"]
    if not images:
        return "there is no such image"
    image = images[0]
    found = [image[key] for key in ("status", "size", "checksum", "os_hash_value")]
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    wanted = ["active", len(body), md5, hashlib.sha256(body).hexdigest()]
    if found != wanted:
        return f"{found}, not {wanted}"
    if person.get(f"/images/{image['id']}/file").body != body:
        return "other bytes came back"
    person.delete(f"/images/{image['id']}")
    return None


@pytest.mark.parametrize("name", ["tuspy", "aiotus"])
def test_clients_in_python_pass_every_check(person: Person, disk: Path, tmp_path: Path, name: str) -> None:
    verdict = judge(name, person.server.base, person.token, disk, tmp_path, folder=tmp_path)

    assert_is_content(verdict, person, disk)


def test_tus_js_client_under_node_passes_every_check(person: Person, disk: Path, tmp_path: Path) -> None:
    env = {"NODE_PATH": str(node_modules("tus-js"))}
    argv = ("node", HERE / "tus_js_judge.cjs", person.server.base, person.token, disk, tmp_path)

    verdict = read(run(*argv, folder=tmp_path, env=env))

    assert_is_content(verdict, person, disk)


@pytest.mark.campaign
def test_uppy_in_a_browser_passes_every_check_from_another_origin(
    person: Person, web: Web, disk: Path, tmp_path: Path, chromium: Settings
) -> None:
    modules = node_modules("uppy")
    bundle = ("--bundle", f"--outfile={web.folder}/page.js")
    esbuild = modules / ".bin" / "esbuild"
    run(esbuild, HERE / "uppy_page.js", *bundle, folder=tmp_path, env={"NODE_PATH": str(modules)})
    (web.folder / "page.html").write_text(PAGE)
    (web.folder / "disk.raw").unlink(missing_ok=True)
    os.link(disk, web.folder / "disk.raw")
    asked = quote(json.dumps([person.server.base, person.token]))

    told = visit(chromium, tmp_path / "profile", f"http://127.0.0.1:{web.port}/page.html#{asked}")

    verdict = Verdict(**told)
    print(verdict.row(), *verdict.failed.values(), sep="\n")
    assert_is_content(verdict, person, disk)
