"""How the command ends when something is wrong: its exit status, and what it says."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.command.conftest import Command
from tests.servers import common
from tests.support.disks import NoDisk, small_disk
from tests.support.v2 import People
from tests.support.web import Web, reply

MIB = 1 << 20


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that is its own CA, and its key."""
    cert, key = common.Server(tmp_path_factory.mktemp("certificate")).certificate()
    return Path(cert), Path(key)


@pytest.fixture
def https(certificate: tuple[Path, Path]) -> Iterator[Web]:
    """A web server with that certificate, whose list of images is empty."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Web(tls=context) as running:
        running.page = reply(200, b'{"images": []}')
        yield running


def test_no_server_ends_with_5(command: Command, web: Web) -> None:
    command.environ["CALOTYPE_URL"] = f"http://127.0.0.1:{web.closed}"

    result = command.run("ls")

    assert result.status == 5
    assert result.err.startswith(f"Error: No server answers at http://127.0.0.1:{web.closed}: ")
    assert "Hint: Check the URL" in result.err


def test_an_unknown_host_ends_with_5(command: Command) -> None:
    command.environ["CALOTYPE_URL"] = "http://no-such-host.invalid"

    assert command.run("ls").status == 5


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9292", "ftp://127.0.0.1", "http://", "http://u:p@127.0.0.1", "http://[1"]
)
def test_what_is_no_url_ends_with_2(command: Command, url: str) -> None:
    command.environ["CALOTYPE_URL"] = url

    assert command.run("ls").status == 2


@pytest.mark.parametrize(
    "body", [b"<html>a web page</html>", b"[]", b'{"images": 1}', b'{"images": [{"id": 1}]}', b"\xff", b""]
)
def test_a_server_that_answers_nonsense_ends_with_1(command: Command, web: Web, body: bytes) -> None:
    web.page = reply(200, body)
    command.environ["CALOTYPE_URL"] = web.url("").rstrip("/")

    result = command.run("ls")

    assert result.status == 1
    assert "Hint: Is the URL that of an image service?" in result.err


@pytest.mark.parametrize("verb", ["ls", "stores", "usage", "ping"])
def test_the_url_of_another_service_is_noticed(command: Command, web: Web, verb: str) -> None:
    web.page = reply(404)
    command.environ["CALOTYPE_URL"] = web.url("").rstrip("/")

    assert command.run(verb).status in (1, 4)


def test_a_certificate_of_an_unknown_ca_ends_with_2(command: Command, https: Web) -> None:
    command.environ["CALOTYPE_URL"] = https.url("").rstrip("/")

    result = command.run("ls")

    assert result.status == 2
    assert "is not secure" in result.err
    assert "--cacert" in result.err


def test_a_certificate_is_trusted_by_its_ca(
    command: Command, https: Web, certificate: tuple[Path, Path]
) -> None:
    command.ok("login", https.url("").rstrip("/"), "--no-token", "--cacert", str(certificate[0]))
    del command.environ["CALOTYPE_URL"]

    assert command.record("ls") == []


def test_a_wrong_token_ends_with_3(commands: dict[str, Command]) -> None:
    commands["u1"].environ["CALOTYPE_TOKEN"] = "wrong"

    result = commands["u1"].run("ls")

    assert result.status == 3
    assert "Hint: Log in with a token" in result.err
    assert "Request: req-" in result.err


def test_what_only_administrators_may_do_ends_with_3(commands: dict[str, Command]) -> None:
    assert commands["u1"].run("stores", "--detail").status == 3


def test_a_refusal_says_to_whom_the_image_belongs(commands: dict[str, Command], people: People) -> None:
    name = str(uuid.uuid4())
    commands["u1"].file("disk.raw", b"bytes")
    commands["u1"].ok("push", "disk.raw", name, "--visibility", "community")
    image_id = commands["u1"].record("show", name)["id"]

    refused = commands["u2"].run("rm", image_id)

    assert (refused.status, f"belongs to project {people.u1.project}" in refused.err) == (3, True)


def test_a_missing_image_ends_with_4(command: Command) -> None:
    assert command.run("show", "nothing of this name").status == 4
    assert command.run("show", str(uuid.uuid4())).status == 4


def test_a_taken_id_ends_with_6(command: Command) -> None:
    taken = str(uuid.uuid4())
    command.file("disk.raw", b"bytes")
    command.ok("push", "disk.raw", "a", "--id", taken)

    assert command.run("push", "disk.raw", "b", "--id", taken).status == 6


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("pusj", "file"),
        ("ls", "--nonsense"),
        ("push",),
        ("push", "missing.raw"),
        ("push", "."),
        ("push", "empty.raw"),
        ("push", "disk.raw.gz"),
        ("push", "disk.qcow2", "--disk-format", "raw"),
        ("push", "backed.qcow2"),
        ("push", "disk.raw", "--limit-rate", "fast"),
        ("push", "disk.raw", "--disk-format", "foo"),
        ("push", "disk.raw", "--store", "nowhere"),
        ("push", "disk.raw", "-p", "no value"),
        ("push", "-"),
        ("ls", "-r", "nowhere"),
        ("ls", "-c", "nothing"),
        ("copy", "disk"),
        ("copy", "disk", "--to", "x:", "--store", "y"),
        ("api", "GET", "/v2/images", "-d", "{"),
        ("logout", "nowhere"),
        ("login", "http://127.0.0.1", "--token-file", "missing"),
        ("set", "disk"),
        ("set", "disk", "-p", "owner=x"),
        ("ls", "--status", "bogus"),
        ("wait", "disk", "--for", "bogus"),
        ("import", "notaurl"),
        ("api", "GET", "nope"),
        ("pull", "disk", "nowhere/"),
    ],
)
def test_a_mistake_in_the_command_ends_with_2(command: Command, arguments: tuple[str, ...]) -> None:
    command.file("empty.raw", b"")
    command.file("disk.raw", b"a disk")
    command.file("disk.raw.gz", b"\x1f\x8b compressed")
    command.file("disk.qcow2", b"QFI\xfb\0\0\0\3" + bytes(100))
    command.file("backed.qcow2", b"QFI\xfb\0\0\0\3" + (512).to_bytes(8) + bytes(100))
    result = command.run(*arguments)

    assert result.status == 2, result.err
    assert result.err


@pytest.mark.parametrize("verb", [("push", "FILE"), ("ls",), ("show",), ("rm",), ("pull",), ("wait",)])
def test_an_unknown_remote_ends_with_2_and_nothing_goes_to_the_default_server(
    command: Command, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    file = tmp_path / "disk.raw"
    file.write_bytes(b"bytes")
    before = command.run("ls", "-q").text
    failed = command.run(*(f"{file}" if word == "FILE" else word for word in verb), "nowhere:web")
    assert (failed.status, "no remote 'nowhere'" in failed.err) == (2, True)
    assert command.run("ls", "-q").text == before


def test_a_colon_at_the_beginning_says_that_others_belong_to_the_name(
    command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "disk.raw"
    file.write_bytes(b"bytes")
    assert command.run("push", f"{file}", ":debian:12").status == 0
    assert command.run("show", ":debian:12", "-o", "value", "-c", "name").text.strip() == "debian:12"
    assert command.run("rm", ":debian:12").status == 0


def test_a_full_standard_output_ends_with_7(command: Command) -> None:
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [Path(sys.executable).with_name("calotype"), "ping"],
            env={"PATH": os.environ["PATH"], **command.environ},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    said = "Error: The output cannot be written: No space left on device.\n"
    assert (process.returncode, process.stderr) == (7, said)


def test_a_refused_file_leaves_no_image(command: Command) -> None:
    """The client takes the file for a raw disk; the server looks closer."""
    name = str(uuid.uuid4())
    command.file("disk.vhd", b"not a vhd" * 1000)

    result = command.run("push", "disk.vhd", name, "--disk-format", "vhd")

    assert result.status in (1, 6), result.err
    assert command.record("ls", name) == []


def test_a_full_disk_ends_a_pull_with_7_and_it_goes_on(command: Command, tmp_path: Path) -> None:
    data = os.urandom(6 * MIB)
    name = str(uuid.uuid4())
    command.file("disk.raw", data)
    command.ok("push", "disk.raw", name)
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        with small_disk(folder, "8m") as disk:
            (disk / "ballast").write_bytes(bytes(4 * MIB))
            full = command.run("pull", name, str(disk / "copy.raw"))
            (disk / "ballast").unlink()
            command.ok("pull", name, str(disk / "copy.raw"))
            assert (disk / "copy.raw").read_bytes() == data
    except NoDisk as error:
        pytest.skip(f"mount: {error}")

    assert full.status == 7, full.err
    assert "is full" in full.err


def test_a_quota_ends_with_7(start_server: Callable[..., object], command: Command) -> None:
    server = start_server({"calotype.project_images": "1"})
    command.environ["CALOTYPE_URL"] = server.base  # type: ignore[attr-defined]
    command.file("disk.raw", b"bytes")
    command.ok("push", "disk.raw", "a")

    assert command.run("push", "disk.raw", "b").status == 7


def test_a_closed_pipe_is_no_error(command: Command) -> None:
    with command.start("ls", "-o", "json") as process:
        process.stdout.close()
        said = process.stderr.read()

    assert process.returncode in (0, 141)
    assert said == b""


def test_no_message_contains_the_token(commands: dict[str, Command], people: People) -> None:
    said = [
        commands["u1"].run(*arguments)
        for arguments in (
            ("stores", "--detail"),
            ("show", "x"),
            ("api", "GET", "/v2/nothing"),
            ("ls", "-r", "x"),
        )
    ]

    assert all(people.u1.token not in result.err + result.text for result in said)
