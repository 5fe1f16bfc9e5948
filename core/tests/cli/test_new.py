"""`calotype-manage new`: what it writes, which names it refuses, and what it leaves untouched."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from calotype.cli.manage import main

LONGEST = "abcdefghijklmnopqrstuvwxyz_0123"
#: Arguments of `new` -> the directory that it creates.
NEW = {("store", "tape_2"): "calotype-store-tape-2", ("extension", "faces"): "calotype-faces"}
FORM = "use lower-case letters and digits, with a single _ between words"
TAKEN = "is installed already: choose another name, or uninstall it if it is yours"
#: Arguments of `new` -> exit status and a part of the one sentence.
REFUSED = {
    ("store", "Tape"): (2, f"'Tape' is not a name for a new driver: {FORM}"),
    ("store", "tape-2"): (2, FORM),
    ("store", "2tapes"): (2, FORM),
    ("store", "tape__2"): (2, FORM),
    ("store", "tape_"): (2, FORM),
    ("store", "../tape"): (2, FORM),
    ("store", "t\N{LATIN SMALL LETTER A WITH RING ABOVE}pe"): (2, FORM),
    ("store", "tape\n"): (2, FORM),
    ("store", ""): (2, FORM),
    ("store", f"{LONGEST}4"): (2, "at most 31 characters"),
    ("store", "file"): (1, f"the driver 'file' {TAKEN}"),
    ("extension", "Faces"): (2, f"'Faces' is not a name for a new extension: {FORM}"),
    ("extension", "metadefs"): (1, f"the extension 'metadefs' {TAKEN}"),
    ("extension", "v2"): (1, f"the dialect 'v2' {TAKEN}"),
    ("extension", "core"): (1, f"calotype-core {TAKEN}"),
    ("extension", "server"): (1, f"calotype-server {TAKEN}"),
    ("extension", "images"): (2, "the core has /v2/images itself"),
    ("extension", "store_tape"): (2, "names with store_ are for drivers"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory of the command, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*words: str) -> Result:
    return CliRunner().invoke(main, ["new", *words])


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", NEW, ids=" ".join)
def test_it_writes_a_distribution_and_says_how_to_try_it(words: tuple[str, str], folder: Path) -> None:
    done = new(*words)

    assert done.exit_code == 0, done.output
    assert files(folder / NEW[words]) >= {
        ".github/workflows/tests.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        f"src/{NEW[words].replace('-', '_')}/__init__.py",
        f"src/{NEW[words].replace('-', '_')}/py.typed",
    }
    assert [line.strip() for line in done.output.splitlines()[-3:]] == [
        f"cd {NEW[words]}",
        "pip install -e '.[test]'",
        "pytest",
    ]


def test_the_driver_gets_its_entry_point_and_needs_no_newer_core_than_this(folder: Path) -> None:
    new("store", "tape_2")
    project = tomllib.loads((folder / "calotype-store-tape-2/pyproject.toml").read_text())["project"]

    assert project["name"] == "calotype-store-tape-2"
    assert project["entry-points"] == {"calotype.stores": {"tape_2": "calotype_store_tape_2:Tape2Store"}}
    assert project["dependencies"] == ["calotype-core>=0.1"]


def test_an_extension_needs_a_core_with_the_same_minor_version(folder: Path) -> None:
    new("extension", "faces")
    project = tomllib.loads((folder / "calotype-faces/pyproject.toml").read_text())["project"]

    assert project["entry-points"] == {"calotype.extensions": {"faces": "calotype_faces"}}
    assert project["dependencies"] == ["calotype-core>=0.1,<0.2"]


def test_the_ci_file_runs_what_the_readme_says(folder: Path) -> None:
    new("store", "tape", "--into", "x")
    steps = (folder / "x/.github/workflows/tests.yml").read_text()
    readme = (folder / "x/README.md").read_text()

    assert "${{ matrix.python }}" in steps
    for command in ("pip install -e '.[test]'", "pytest", "mypy", "ruff check", "ruff format --check"):
        assert command in readme
        assert f"run: {command}" in steps


@pytest.mark.parametrize("kind", ["store", "extension"])
@pytest.mark.parametrize("name", ["a", LONGEST])
def test_no_length_of_name_breaks_a_rule_of_ruff(kind: str, name: str, folder: Path) -> None:
    assert new(kind, name, "--into", "new").exit_code == 0
    for command in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", folder / "new"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("words", REFUSED, ids=repr)
def test_a_name_that_cannot_be_used_is_refused_with_one_sentence(
    words: tuple[str, str], folder: Path
) -> None:
    done = new(*words)
    status, sentence = REFUSED[words]

    assert done.exit_code == status
    assert sentence in done.output
    assert done.output.startswith("calotype-manage: ")
    assert done.output.count("\n") == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--into", "calotype-store-tape"]])
def test_an_existing_directory_is_refused_and_stays_as_it_is(options: list[str], folder: Path) -> None:
    (folder / "calotype-store-tape").mkdir()
    (folder / "calotype-store-tape/mine").touch()
    done = new("store", "tape", *options)

    assert done.exit_code == 1
    assert done.output == (
        "calotype-manage: calotype-store-tape exists already: "
        "remove it, or name a new directory with --into\n"
    )
    assert files(folder) == {"calotype-store-tape/mine"}


def test_a_directory_that_cannot_be_created_is_named(folder: Path) -> None:
    (folder / "file").touch()
    done = new("store", "tape", "--into", "file/new")

    assert (done.exit_code, done.output) == (
        1,
        "calotype-manage: cannot write to file/new: Not a directory\n",
    )


def test_a_disk_that_fills_up_leaves_no_half_of_a_distribution(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def fill(path: Path, text: str, **given: str) -> int:
        if path.name == "__init__.py":
            raise OSError(28, "No space left on device")
        return write(path, text, **given)

    monkeypatch.setattr(Path, "write_text", fill)
    done = new("store", "tape")

    assert done.output == "calotype-manage: cannot write to calotype-store-tape: No space left on device\n"
    assert list(folder.iterdir()) == []
