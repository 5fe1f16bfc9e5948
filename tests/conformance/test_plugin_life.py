"""Images stay while their driver is uninstalled, renamed or updated, and work when it is back."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from calotype.stores.contract import MARKER_KEY
from tests.support.distributions import PLAIN, on_path, write_distribution
from tests.support.forked import run_manage
from tests.support.ini import change_ini
from tests.support.server import OCTETS, Server, StartFailed, meta
from tests.support.waiting import wait_for

DISTRIBUTION, STORE = "test-plain", "plain"
JSON = {"Content-Type": "application/json"}
NEW_DRIVER = """
from plain_driver import PlainStore


class NewStore(PlainStore):
{}
"""
#: A version that needs one option more than the first.
WITH_OPTION = NEW_DRIVER.format("    class Options(PlainStore.Options):\n        library: str")
#: A version that has another name for an option.
RENAMED_OPTION = """
from pathlib import Path

from calotype.stores import StoreOptions
from plain_driver import PlainStore


class NewStore(PlainStore):
    class Options(StoreOptions):
        directory: Path
"""
#: A version that writes locations in another form, and still reads those of the first.
OTHER_FORM = NEW_DRIVER.format("""
    def locate(self, key):
        return f"plain2/{key}"

    def _path(self, location):
        return super()._path(location.removeprefix("plain2/"))
""")
#: A version that refuses the locations of the first.
REFUSING = """
from calotype.stores import BadLocation
from plain_driver import PlainStore


class NewStore(PlainStore):
    def locate(self, key):
        return f"plain2/{key}"

    def _path(self, location):
        if not location.startswith("plain2/"):
            raise BadLocation(self.name, "it is not a location of this version")
        return super()._path(location.removeprefix("plain2/"))
"""


@dataclass
class Site:
    """A service with the file store of calotype.ini and a store of a driver that tests install and change."""

    folder: Path
    named: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    server: Server | None = None

    @property
    def plugin(self) -> Path:
        """Return the folder that counts as installed."""
        return self.folder / "plugin"

    @property
    def ini(self) -> Path:
        """Return the ini file, which is written anew."""
        named = {"calotype.stores": "file plain", "store.http.driver": ""} if self.named else {}
        own = {"path": str(self.folder / "place"), "create": "true", **self.options}
        keys = {f"store.{STORE}.{option}": value for option, value in own.items()}
        # No sweeper runs, and a sweep need not wait long for the blobs of a process that has ended.
        sweeps = {"calotype.sweep_interval": "0", "calotype.lease": "3"}
        return change_ini(self.folder / "test.ini", {"app:main": {**named, **sweeps, **keys}})

    def install(self, source: str = "", driver: str = STORE) -> None:
        """Install a version of the driver: the first one, or one with this source."""
        self.uninstall()
        modules = {**PLAIN, "new_driver.py": source}
        target = "new_driver:NewStore" if source else "plain_driver:PlainStore"
        write_distribution(self.plugin, DISTRIBUTION, {driver: target}, modules)

    def uninstall(self) -> None:
        """Uninstall the driver."""
        shutil.rmtree(self.plugin, ignore_errors=True)

    def start(self) -> Server:
        """Start the server, or start it again. Raise StartFailed if it does not start."""
        if self.server is None:
            self.server = Server(self.folder, self.ini, self.folder / "data", env=on_path(self.plugin))
        else:
            self.server.stop()
            self.server.ini = self.ini
            self.server.start()
        return self.server

    def logged(self) -> str:
        """Return what the server has logged since its last start."""
        return self.server.log[self.server._logged_from :]

    def refusal(self) -> str:
        """Return the only sentence of a start that fails, without the name of the ini file."""
        with pytest.raises(StartFailed) as failed:
            self.start()
        (said,) = str(failed.value).strip().splitlines()[-1:]
        assert "Traceback" not in str(failed.value)
        assert said.startswith("calotype: ")
        return said.replace(str(self.folder / "test.ini"), "test.ini")

    def line_of(self, key: str) -> str:
        """Return the place of a key as messages write it."""
        lines = (self.folder / "test.ini").read_text().splitlines()
        (number,) = [number for number, line in enumerate(lines, 1) if line.startswith(f"{key} =")]
        return f"test.ini, line {number}: "

    def manage(self, command: str, *options: str, status: int = 0) -> str:
        """Run `calotype-manage` and return its output, errors included."""
        words = [command, self.ini, *self.server.variables, *options]
        done = run_manage(words, on_path(self.plugin))
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def fsck(self, status: int = 0) -> set[tuple[str, str, str]]:
        """Return the store, fault and detail of each problem of an image or an object that fsck reports."""
        lines = [json.loads(line) for line in self.manage("fsck", "--window=0", status=status).splitlines()]
        return {(one["store"], one["fault"], one["detail"]) for one in lines[:-1] if one["key"]}

    def held(self) -> list[str]:
        """Return the names of the blobs in the driver's place."""
        return sorted(path.name for path in (self.folder / "place").iterdir() if path.name != MARKER_KEY)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.install()
    yield made
    if made.server is not None:
        made.server.stop()


