"""fsck and findings beside a real service: orphans, removals and reports."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.database import make_database
from tests.support.distributions import on_path, write_distribution
from tests.support.forked import run_manage
from tests.support.server import OCTETS, Server, meta, write_ini

#: Settings without the store of calotype.ini.
NO_FILE = {"store.file.path": "", "store.file.create": ""}
TWO_STORES = {
    "calotype.stores": "file second",
    "store.second.driver": "file",
    "store.second.path": "${data_dir}/second",
    "store.second.create": "true",
    "calotype.metrics": "true",
}
#: A third party's driver whose versions write different forms of locations.
VERSIONED = """
from dataclasses import replace

from calotype.stores import BadLocation
from calotype_store_file import FileStore


class ObjectStore(FileStore):
    def locate(self, key):
        return "{form}" + key

    def blobs(self):
        for blob in super().blobs():
            yield replace(blob, location=self.locate(blob.location.removeprefix("file:")))

    def _key(self, location):
        if not location.startswith("{form}"):
            raise BadLocation(self.name, "not a location of this version")
        return location.removeprefix("{form}")
"""


def manage(
    server: Server, *words: str, status: int = 0, ini: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `calotype-manage` with the ini file and the variables of a server, or with another ini file."""
    first, *options = words
    done = run_manage([first, ini or server.ini, *server.variables, *options], env or {})
    assert done.returncode == status, done.stdout + done.stderr
    return done


def seen_on_a_terminal(server: Server, command: str) -> str:
    """Return the output of a command on a terminal."""
    ours, theirs = pty.openpty()
    program = Path(sys.executable).with_name("calotype-manage")
    subprocess.run([program, command, server.ini, *server.variables], stdout=theirs, check=True, timeout=120)
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        return terminal.read1(1 << 16).decode()


def fsck(server: Server, *options: str, status: int = 0, **given: Any) -> list[dict[str, Any]]:
    """Return the problems that fsck prints, with objects of any age."""
    printed = manage(server, "fsck", *options, "--window=0", status=status, **given).stdout
    *problems, last = [json.loads(line) for line in printed.splitlines()]
    assert last["wrong"] == len(problems)
    assert set(last) == {"copies", "objects", "wrong"}
    return problems


def findings(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manage(server, "findings").stdout.splitlines()]


def upload(server: Server, body: bytes, store: str | None = None) -> str:
    headers = {**OCTETS, **meta(is_public="True"), **(meta(store=store) if store else {})}
    answer = server.post("/images", headers, body)
    assert answer.status == 200, answer.text
    return answer.json["image"]["id"]


