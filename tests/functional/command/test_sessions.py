"""push through upload sessions: resumed in the middle, in parallel parts, and without zeros."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.functional.command.conftest import Command
from tests.functional.command.cutting import CuttingProxy
from tests.functional.command.test_transfers import states
from tests.support.server import Server
from tests.support.waiting import wait_for

MIB = 1 << 20
DATA = os.urandom(MIB) * 48


def unique() -> str:
    return f"image-{uuid.uuid4()}"


def stop(process: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C."""
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def test_a_push_over_a_broken_line_goes_on_where_it_was(command: Command, server: Server) -> None:
    command.file("disk.raw", DATA)

    with CuttingProxy(server.port, up=[21 * MIB, 9 * MIB]) as proxy:
        command.environ["CALOTYPE_URL"] = proxy.url
        (pushed,) = command.record("push", "disk.raw", unique())

    assert (pushed["status"], pushed["os_hash_value"]) == ("active", hashlib.sha256(DATA).hexdigest())
    assert proxy.up_bytes < len(DATA) + 8 * MIB


def test_a_push_that_ctrl_c_stopped_goes_on_where_it_was(command: Command, server: Server) -> None:
    name = unique()
    command.file("disk.raw", DATA)
    with CuttingProxy(server.port) as proxy:
        command.environ["CALOTYPE_URL"] = proxy.url
        with command.start("push", "disk.raw", name, "--limit-rate", "10M") as process:
            wait_for(lambda: proxy.up_bytes > 16 * MIB)
            stop(process)
        sent = proxy.up_bytes
        (pushed,) = command.record("push", "disk.raw", name)

    assert process.returncode == 130
    assert pushed["os_hash_value"] == hashlib.sha256(DATA).hexdigest()
    assert proxy.up_bytes - sent < len(DATA) - 8 * MIB
    assert states(command) == []


def test_a_push_goes_on_in_the_parts_that_it_began_with(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calotype_client.transfers.tus.PART", 8 * MIB)
    name = unique()
    command.file("disk.raw", DATA)
    with command.start("push", "disk.raw", name, "-j", "1", "--limit-rate", "10M") as process:
        wait_for(lambda: states(command) and b"parts" in states(command)[0].read_bytes())
        stop(process)

    (pushed,) = command.record("push", "disk.raw", name, "-j", "4")

    assert pushed["os_hash_value"] == hashlib.sha256(DATA).hexdigest()
    assert len(command.record("ls", name)) == 1


def test_a_session_whose_creation_got_no_answer_does_not_stop_the_next_push(command: Command) -> None:
    name = unique()
    command.file("disk.raw", DATA)
    with command.start("push", "disk.raw", name, "--limit-rate", "10M") as process:
        wait_for(lambda: states(command) and b"parts" in states(command)[0].read_bytes())
        stop(process)
    (state,) = states(command)
    known = json.loads(state.read_text())
    state.write_text(json.dumps({"image": known["image"], "file": known["file"]}))

    (pushed,) = command.record("push", "disk.raw", name)

    assert pushed["os_hash_value"] == hashlib.sha256(DATA).hexdigest()
    assert [image["id"] for image in command.record("ls", name)] == [pushed["id"]]


def test_a_push_outlasts_the_restart_of_its_server(command: Command, start_server: StartServer) -> None:
    server = start_server()
    command.file("disk.raw", DATA)
    with CuttingProxy(server.port) as proxy:
        command.environ["CALOTYPE_URL"] = proxy.url
        process = command.start("push", "disk.raw", "kept", "-o", "json", "--limit-rate", "10M")
        wait_for(lambda: proxy.up_bytes > 8 * MIB)
        server.kill()
        server.start()
        proxy.port = server.port
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert json.loads(out)[0]["os_hash_value"] == hashlib.sha256(DATA).hexdigest()


def test_a_file_that_changed_meanwhile_is_sent_anew(command: Command) -> None:
    name = unique()
    path = command.file("disk.raw", DATA)
    with command.start("push", "disk.raw", name, "--limit-rate", "10M") as process:
        wait_for(lambda: states(command) and b"parts" in states(command)[0].read_bytes())
        stop(process)
    (stopped,) = command.record("ls", name)
    path.write_bytes(DATA[::-1])

    (pushed,) = command.record("push", "disk.raw", name)

    assert pushed["id"] != stopped["id"]
    assert pushed["os_hash_value"] == hashlib.sha256(DATA[::-1]).hexdigest()
    assert len(command.record("ls", name)) == 1


@pytest.mark.parametrize("connections", ["1", "4"])
def test_parts_are_sent_at_the_same_time_and_joined(
    command: Command, monkeypatch: pytest.MonkeyPatch, connections: str
) -> None:
    monkeypatch.setattr("calotype_client.transfers.tus.PART", 8 * MIB)
    command.file("disk.raw", DATA)

    (pushed,) = command.record("push", "disk.raw", unique(), "-j", connections)

    assert (pushed["status"], pushed["size"]) == ("active", len(DATA))
    assert pushed["os_hash_value"] == hashlib.sha256(DATA).hexdigest()


def sparse(path: Path, size: int) -> int:
    """Write a disk that is 90 % empty, with holes and blocks of zeros that are no hole; return its data."""
    count = 0
    with path.open("wb") as file:
        file.write(DATA[: 2 * MIB])
        file.write(bytes(20 * MIB))
        for start in range(60 * MIB, size, 40 * MIB):
            file.seek(start)
            count += file.write(DATA[: 4 * MIB])
        file.truncate(size)
    return count + 2 * MIB


@pytest.mark.parametrize("gib", [1, pytest.param(10, marks=pytest.mark.campaign)])
def test_holes_and_blocks_of_zeros_are_neither_sent_nor_fetched(
    command: Command, server: Server, gib: int
) -> None:
    disk, copy, name = command.folder / "disk.raw", command.folder / "copy.raw", unique()
    data = sparse(disk, gib << 30)

    with CuttingProxy(server.port) as proxy:
        command.environ["CALOTYPE_URL"] = proxy.url
        command.ok("push", "disk.raw", name)
        sent = proxy.up_bytes
        command.ok("pull", name, "copy.raw")
        fetched = proxy.down_bytes
        command.ok("rm", name)

    subprocess.run(["cmp", disk, copy], check=True)
    assert data <= sent < data + 4 * MIB
    assert data <= fetched < data + 4 * MIB
    assert copy.stat().st_blocks * 512 < data + 4 * MIB
    disk.unlink()
    copy.unlink()


def test_a_refused_format_ends_the_session_and_leaves_no_image(command: Command, server: Server) -> None:
    name = unique()
    command.file("disk.vhd", b"not a vhd " * MIB)

    result = command.run("push", "disk.vhd", name, "--disk-format", "vhd")

    assert result.status in (1, 6), result.err
    assert command.record("ls", name) == []
    assert states(command) == []


def test_a_session_that_the_server_gave_up_is_begun_anew(command: Command, server: Server) -> None:
    name = unique()
    command.file("disk.raw", DATA)
    with command.start("push", "disk.raw", name, "--limit-rate", "10M") as process:
        wait_for(lambda: states(command) and b"parts" in states(command)[0].read_bytes())
        stop(process)
    (image_id,) = [image["id"] for image in command.record("ls", name)]
    for (session,) in server.query("SELECT id FROM upload_sessions WHERE image_id = ?", image_id):
        server.request("DELETE", f"/uploads/{session}", {"Tus-Resumable": "1.0.0"})

    (pushed,) = command.record("push", "disk.raw", name)

    assert pushed["os_hash_value"] == hashlib.sha256(DATA).hexdigest()