def stored(site: Site, *bodies: bytes) -> list[str]:
    """Store images through the driver, and return the paths of their records."""
    headers = {**OCTETS, **meta(store=STORE, is_public="True")}
    return [f"/images/{site.server.post('/images', headers, body).image['id']}" for body in bodies]


def test_images_whose_driver_is_uninstalled_keep_their_records_and_work_again_after_its_return(
    site: Site,
) -> None:
    server = site.start()
    kept, deleted = stored(site, b"kept", b"deleted")
    near = server.upload(b"near", is_public="True")["id"]
    held = site.held()
    site.uninstall()
    site.start()

    assert "store 'plain': no driver 'plain' is installed (installed: " in site.logged()
    assert "the database has images in store 'plain', but their bytes there cannot be read: " in site.logged()
    assert server.get(f"/images/{near}").body == b"near"
    assert server.upload(b"more")["store"] == "file"
    listed = [f"/images/{image['id']}" for image in server.get("/images").json["images"]]
    assert sorted(listed) == sorted([kept, deleted, f"/images/{near}"])
    assert server.head(kept).meta["status"] == "active"
    unreadable = server.get(kept)
    assert (unreadable.status, unreadable.text.strip()) == (
        502,
        "store 'plain': it is not configured on this server",
    )
    refused = server.post("/images", {**OCTETS, **meta(store=STORE)}, b"bytes")
    assert (refused.status, "There is no store 'plain'; use one of: " in refused.text) == (400, True)
    assert server.delete(deleted).status == 200
    assert "store 'plain' is not configured: bytes of a deleted image stay in it" in site.logged()
    time.sleep(3)
    assert "0 blobs removed, 1 left for a later sweep" in site.manage("sweep", status=1)
    assert site.held() == held
    ((store, fault, detail),) = site.fsck(status=2)
    assert (store, fault) == (STORE, "unreachable")
    assert detail.startswith("the store is off: no driver 'plain' is installed (installed: ")
    assert "warning: the database has images in store 'plain'" in site.manage("stores")

    site.install()
    site.start()
    assert server.get(kept).body == b"kept"
    time.sleep(3)
    assert "1 blob removed, 0 left" in site.manage("sweep")
    assert site.held() == [name for name in held if kept.removeprefix("/images/") in name]
    assert site.fsck() == set()
    assert "the database has" not in site.logged()


def test_a_named_store_whose_driver_is_uninstalled_stops_the_start_and_every_command_that_uses_stores(
    site: Site,
) -> None:
    site.named = True
    site.start()
    stored(site, b"kept")
    site.uninstall()

    said = site.refusal()
    assert re.fullmatch(
        re.escape(
            f"calotype: {site.line_of('store.plain.path')}store 'plain': no driver 'plain' is installed "
        )
        + r"\(installed: [a-z0-9, ]+\): install it, or name another one in store\.plain\.driver",
        said,
    )
    assert site.server.process.wait(30) == 1
    for command in ("stores", "fsck", "sweep"):
        told = site.manage(command, status=1)
        assert told.count("\n") == 1
        assert "no driver 'plain' is installed" in told
    assert site.held()


@pytest.mark.parametrize(
    ("installed", "reason"),
    [(True, "the store is off: no key store.plain.* is set"), (False, "it is not configured")],
)
def test_a_store_that_the_ini_file_no_longer_mentions_is_reported_if_it_holds_images(
    site: Site, installed: bool, reason: str
) -> None:
    server = site.start()
    (image,) = stored(site, b"kept")
    ini = site.ini
    lines = [line for line in ini.read_text().splitlines() if not line.startswith("store.plain.")]
    ini.write_text("\n".join(lines))
    if not installed:
        site.uninstall()
    server.stop()
    server.start()

    (line,) = [line for line in site.logged().splitlines() if "the database has images" in line]
    assert line.endswith(f" in store 'plain', but their bytes there cannot be read: {reason}")
    assert server.get(image).status == 502


def test_a_driver_can_be_uninstalled_while_the_service_runs(site: Site) -> None:
    server = site.start()
    (before,) = stored(site, b"before")
    site.uninstall()

    (after,) = stored(site, b"after")
    assert [server.get(path).body for path in (before, after)] == [b"before", b"after"]
    assert server.delete(before).status == 200
    assert len(site.held()) == 1
    site.start()
    assert "no driver 'plain' is installed" in site.logged()