def told(problems: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return sorted((one["store"], one["fault"], one["image_id"]) for one in problems if one["key"])


@pytest.fixture
def two_stores(start_server: StartServer) -> Server:
    return start_server(TWO_STORES)


def test_a_new_form_of_location_makes_no_orphans(start_server: StartServer, tmp_path: Path) -> None:
    """r1-A3: after a change from `ob:KEY` to `obs2:KEY`, a repair removed the bytes of all images."""
    plugin = write_distribution(
        tmp_path / "plugin",
        "test-ob",
        {"ob": "ob_driver:ObjectStore"},
        {"ob_driver.py": VERSIONED.format(form="ob:")},
    )
    server = start_server(
        {
            **NO_FILE,
            "calotype.stores": "ob",
            "calotype.default_store": "ob",
            "store.ob.path": "${data_dir}/images",
            "store.ob.create": "true",
        },
        env=on_path(plugin),
    )
    image_id = upload(server, b"bytes of a living image")
    (path,) = server.blobs(image_id)
    nobodys = path.with_name(path.name[:-1] + ("0" if path.name[-1] != "0" else "1"))
    nobodys.write_bytes(b"nobody's")
    (plugin / "ob_driver.py").write_text(VERSIONED.format(form="obs2:"))

    found = fsck(server, "--repair", status=2, env=on_path(plugin))

    assert told(found) == [("ob", "orphan", None), ("ob", "unreadable", image_id)]
    assert not nobodys.exists()
    (plugin / "ob_driver.py").write_text(VERSIONED.format(form="ob:"))
    assert server.get(f"/images/{image_id}").body == b"bytes of a living image"
    assert fsck(server, env=on_path(plugin)) == []


def test_a_fresh_database_beside_a_full_store_removes_nothing_without_agreement(
    start_server: StartServer,
) -> None:
    """r1-A4: the operator must claim the place first, or confirm the number."""
    server = start_server()
    ids = [upload(server, b"x") for _ in range(21)]
    fresh = server.data_dir / "fresh"
    fresh.mkdir()
    variable = f"database_url={make_database(fresh)}"
    ini = server.ini
    run_manage(["db", "upgrade", ini, *server.variables, variable]).check_returncode()

    repair = ("fsck", variable, "--window=0", "--repair", "--yes-remove=20")

    refused = manage(server, *repair, status=2)
    owner = re.search(r"--claim file --from (\S+)\. Nothing was removed", refused.stderr)[1]
    manage(server, "stores", variable, "--claim", "file", "--from", owner, "--yes")
    done = manage(server, *repair, status=1)

    assert "store 'file': --repair would remove 21 of " in done.stderr
    assert "Nothing was removed" in done.stderr
    assert all(len(server.blobs(image_id)) == 1 for image_id in ids)
    assert [json.loads(line).get("repaired") for line in done.stdout.splitlines()] == [False] * 21 + [None]


def test_a_repair_removes_the_confirmed_number_of_objects(start_server: StartServer) -> None:
    """r1-A4: `--yes-remove` takes the number that the refusal names."""
    server = start_server()
    kept = upload(server, b"kept")
    (path,) = server.blobs(kept)
    names = [path.name[:-2] + f"{number:02x}" for number in range(23)]
    orphans = [path.with_name(name) for name in names if name != path.name][:21]
    for orphan in orphans:
        orphan.write_bytes(b"nobody's")

    said = manage(server, "fsck", "--window=0", "--repair", status=1).stderr
    assert "would remove 21 of 22 objects" in said
    assert "--store=file --yes-remove=21" in said
    assert "give --repair too" in manage(server, "fsck", "--yes-remove=21", status=2).stderr
    assert all(orphan.exists() for orphan in orphans)
    assert len(fsck(server, "--repair", "--store=file", "--yes-remove=21")) == 21

    assert not any(orphan.exists() for orphan in orphans)
    assert server.get(f"/images/{kept}").body == b"kept"


def test_images_in_a_store_that_no_setting_names_are_unreachable(two_stores: Server, tmp_path: Path) -> None:
    """r1-A5: fsck used to report no problem."""
    upload(two_stores, b"in the first")
    image_id = upload(two_stores, b"in the second", "second")
    for path in two_stores.data_dir.glob("second/*/*"):
        path.unlink()
    (tmp_path / "one").mkdir()
    one_store = write_ini(tmp_path / "one")

    found = fsck(two_stores, status=2, ini=one_store)

    assert told(found) == [("second", "unreachable", image_id)]
    assert {one["detail"] for one in found} == {"it is not configured"}
    assert told(fsck(two_stores, "--store=second", status=2, ini=one_store)) == told(found)
    assert [(one["kind"], one["store"]) for one in findings(two_stores)] == [("unreachable", "second")]
    assert told(fsck(two_stores, status=1)) == [("second", "missing", image_id)]
    assert [one["kind"] for one in findings(two_stores)] == ["missing"]


def test_an_unavailable_store_is_exit_status_2_and_the_others_are_checked(two_stores: Server) -> None:
    """r1-H8: the run used to end at the first unavailable store."""
    away = upload(two_stores, b"in the first")
    missing = upload(two_stores, b"in the second", "second")
    for path in two_stores.data_dir.glob("second/*/*"):
        path.unlink()
    two_stores.data_dir.joinpath("images").rename(two_stores.data_dir / "gone")

    for options in ((), ("--repair",), ("--deep=100MiB",)):
        found = fsck(two_stores, *options, status=2)
        assert told(found) == [("file", "unreachable", away), ("second", "missing", missing)]

    assert [one["fault"] for one in found if not one["key"]] == ["unreachable"]


def test_findings_are_listed_counted_and_lifted(two_stores: Server) -> None:
    image_id = upload(two_stores, b"lost")
    for path in two_stores.data_dir.glob("images/*/*"):
        path.unlink()
    fsck(two_stores, status=1)

    (finding,) = findings(two_stores)

    assert (finding["kind"], finding["store"], finding["image_id"]) == ("missing", "file", image_id)
    assert finding["detail"].startswith("there is nothing at file:")
    shown = seen_on_a_terminal(two_stores, "findings")
    assert "missing, in store 'file'" in shown
    assert finding["id"] in shown
    assert image_id in shown
    counted = 'calotype_findings{kind="missing",store="file"} 1.0'
    assert counted in two_stores.get("/metrics").text
    assert "is lifted" in manage(two_stores, "findings", f"--lift={finding['id']}").stdout
    assert (
        "there is no open finding"
        in manage(two_stores, "findings", f"--lift={finding['id']}", status=1).stderr
    )
    assert findings(two_stores) == []
    assert counted not in two_stores.get("/metrics").text
    fsck(two_stores, status=1)
    assert [one["id"] for one in findings(two_stores)] == [finding["id"]]
