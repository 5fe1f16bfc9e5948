"""push and pull: whole, cut and resumed, compared with what the server stores."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import uuid
from pathlib import Path

import pytest

from tests.functional.command.conftest import Command
from tests.functional.command.cutting import CuttingProxy
from tests.support.server import Server
from tests.support.waiting import wait_for

MIB = 1 << 20
DATA = os.urandom(MIB) * 40
STOPPED = "\nStopping …\nStopped. Run the same command again to go on.\n"


def unique() -> str:
    return f"image-{uuid.uuid4()}"


def parts(folder: Path) -> list[Path]:
    """Return the files of unfinished pulls."""
    return [path for path in folder.iterdir() if path.name.endswith(".part")]


def states(command: Command) -> list[Path]:
    """Return the states of unfinished transfers."""
    return [*(command.home / ".cache" / "calotype" / "transfers").glob("*.json")]


def test_a_pushed_file_comes_back_the_same(command: Command) -> None:
    name = unique()
    command.file("disk.raw", DATA)

    (pushed,) = command.record("push", "disk.raw", name, "--tag", "new", "-p", "os_distro=debian")
    pulled = command.record("pull", name, "copy.raw")

    assert (pushed["status"], pushed["size"], pushed["disk_format"]) == ("active", len(DATA), "raw")
    assert (pushed["tags"], pushed["os_distro"]) == (["new"], "debian")
    assert pulled == {"id": pushed["id"], "file": "copy.raw", "size": len(DATA)}
    assert (command.folder / "copy.raw").read_bytes() == DATA
    assert (parts(command.folder), states(command)) == ([], [])


@pytest.mark.parametrize("connections", ["1", "4"])
@pytest.mark.parametrize("size", [1, MIB - 1, 33 * MIB + 7])
def test_a_file_of_any_size_is_pulled(command: Command, connections: str, size: int) -> None:
    name = unique()
    command.file("disk.raw", DATA[:size])
    command.ok("push", "disk.raw", name)

    command.ok("pull", name, "copy.raw", "-j", connections)

    assert (command.folder / "copy.raw").read_bytes() == DATA[:size]


@pytest.mark.parametrize(
    "name", ["two words", "a'b\"c", "🐧 emoji", "a/b/../c", "-dash", "in:x", "%2e", "x,y", "a:b"]
)
def test_an_image_with_any_name_is_pushed_found_and_pulled(command: Command, name: str) -> None:
    name = f"{name} {uuid.uuid4()}"
    command.file("disk.raw", b"some bytes")

    image = f":{name}" if ":" in name else name
    (pushed,) = command.record("push", "disk.raw", "--", image)
    pulled = command.record("pull", "--", image)

    assert pushed["name"] == name
    assert "/" not in pulled["file"]
    assert (command.folder / pulled["file"]).read_bytes() == b"some bytes"
    assert (command.folder / pulled["file"]).parent == command.folder


def test_a_stream_is_pushed_and_pulled(command: Command) -> None:
    name = unique()
    command.ok("push", "-", name, "--disk-format", "raw", stdin=DATA)

    assert command.ok("pull", name, "-").out == DATA


def test_a_pull_over_a_broken_line_continues_where_it_was(command: Command, server: Server) -> None:
    name = unique()
    command.file("disk.raw", DATA)
    command.ok("push", "disk.raw", name)

    with CuttingProxy(server.port, down=[9 * MIB, 5 * MIB]) as proxy:
        command.environ["CALOTYPE_URL"] = proxy.url
        command.ok("pull", name, "copy.raw", "-j", "1")

    assert (command.folder / "copy.raw").read_bytes() == DATA
    assert proxy.down_bytes < len(DATA) + 4 * MIB


def test_a_push_over_a_broken_line_is_sent_again(command: Command, server: Server) -> None:
    name = unique()
    command.file("disk.raw", DATA)

    with CuttingProxy(server.port, up=[9 * MIB]) as proxy:
        command.environ["CALOTYPE_URL"] = proxy.url
        (pushed,) = command.record("push", "disk.raw", name)

    assert (pushed["status"], pushed["os_hash_value"]) == ("active", hashlib.sha256(DATA).hexdigest())


def test_a_pull_that_ctrl_c_stopped_goes_on(command: Command, server: Server) -> None:
    name = unique()
    command.file("disk.raw", DATA)
    command.ok("push", "disk.raw", name)

    process = command.start("pull", name, "copy.raw", "--limit-rate", "8M")
    wait_for(lambda: parts(command.folder) and parts(command.folder)[0].stat().st_blocks * 512 > 4 * MIB)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    assert (process.returncode, err.decode()) == (130, STOPPED)
    assert not (command.folder / "copy.raw").exists()
    (state,) = states(command)
    missing = sum(end - start for start, end in json.loads(state.read_text())["missing"])
    assert 0 < missing < len(DATA) - 3 * MIB

    with CuttingProxy(server.port) as proxy:
        # The state belongs to the file and the image, whatever the way to the server.
        command.environ["CALOTYPE_URL"] = proxy.url
        command.ok("pull", name, "copy.raw")
    assert (command.folder / "copy.raw").read_bytes() == DATA
    assert proxy.down_bytes < missing + MIB


def test_a_push_that_ctrl_c_stopped_goes_on_with_the_same_image(command: Command) -> None:
    name = unique()
    command.file("disk.raw", DATA)

    process = command.start("push", "disk.raw", name, "--limit-rate", "8M")
    wait_for(lambda: states(command) and b"parts" in states(command)[0].read_bytes())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    (image,) = command.record("ls", name)
    (pushed,) = command.record("push", "disk.raw", name)

    assert (process.returncode, err.decode()) == (130, STOPPED)
    assert (pushed["id"], pushed["status"]) == (image["id"], "active")
    assert states(command) == []


def test_a_pull_of_other_bytes_than_the_image_should_have_leaves_no_file(
    command: Command, server: Server
) -> None:
    name = unique()
    command.file("disk.raw", DATA)
    (pushed,) = command.record("push", "disk.raw", name)
    (blob,) = server.blobs(pushed["id"])
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"rotten")

    result = command.run("pull", name, "copy.raw")

    assert result.status == 8, result.err
    assert "differ" in result.err
    assert not (command.folder / "copy.raw").exists()
    assert (parts(command.folder), states(command)) == ([], [])
    command.ok("rm", pushed["id"])


def test_an_existing_file_is_replaced_only_on_demand(command: Command) -> None:
    name = unique()
    command.file("disk.raw", b"new")
    command.ok("push", "disk.raw", name)
    command.file("copy.raw", b"old")

    refused = command.run("pull", name, "copy.raw")

    assert refused.status == 6
    assert [*(command.home / ".cache" / "calotype" / "transfers").iterdir()] == []
    assert (command.folder / "copy.raw").read_bytes() == b"old"
    command.ok("pull", name, "copy.raw", "--replace")
    assert (command.folder / "copy.raw").read_bytes() == b"new"


def test_two_pushes_of_one_file_at_once_make_one_image(command: Command) -> None:
    name = unique()
    command.file("disk.raw", DATA)
    first = command.start("push", "disk.raw", name, "--limit-rate", "20M")
    wait_for(lambda: states(command))

    second = command.run("push", "disk.raw", name)
    first.communicate(timeout=60)

    assert (first.returncode, second.status) == (0, 6)
    assert "Another process is at the same transfer" in second.err
    assert len(command.record("ls", name)) == 1


def test_a_file_that_shrinks_while_it_is_sent_leaves_no_image(command: Command) -> None:
    name = unique()
    path = command.file("disk.raw", DATA)
    process = command.start("push", "disk.raw", name, "--limit-rate", "20M")
    wait_for(lambda: states(command))

    os.truncate(path, 3 * MIB)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 6, err
    assert "changed while it was sent" in err.decode()
    assert command.record("ls", name) == []


def test_a_file_that_grows_while_it_is_sent_leaves_no_image(command: Command) -> None:
    name = unique()
    path = command.file("disk.raw", DATA)
    process = command.start("push", "disk.raw", name, "--limit-rate", "40M")
    wait_for(lambda: states(command))

    with path.open("ab") as file:
        file.write(b"more")
    _, err = process.communicate(timeout=60)

    assert process.returncode == 6, err
    assert command.record("ls", name) == []


def test_progress_is_written_as_lines_of_json(command: Command) -> None:
    name = unique()
    command.file("disk.raw", DATA)

    result = command.ok("push", "disk.raw", name, "--progress", "json")

    lines = [json.loads(line) for line in result.err.splitlines()]
    facts = {"direction", "image", "name", "phase", "transferred", "size", "elapsed", "description"}
    assert all(set(line) == facts for line in lines)
    assert {(line["direction"], line["name"]) for line in lines} == {("push", name)}
    phases = [line["phase"] for line in lines]
    assert (phases[0], phases[-2:], "store" in phases) == ("transfer", ["verify", "done"], True)
    assert (lines[-1]["transferred"], lines[-1]["size"]) == (len(DATA), len(DATA))


def test_a_pipe_gets_no_progress(command: Command) -> None:
    command.file("disk.raw", DATA)

    assert command.ok("push", "disk.raw", unique()).err == ""


def test_a_dry_run_sends_nothing(command: Command) -> None:
    name = unique()
    command.file("disk.raw", DATA)

    assert command.record("push", "--dry-run", "disk.raw", name)["size"] == len(DATA)
    assert command.record("ls", name) == []
