"""Places belong to one store of one database: with a third party's driver, with S3, and with Swift.

Each kind has a real place that several stores and several databases try to use.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from calotype.stores import Store
from calotype.stores.contract import MARKER_KEY
from calotype.stores.options import read_options
from calotype_store_s3 import S3Options, S3Store
from calotype_store_swift import SwiftOptions, SwiftStore
from tests.support.distributions import PLAIN, on_path, write_distribution
from tests.support.forked import run_manage
from tests.support.server import OCTETS, Server, StartFailed, meta, write_ini


@dataclass(frozen=True)
class Kind:
    """A kind of store: its driver, the options of one place, and a way to see the content of the place."""

    driver: str
    options: Mapping[str, str]
    env: Mapping[str, str]
    opened: Store | None = None

    def held(self) -> set[str]:
        """Return the locations of everything in the place, including the marker."""
        if self.opened is not None:
            return {blob.location for blob in self.opened.blobs()}
        return {f"plain:{path.name}" for path in Path(self.options["path"]).glob("*")}

    def marker(self) -> str:
        """Return the location of the marker."""
        (location,) = [location for location in self.held() if MARKER_KEY in location]
        return location

    def remove_marker(self) -> None:
        """Remove the marker, as if the place were older than markers."""
        if self.opened is not None:
            self.opened.delete(self.marker())
        else:
            (Path(self.options["path"]) / MARKER_KEY).unlink()


@pytest.fixture
def plain(tmp_path: Path) -> Kind:
    plugin = write_distribution(
        tmp_path / "plugin", "test-plain", {"plain": "plain_driver:PlainStore"}, PLAIN
    )
    return Kind("plain", {"path": str(tmp_path / "place")}, on_path(plugin))


@pytest.fixture
def s3(swift: Mapping[str, str]) -> Iterator[Kind]:
    options = {
        "endpoint_url": swift["S3_ENDPOINT"],
        "region": swift["S3_REGION"],
        "access_key": swift["S3_ACCESS_KEY"],
        "secret_key": swift["S3_SECRET_KEY"],
        "bucket": f"place-{uuid.uuid4().hex}",
    }
    store = S3Store("look", read_options("look", S3Options, options))
    yield Kind("s3", options, {}, store)
    store.close()


@pytest.fixture
def swift_kind(swift: Mapping[str, str]) -> Iterator[Kind]:
    options = {
        "auth_url": swift["SWIFT_AUTH_URL"],
        "auth_version": "1",
        "user": swift["SWIFT_USER"],
        "key": swift["SWIFT_KEY"],
        "container": f"place-{uuid.uuid4().hex}",
    }
    store = SwiftStore("look", read_options("look", SwiftOptions, options))
    yield Kind("swift", options, {}, store)
    store.close()


@pytest.fixture(
    params=["plain", *(pytest.param(name, marks=pytest.mark.campaign) for name in ("s3", "swift_kind"))]
)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.getfixturevalue(request.param)


class Site:
    """A service: an ini file whose stores all share one place, and a database of its own."""

    def __init__(self, folder: Path, kind: Kind, *names: str, **settings: str):
        folder.mkdir(exist_ok=True)
        self.folder, self.kind = folder, kind
        app = {
            "calotype.stores": " ".join(names),
            "calotype.default_store": names[0],
            "store.file.path": "",
            "store.file.create": "",
        }
        for name in names:
            own = {"driver": kind.driver, "create": "true", **kind.options}
            app |= {f"store.{name}.{option}": value for option, value in own.items()}
        self.ini = write_ini(folder, {**app, **settings})

    def start(self) -> Server:
        """Return the running service."""
        return Server(self.folder / "run", self.ini, self.folder / "data", self.kind.env)

    def manage(self, *words: str, status: int = 0) -> str:
        """Return the output of `calotype-manage WORDS INI`, which must end with this status."""
        done = run_manage([*words, self.ini, f"data_dir={self.folder}/data"], self.kind.env)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stdout + done.stderr

    def refusal(self) -> str:
        """Return the sentence with which the service refuses to start."""
        with pytest.raises(StartFailed) as failed:
            self.start()
        assert "Traceback" not in str(failed.value)
        (line,) = [one for one in str(failed.value).splitlines() if "its place" in one]
        assert line.startswith("calotype: ")
        return line

    def identity(self) -> str:
        """Return the database's id."""
        return json.loads(self.marker_text())["registry"]

    def marker_text(self) -> str:
        """Return the content of the marker."""
        if self.kind.opened is None:
            return (Path(self.kind.options["path"]) / MARKER_KEY).read_text()
        return self.kind.opened.get(self.kind.marker()).read().decode()


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def serve(running: ExitStack, site: Site) -> Server:
    server = site.start()
    running.callback(server.stop)
    return server


