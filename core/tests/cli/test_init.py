"""`calotype-manage init`: what it writes, and which directories it refuses."""

from __future__ import annotations

import configparser
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from calotype.cli.ini import load_settings
from calotype.cli.manage import main
from calotype.config import private_files
from calotype.identity.token_file import TokenFile
from tests.support.ini import INI


def init(folder: Path) -> Result:
    return CliRunner().invoke(main, ["init", str(folder)])


def logging_sections(ini: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(default_section="")
    parser.read(ini)
    names = ("logger", "handler", "formatter")
    return {name: dict(parser.items(name)) for name in parser.sections() if name.startswith(names)}


def test_it_writes_an_ini_file_and_a_token_that_identifies_an_administrator(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "images"

    done = init(folder)

    assert done.exit_code == 0, done.output
    settings = load_settings(str(folder / "calotype.ini"), {})
    token = done.output.splitlines()[2].strip()
    caller = TokenFile(settings.tokens_path()).caller(token)
    assert (caller.user, caller.project, set(caller.roles)) == ("admin", "admin", {"admin", "member"})
    assert stat.S_IMODE(settings.tokens_path().stat().st_mode) == private_files.SECRET
    assert token not in settings.tokens_path().read_text()
    assert f"  pserve {folder}/calotype.ini\n" in done.output


def test_it_logs_as_the_ini_file_of_the_checkout_does(tmp_path: Path) -> None:
    init(tmp_path)
    assert logging_sections(tmp_path / "calotype.ini") == logging_sections(INI)


def test_a_directory_that_is_not_empty_is_refused_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")

    done = init(tmp_path)

    assert done.exit_code == 1
    assert done.output.startswith(f"calotype-manage: {tmp_path} is not empty, and nothing was changed in it")
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert init(folder).output == f"calotype-manage: cannot write to {folder}: Not a directory\n"


@pytest.mark.parametrize("exists", [False, True])
def test_a_token_that_cannot_be_written_leaves_the_directory_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    folder = tmp_path / "images"
    if exists:
        folder.mkdir()

    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TokenFile, "add", fail)

    assert init(folder).output == f"calotype-manage: cannot write to {folder}: No space left on device\n"
    assert folder.exists() == exists
    assert not exists or list(folder.iterdir()) == []
