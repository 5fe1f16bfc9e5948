"""`calotype-manage stores --create` for a file store, run by the service's user and by root."""

from __future__ import annotations

import codecs
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from calotype.cli.manage import main
from tests.support.server import write_ini

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

#: The service's user, who has no name on this machine.
SERVICE = 61_001


@dataclass(frozen=True)
class Machine:
    """Directories of root and of the service's user, and an ini file whose store is at `path`."""

    home: Path
    path: Path
    ini: Path

    def create(self, user: int) -> subprocess.CompletedProcess[str]:
        """Run `stores INI --create file` as this user."""
        data = f"data_dir={self.home}/data"
        return run_as(user, ["stores", str(self.ini), data, "--create", "file"])


@pytest.fixture
def machine() -> Iterator[Callable[[str], Machine]]:
    """machine(path): a machine whose store has this path below its home, which belongs to root."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own folders are closed to others
        home = Path(folder)
        home.chmod(0o755)
        (home / "data").mkdir()
        os.chown(home / "data", SERVICE, SERVICE)

        def make(path: str) -> Machine:
            ini = write_ini(
                home,
                {
                    "store.file.path": f"{home}/{path}",
                    "store.file.create": "false",
                    "calotype.stores": "file",
                },
            )
            ini.chmod(0o644)
            # In this process, so that it imports what the service's user may not be able to read.
            for words in (["db", "upgrade"], ["stores"]):
                done = CliRunner().invoke(main, [*words, str(ini), f"data_dir={home}/data"])
            codecs.lookup("ascii")
            assert "driver          file" in done.output
            return Machine(home, home / path, ini)

        yield make


def run_as(user: int, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `calotype-manage WORDS` in a fork of this process that belongs to the user."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if not child:
            try:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
                os.dup2(said.fileno(), 2)
                os.dup2(said.fileno(), 1)
                sys.stdout = sys.stderr = os.fdopen(2, "w")
                status = 70
                main(words)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, waited = os.waitpid(child, 0)
        said.seek(0)
        text = said.read()
        return subprocess.CompletedProcess(words, os.waitstatus_to_exitcode(waited), text, text)


def test_the_service_s_user_creates_a_store_in_an_empty_directory_of_its_own(
    machine: Callable[[str], Machine],
) -> None:
    """The directory was refused, although `install -d` is the usual way to make one."""
    at = machine("images")
    at.path.mkdir(mode=0o750)
    os.chown(at.path, SERVICE, SERVICE)
    done = at.create(SERVICE)
    assert done.returncode == 0, done.stderr
    assert (at.path / ".calotype-store").read_text() == "file\n"


def test_a_store_below_a_directory_of_root_is_refused_with_the_command_for_root(
    machine: Callable[[str], Machine],
) -> None:
    """The sentence said who must own a directory that did not exist."""
    at = machine("images")
    done = at.create(SERVICE)
    command = f"install -d -o {SERVICE} -g {SERVICE} -m 0750 {at.path}"
    assert (done.returncode, at.path.exists()) == (1, False)
    assert done.stderr == (
        "calotype-manage: store 'file': its directory cannot be created or used (Permission denied): "
        f"{at.home} belongs to user 'root' (id 0) and has the mode 0755, so the user with the id {SERVICE} "
        f"may not use it: as root, run `{command}` (path = {at.path})\n"
    )
    subprocess.run(command.split(), check=True)
    assert at.create(SERVICE).returncode == 0


@pytest.mark.parametrize("is_open", [True, False], ids=["of root", "below a closed directory"])
def test_a_directory_that_the_service_s_user_may_not_use_is_refused_with_the_command_for_root(
    is_open: bool, machine: Callable[[str], Machine]
) -> None:
    at = machine("disk/images")
    at.path.mkdir(parents=True)
    if is_open:
        command = f"chown -R {SERVICE}:{SERVICE} {at.path}"
    else:
        os.chown(at.path, SERVICE, SERVICE)
        at.path.parent.chmod(0o700)
        command = f"chmod o+x {at.path.parent}"
    done = at.create(SERVICE)
    assert done.returncode == 1, done.stderr
    assert f": as root, run `{command}` (path = {at.path})" in done.stderr
    subprocess.run(command.split(), check=True)
    assert at.create(SERVICE).returncode == 0


@pytest.mark.parametrize("is_there", [True, False])
def test_root_is_told_that_the_directory_of_a_new_store_belongs_to_root(
    is_there: bool, machine: Callable[[str], Machine]
) -> None:
    """The command said `reachable`, and the service's user got `Permission denied`."""
    at = machine("images")
    if is_there:
        at.path.mkdir(mode=0o750)
    done = at.create(0)
    assert done.returncode == 0, done.stderr
    assert (
        f"calotype-manage: store 'file': {at.path} belongs to user 'root' (id 0): if the service runs as "
        f"another user, run `chown -R USER: {at.path}` with that user's name\n"
    ) in done.stderr
    subprocess.run(["chown", "-R", f"{SERVICE}:{SERVICE}", at.path], check=True)
    assert at.create(SERVICE).returncode == 0


def test_a_store_that_root_creates_below_a_directory_of_the_service_s_user_is_that_user_s(
    machine: Callable[[str], Machine],
) -> None:
    at = machine("data/images")
    done = at.create(0)
    assert (done.returncode, "chown" in done.stderr) == (0, False), done.stderr
    assert not re.search("denied", at.create(SERVICE).stderr)