def filled(site: Site, data: bytes = b"the bytes of the first database") -> dict:
    """Return an active image in the site's first store, whose server has ended."""
    server = site.start()
    try:
        return server.post("/images", {**OCTETS, **meta(is_public="True")}, data).image
    finally:
        server.stop()


def test_two_stores_with_one_place_stop_the_start_and_nothing_is_removed(
    kind: Kind, tmp_path: Path, running: ExitStack
) -> None:
    """r1-A2"""
    image = filled(Site(tmp_path / "site", kind, "one"))
    held = kind.held()
    both = Site(tmp_path / "site", kind, "one", "two")

    said = both.refusal()
    assert "store 'two': its place is that of store 'one', and two stores cannot share one" in said
    for words in (("--repair", "--window=0", "--store", "two"), ("--repair", "--window=0")):
        told = both.manage("fsck", *words, status=2)
        assert "its place is that of store 'one'" in told
    assert kind.held() == held
    refused = both.manage("stores", "--claim", "two", "--from", both.identity(), "--yes", status=1)
    assert "which the ini file has too" in refused
    server = serve(running, Site(tmp_path / "site", kind, "one"))
    assert server.get(f"/images/{image['id']}").body == b"the bytes of the first database"


def test_two_stores_with_one_empty_place_stop_the_first_start(kind: Kind, tmp_path: Path) -> None:
    """r1-A2"""
    assert "two stores cannot share one" in Site(tmp_path / "site", kind, "one", "two").refusal()


def test_a_new_database_cannot_use_a_full_store_until_the_place_is_taken_over(
    kind: Kind, tmp_path: Path, running: ExitStack
) -> None:
    """r1-A4"""
    first = Site(tmp_path / "first", kind, "main")
    image = filled(first)
    owner, held = first.identity(), kind.held()
    fresh = Site(tmp_path / "fresh", kind, "main")

    said = fresh.refusal()
    assert f"store 'main': its place belongs to store 'main' of database {owner}" in said
    assert f"--claim main --from {owner}" in said
    assert owner in fresh.manage("fsck", "--repair", "--window=0", status=2)
    assert f"--claim main --from {owner}" in fresh.manage("stores", status=1)
    assert owner in fresh.manage("stores", "--create", "main", status=1)
    assert owner in fresh.manage("stores", "--claim", "main", "--yes", status=1)
    wrong = fresh.manage("stores", "--claim", "main", "--from", str(uuid.uuid4()), "--yes", status=1)
    assert owner in wrong
    assert kind.held() == held
    server = serve(running, first)
    assert server.get(f"/images/{image['id']}").status == 200
    server.stop()

    shown = fresh.manage("stores", "--claim", "main", "--from", owner, "--yes")
    assert "run calotype-manage" not in shown.partition("It holds")[0]
    assert "It holds 1 blob with 31 bytes in all; 0 of them belong to images of this database." in shown
    assert image["id"] in shown
    assert serve(running, fresh).upload(b"new")["store"] == "main"
    assert "its place belongs to store 'main' of database" in first.refusal()
    assert kind.held() >= held


def test_a_full_place_without_a_marker_is_served_with_a_warning_and_repaired_only_once_it_is_claimed(
    kind: Kind, tmp_path: Path, running: ExitStack
) -> None:
    site = Site(tmp_path / "site", kind, "main")
    image = filled(site)
    other = filled(site, b"the other bytes")
    orphan = filled(site, b"an orphan")
    kind.remove_marker()
    server = serve(running, site)
    server.execute("DELETE FROM image_locations WHERE image_id = ?", orphan["id"])

    warnings = [line for line in server.log.splitlines() if "--claim main" in line]
    assert len(warnings) == 1
    assert server.get(f"/images/{image['id']}").status == 200
    assert server.upload(b"more")["status"] == "active"
    assert server.delete(f"/images/{other['id']}").status == 200
    assert not any(other["id"] in location for location in kind.held())
    told = site.manage("fsck", "--repair", "--window=0", status=1)
    assert "store 'main': its place is not marked" in told
    assert any(orphan["id"] in location for location in kind.held())
    assert "Aborted" in site.manage("stores", "--claim", "main", status=1)

    shown = site.manage("stores", "--claim", "main", "--yes")
    assert "It holds 3 blobs with 44 bytes in all; 2 of them belong to images of this database." in shown
    site.manage("fsck", "--repair", "--window=0")
    assert not any(orphan["id"] in location for location in kind.held())
    assert kind.marker()
    assert server.get(f"/images/{image['id']}").status == 200


def test_processes_that_start_at_once_with_an_empty_place_all_start(
    plain: Kind, tmp_path: Path, running: ExitStack
) -> None:
    site = Site(tmp_path / "site", plain, "main")
    site.manage("db", "upgrade")
    folders = [tmp_path / f"process{number}" for number in range(4)]
    with ThreadPoolExecutor(len(folders)) as pool:
        started = [
            pool.submit(Server, folder, site.ini, site.folder / "data", plain.env) for folder in folders
        ]
        servers = [one.result() for one in started]
    for server in servers:
        running.callback(server.stop)

    assert [server.upload(b"bytes")["store"] for server in servers] == ["main"] * 4
    assert not any("its place" in server.log for server in servers)


