"""Mistakes in commands: each ends with one sentence, and leaves nothing behind."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from calotype.cli import main
from tests.support.forked import run_manage
from tests.support.server import INI, write_ini

COMMANDS = {
    "no file": (["stores", "nosuch.ini"], 2, "calotype-manage: nosuch.ini: there is no such ini file"),
    "a directory": (["stores", "DIRECTORY"], 2, ": this is a directory: name the ini file in it"),
    "a broken file": (["stores", "BROKEN"], 1, "line 1"),
    "a variable": (["stores", "INI", "data_dri=/x"], 2, "did you mean data_dir?"),
    "no variable": (["stores", "INI", "quickly"], 2, "calotype-manage: 'quickly' is not a variable"),
    "a role": (["token", "add", "INI", "HOME", "--user", "u", "--role", "memebr"], 1, "did you mean member?"),
    "another role": (
        ["token", "add", "INI", "HOME", "--user", "u", "--role", "owner"],
        1,
        "admin, member, reader",
    ),
    "seconds": (["fsck", "INI", "HOME", "--window", "soon"], 2, "must be a time"),
    "a rate": (["fsck", "INI", "HOME", "--deep", "fast"], 2, "must be a size"),
    "a rate without a unit": (["fsck", "INI", "HOME", "--deep", "100"], 2, "100MiB"),
    "no database": (["fsck", "INI", "NEW"], 1, "there is no database at"),
    "an image of no database": (["images", "undelete", "INI", "x", "NEW"], 1, "db upgrade"),
    "a sweep of no database": (["sweep", "INI", "NEW"], 1, "db upgrade"),
    "a scrub of no database": (["scrub", "show", "INI", "NEW"], 1, "db upgrade"),
    "a database that is none": (
        ["db", "upgrade", "INI", "HOME", "database_url=sqlite:///TEXT"],
        1,
        "not a database",
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistake_ends_a_command_with_a_sentence(name: str, template: Path, tmp_path: Path) -> None:
    """r1-E4, r1-E5, r1-E6, r1-E7: a hint repeats the variables that were given."""
    words, status, wanted = COMMANDS[name]
    broken = tmp_path / "broken.ini"
    broken.write_text("x = y\n")
    stands_for = {
        "INI": str(INI),
        "BROKEN": str(broken),
        "DIRECTORY": str(tmp_path),
        "HOME": f"data_dir={template}",
        "NEW": f"data_dir={tmp_path}/new",
    }
    arguments = [stands_for.get(word, word).replace("TEXT", f"{template}/text") for word in words]
    done = run_manage(arguments)
    assert done.returncode == status, done.stderr
    assert wanted in done.stderr
    assert "Traceback" not in done.stderr
    if "NEW" in words:
        assert f"calotype-manage db upgrade {INI} data_dir={tmp_path}/new" in done.stderr


def run_here(*words: str | Path) -> Result:
    """Run `calotype-manage WORDS` in this process, which is faster than a process for each of many."""
    return CliRunner().invoke(main, [str(word) for word in words])


#: Each command that sets nothing up, without INI and VARIABLES.
LOOKING = (
    "db downgrade --to=0001",
    "db current",
    "db new-id --yes",
    "db check",
    "images undelete ID",
    "images unquarantine ID",
    "sweep",
    "fsck",
    "findings",
    "scrub show",
    "scrub run",
    "scrub resume STORE",
    "audit",
    "stores --create=file MIGRATE",
    "stores --claim=file MIGRATE",
)


@pytest.mark.parametrize("command", LOOKING)
def test_a_command_says_that_there_is_no_database_and_leaves_nothing(command: str, tmp_path: Path) -> None:
    """A misspelt data_dir got a directory with an empty database."""
    ini = INI if "MIGRATE" not in command else write_ini(tmp_path, {"calotype.migrate": "false"})
    words = command.replace(" MIGRATE", "").split()
    split = 1 + (words[0] in ("db", "images", "scrub"))
    done = run_here(*words[:split], ini, *words[split:], f"data_dir={tmp_path}/new")
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    assert re.match(r"calotype-manage: \S+, line \d+: sqlalchemy.url: there is no database at", done.stderr)
    assert f"there is no database at {tmp_path}/new/calotype.sqlite" in done.stderr
    assert f"calotype-manage db upgrade {ini} data_dir={tmp_path}/new" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["stores"], 1, "there is no database at"),
        (["stores", "URL"], 1, "it is not a URL"),
        (["token", "list"], 0, "there is no file of tokens"),
        (["token", "revoke"], 1, "there is no file of tokens"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_that_makes_no_database_leaves_nothing(
    words: list[str], status: int, said: str, tmp_path: Path
) -> None:
    url = ["database_url=x"] if "URL" in words else []
    words = [word for word in words if word != "URL"]
    of = ["ID"] if "revoke" in words else []
    done = run_here(*words, INI, *of, f"data_dir={tmp_path}/new", *url)
    assert done.exit_code == status
    assert said in done.output
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")
def test_files_that_root_makes_belong_to_the_owner_of_the_parent_directory(tmp_path: Path) -> None:
    """The service's user could write neither to root's directories nor to its files."""
    service, group = 61_001, 61_002
    above = tmp_path / "above"
    above.mkdir()
    os.chown(above, service, group)
    data = above / "data"
    ini = write_ini(tmp_path, {"store.file.path": f"{data}/images/first"})
    for words in (["db", "upgrade"], ["stores"], ["token", "add"]):
        more = {"stores": ["--create=file", "--check"], "token": ["--user=u", "--role=admin"]}
        done = run_manage([*words, ini, *more.get(words[0], []), f"data_dir={data}"])
        assert done.returncode == 0, done.stderr
    owners = {str(path): (path.stat().st_uid, path.stat().st_gid) for path in [data, *data.rglob("*")]}
    assert f"{data}/images/first/.calotype-store" in owners
    assert f"{data}/tokens.json" in owners
    assert {path: owner for path, owner in owners.items() if owner != (service, group)} == {}


def test_stores_shows_every_value_as_an_ini_file_has_it(tmp_path: Path) -> None:
    """Python's True, and none of the keys that the core reads."""
    keys = {
        "calotype.stores": "file",
        "store.file.quota": "${env:QUOTA}",
        "store.file.read_only": "yes",
        "store.file.accel": "/internal/",
        "store.file.scrub_rate": "512KiB",
        "store.file.call_timeout": "2m",
        "store.file.description": "on [this] disk",
        "store.file.redirect": "true",
    }
    done = run_manage(["stores", write_ini(tmp_path, keys), f"data_dir={tmp_path}"], {"QUOTA": "10485760"})
    for shown in (
        "fsync = true",
        "quota = 10MiB",
        "read_only = true",
        "accel = /internal/",
        "scrub = true",
        "scrub_rate = 512KiB",
        "call_timeout = 120",
        "description = on [this] disk",
        "create = true",
        "weight = 0",
        "redirect = true",
    ):
        assert shown in done.stdout
    assert "True" not in done.stdout


@pytest.mark.parametrize(
    ("role", "warned"),
    [(["--role=member"], True), ([], True), (["--role=admin"], False), (["--role=reader"], False)],
)
def test_a_token_that_can_make_no_image_is_made_with_a_warning(
    role: list[str], warned: bool, tmp_path: Path
) -> None:
    """Each upload with it is 403."""
    done = run_here("token", "add", INI, "--user=u", *role, f"data_dir={tmp_path}")
    assert done.exit_code == 0
    assert done.stdout.startswith("token of u, good for ever: ")
    assert done.stderr.count("\n") == warned
    assert ("it has no project" in done.stderr and "--project" in done.stderr) is warned
