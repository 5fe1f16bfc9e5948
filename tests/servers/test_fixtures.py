"""The fixtures that start servers: what they leave, and what they do if a server cannot be installed."""

import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers import common, fixtures


def listens(url: str) -> bool:
    """Return whether a server accepts connections at the URL."""
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


@pytest.fixture
def unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a server `lacking` whose script finds no package."""
    script = tmp_path / "lacking"
    complaint = "echo needs the Debian package lacking >&2"
    script.write_text(f"#!/bin/sh\n[ $1 = start ] || exit 0\n{complaint}\nexit {common.UNAVAILABLE}\n")
    script.chmod(0o755)
    monkeypatch.setattr(fixtures, "SERVERS", tmp_path)


def test_a_server_runs_as_long_as_its_block_and_leaves_nothing() -> None:
    with fixtures.started("nginx") as settings:
        folder = Path(settings["NGINX_CACERT"]).parents[2]
        assert folder.is_dir()
        assert listens(settings["NGINX_URL"])

    assert not listens(settings["NGINX_URL"])
    assert not folder.exists()


def test_servers_that_start_together_get_different_ports() -> None:
    """Each server gets its port before the others listen."""
    command = [sys.executable, "-c", "import common; print(*common.free_ports(100))"]
    asking = [
        subprocess.Popen(command, cwd=fixtures.SERVERS, stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    ports = [port for process in asking for port in process.communicate()[0].split()]

    assert len(ports) == len(set(ports)) == 800


def test_the_error_for_a_package_that_cannot_be_installed_names_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(common.Unavailable, match="needs the Debian package no-such-package"):
        common.apt("no-such-package")


@pytest.mark.usefixtures("unavailable")
def test_a_server_without_its_package_skips_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Debian package lacking"), fixtures.started("lacking"):
        pass


@pytest.mark.usefixtures("unavailable")
def test_a_server_without_its_package_fails_the_test_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Debian package lacking"), fixtures.started("lacking"):
        pass