def test_a_place_that_returns_with_the_marker_of_another_database_is_not_used(
    plain: Kind, tmp_path: Path, running: ExitStack
) -> None:
    path, aside = Path(plain.options["path"]), tmp_path / "aside"
    stranger = Site(tmp_path / "stranger", plain, "main")
    filled(stranger)
    shutil.move(path, aside)
    site = Site(tmp_path / "site", plain, "main", **{"store.main.create": "false"})
    server = serve(running, site)
    server.readyz(lambda told: told.json["stores"] == {"main": "unavailable"})
    assert server.post("/images", OCTETS, b"bytes").status == 503
    shutil.move(aside, path)
    held = plain.held()

    formats = {"disk_format": "raw", "container_format": "bare"}
    for dialect in ("/images", "/v1/images"):
        refused = server.post(dialect, {**OCTETS, **meta(name="x", **formats)}, b"bytes")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "30"), dialect
        assert "its place belongs to another database or store" in refused.text
    json_body = {"Content-Type": "application/json"}
    made = server.post("/v2/images", json_body, json.dumps(formats).encode()).json["id"]
    assert server.put(f"/v2/images/{made}/file", OCTETS, b"bytes").status == 503
    server.readyz(lambda told: told.json["stores"] == {"main": "unavailable"})
    assert plain.held() == held
    assert "take this one over" in server.log


def test_an_unnamed_store_with_a_foreign_place_is_off(
    plain: Kind, tmp_path: Path, running: ExitStack
) -> None:
    filled(Site(tmp_path / "first", plain, "plain"))
    held = plain.held()
    folder = tmp_path / "second"
    folder.mkdir()
    ini = write_ini(folder, {"store.plain.path": plain.options["path"], "store.plain.create": "true"})
    server = Server(folder, ini, folder / "data", plain.env)
    running.callback(server.stop)

    assert server.upload(b"bytes")["store"] == "file"
    assert server.post("/images", {**OCTETS, **meta(store="plain")}, b"bytes").status == 400
    assert "store 'plain': its place belongs to store 'plain' of database" in server.log
    assert plain.held() == held


def test_a_database_with_a_new_id_can_claim_the_places_of_the_old_one(
    plain: Kind, tmp_path: Path, running: ExitStack
) -> None:
    site = Site(tmp_path / "site", plain, "main")
    image = filled(site)
    old = site.identity()
    assert "Aborted" in site.manage("db", "new-id", status=1)
    said = site.manage("db", "new-id", "--yes")

    assert f"The database's id is {old}." in said
    assert said.splitlines()[-1].startswith(f"{old} -> ")
    assert old in site.refusal()
    shown = site.manage("stores", "--claim", "main", "--from", old, "--yes")
    assert "1 of them belong to images of this database" in shown
    assert serve(running, site).get(f"/images/{image['id']}").status == 200
    assert site.identity() == said.split()[-1]


def test_a_renamed_store_can_take_its_place_over(plain: Kind, tmp_path: Path, running: ExitStack) -> None:
    filled(Site(tmp_path / "site", plain, "one"))
    renamed = Site(tmp_path / "site", plain, "two")
    said = renamed.refusal()
    assert "after a change of name" in said

    renamed.manage("stores", "--claim", "two", "--from", renamed.identity(), "--yes")
    assert serve(running, renamed).upload(b"more")["store"] == "two"


def test_stores_are_shown_without_a_database(plain: Kind, tmp_path: Path) -> None:
    """The command creates no database, and explains why it cannot name the owner of the place."""
    Path(plain.options["path"]).mkdir()
    site = Site(tmp_path / "site", plain, "main")
    said = site.manage("stores", status=1)

    assert "there is no database at" in said
    assert not (site.folder / "data").exists()
    assert "its place belongs to this store" in site.manage("stores", "--create", "main")


def test_the_options_from_and_yes_require_claim(plain: Kind, tmp_path: Path) -> None:
    site = Site(tmp_path / "site", plain, "main")

    assert "go with --claim NAME" in site.manage("stores", "--yes", status=2)
    assert "go with --claim NAME" in site.manage("stores", "--from", "x", status=2)
    assert "there is no store 'other'" in site.manage("stores", "--claim", "other", status=1)
    Path(plain.options["path"]).mkdir()
    assert "leave --from out" in site.manage("stores", "--claim", "main", "--from", "x", status=1)
    site.manage("stores", "--create", "main")
    assert "its place belongs to this store" in site.manage("stores", "--claim", "main")