def test_jobs_wait_for_a_driver_that_is_uninstalled_and_end_after_its_return(site: Site) -> None:
    server = site.start()
    (far,) = stored(site, b"far")
    near = f"/images/{server.upload(b'near')['id']}"
    place = site.folder / "place"
    aside = place.rename(site.folder / "aside")
    formats = json.dumps({"disk_format": "raw", "container_format": "bare"}).encode()
    staged = f"/images/{server.post('/v2/images', JSON, formats).json['id']}"
    assert server.put(f"/v2{staged}/stage", OCTETS, b"staged").status == 204
    for image, method, target in (
        *((far, "copy-image", "file"), (near, "copy-image", STORE)),
        (staged, "glance-direct", STORE),
    ):
        order = json.dumps({"method": {"name": method}, "stores": [target]}).encode()
        assert server.post(f"/v2{image}/import", JSON, order).status == 202
    wait_for(lambda: told(server), lambda said: all(one.startswith("waiting for store") for one in said))

    site.uninstall()
    aside.rename(place)
    site.start()
    absent = "waiting for store 'plain': it is not configured on this server"
    wait_for(lambda: told(server), lambda said: said == [absent] * 3)

    site.install()
    site.start()
    wait_for(lambda: told(server), lambda said: said == [""] * 3)
    assert server.get(f"/v2{staged}/file").body == b"staged"
    for image in (far, near):
        assert set(server.get(f"/v2{image}").json["stores"].split(",")) == {"file", STORE}
    assert "Traceback" not in server.log


def told(server: Server) -> list[str]:
    """Return the message of each task; none may have failed."""
    tasks = [server.get(task["self"]).json for task in server.get("/v2/tasks").json["tasks"]]
    assert "failure" not in [task["status"] for task in tasks], tasks
    return [task["message"] for task in tasks]


def test_a_driver_under_a_new_name_reads_the_images_of_the_store_once_the_ini_file_names_it(
    site: Site,
) -> None:
    site.named = True
    site.start()
    (image,) = stored(site, b"kept")
    site.install(NEW_DRIVER.format("    pass"), driver="planar")

    said = site.refusal()
    assert "planar" in said
    assert said.endswith("install it, or name another one in store.plain.driver")
    site.options = {"driver": "planer"}
    said = site.refusal()
    assert said.startswith(
        f"calotype: {site.line_of('store.plain.driver')}store 'plain': no driver 'planer' "
    )
    site.options = {"driver": "planar"}
    server = site.start()
    assert server.get(image).body == b"kept"
    assert "its place" not in site.logged()
    assert site.fsck() == set()
    assert stored(site, b"more")


def test_a_new_version_that_needs_another_option_stops_the_start_at_the_old_line_or_is_off(
    site: Site,
) -> None:
    site.named = True
    site.start()
    (image,) = stored(site, b"kept")
    site.install(WITH_OPTION)

    assert site.refusal() == (
        f"calotype: {site.line_of('store.plain.path')}store 'plain': option library is missing"
    )
    site.named = False
    server = site.start()
    assert "store 'plain': option library is missing: the store is off" in site.logged()
    assert server.upload(b"near")["store"] == "file"
    site.options = {"library": "new"}
    assert site.start().get(image).body == b"kept"


@pytest.mark.parametrize("named", [True, False])
def test_a_new_version_that_renames_an_option_stops_the_start_at_the_old_line(
    site: Site, named: bool
) -> None:
    site.named = named
    site.start()
    site.install(RENAMED_OPTION)

    said = site.refusal()
    assert said.startswith(f"calotype: {site.line_of('store.plain.path')}store 'plain': ")
    assert "unknown option path" in said
    assert "option directory is missing" in said


def test_a_new_version_with_another_form_of_location_reads_deletes_and_lists_the_old_ones(
    site: Site,
) -> None:
    server = site.start()
    old, gone = stored(site, b"old", b"gone")
    site.install(OTHER_FORM)
    site.start()
    (new,) = stored(site, b"new")

    rows = server.query("SELECT location FROM image_locations WHERE store = ? AND state = 'stored'", STORE)
    assert sorted(re.split("[:/]", location)[0] for (location,) in rows) == ["plain", "plain", "plain2"]
    assert [server.get(path).body for path in (old, new)] == [b"old", b"new"]
    assert server.delete(gone).status == 200
    assert len(site.held()) == 2
    assert site.fsck() == set()
    assert site.fsck() == set()
    assert "its place" not in site.logged()
    site.manage("fsck", "--window=0", "--repair")
    assert len(site.held()) == 2


def test_a_new_version_that_refuses_the_old_locations_is_blamed_and_the_old_version_still_works(
    site: Site,
) -> None:
    server = site.start()
    (image,) = stored(site, b"kept")
    site.install(REFUSING)
    site.start()

    refused = server.get(image)
    assert refused.status == 502
    assert "store 'plain': its driver does not accept the recorded location of this image" in refused.text
    ((store, fault, detail),) = site.fsck(status=2)
    assert (store, fault) == (STORE, "unreadable")
    assert "it is not a location of this version; but plain2/" in detail
    site.manage("fsck", "--window=0", "--repair", status=2)
    site.install()
    assert site.start().get(image).body == b"kept"
    assert site.fsck() == set()
