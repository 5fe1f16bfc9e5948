"""Warnings about files that other users of the machine could read or change."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from calotype.app import open_stores
from calotype.cli.ini import load_settings
from calotype.cli.manage import main as manage
from calotype.identity.exposure import find_exposed
from calotype.identity.token_file import TokenFile

INI = """
[app:main]
use = egg:calotype-core
sqlalchemy.url = {database}
calotype.identity = {identity}
calotype.tokens_file = {folder}/tokens.json
calotype.stores = file vault
store.file.path = {folder}/images
store.file.create = true
store.vault.driver = s3
store.vault.bucket = images
store.vault.endpoint_url = http://127.0.0.1:9
store.vault.access_key = access
store.vault.retries = 0
store.vault.secret_key = {secret}
"""


class Place:
    """A secure installation in a directory, whose permissions tests change."""

    def __init__(self, folder: Path, **changes: str):
        given = {"folder": folder, "identity": "tokens", "secret": f"${{file:{folder}/secret}}"}
        given["database"] = f"sqlite:///{folder}/registry.sqlite"
        self.ini = folder / "calotype.ini"
        self.ini.write_text(INI.format(**(given | changes)) + changes.get("more", ""))
        self.tokens = folder / "tokens.json"
        TokenFile(self.tokens).add("u", "P", ())
        self.database, self.secret = folder / "registry.sqlite", folder / "secret"
        for path, mode in ((self.database, 0o640), (self.secret, 0o600), (self.ini, 0o644)):
            path.touch()
            path.chmod(mode)
        self.secret.write_text("s3-secret-canary\n")

    def warnings(self) -> list[str]:
        settings = load_settings(str(self.ini), {})
        stores = open_stores(settings)
        stores.close()
        return find_exposed(settings, stores)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_secure_installation_gets_no_warning(place: Place) -> None:
    """Everybody may read its ini file, because it contains no secret."""
    assert place.warnings() == []


@pytest.mark.parametrize(
    ("name", "mode", "done", "cure"),
    [
        ("tokens", 0o604, "read", "o-r"),
        ("tokens", 0o602, "changed", "o-w"),
        ("tokens", 0o666, "read and changed", "o-rw"),
        ("secret", 0o644, "read", "o-r"),
        ("secret", 0o622, "changed", "o-w"),
        ("database", 0o666, "changed", "o-w"),
        ("ini", 0o646, "changed", "o-w"),
    ],
)
def test_a_file_that_others_can_read_or_change_gets_a_warning_with_the_fix(
    place: Place, name: str, mode: int, done: str, cure: str
) -> None:
    """r1-C8: an example is `tokens.json` with mode 0666."""
    path: Path = getattr(place, name)
    path.chmod(mode)
    assert place.warnings() == [f"{path} can be {done} by every user of this machine: chmod {cure} {path}"]
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    ("name", "mode"), [("tokens", 0o660), ("database", 0o664), ("ini", 0o600), ("secret", 0o440)]
)
def test_permissions_of_a_group_get_no_warning(place: Place, name: str, mode: int) -> None:
    getattr(place, name).chmod(mode)
    assert place.warnings() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "written-out-canary"},
        {"database": "postgresql+psycopg://calotype:db-password-canary@127.0.0.1:9/x"},
        {"more": "webhook.x.url = https://x.example/\nwebhook.x.secret = webhook-canary-of-24-characters\n"},
        {"more": "\n[filter:authtoken]\nusername = calotype\npassword = keystone-canary\n"},
    ],
    ids=["a store's secret", "the database's password", "a webhook's secret", "the password of a filter"],
)
def test_an_ini_file_with_a_secret_that_others_can_read_gets_a_warning(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    place = Place(tmp_path, **changes)
    (warning,) = place.warnings()
    assert warning == f"{place.ini} can be read by every user of this machine: chmod o-r {place.ini}"
    place.ini.chmod(0o640)
    assert place.warnings() == []


def test_a_directory_whose_files_others_can_replace_gets_a_warning(tmp_path: Path, place: Place) -> None:
    """Everybody can replace a file of mode 0600 in a directory of mode 0777."""
    tmp_path.chmod(0o777)
    (warning,) = place.warnings()
    assert warning.startswith(f"{tmp_path} can be written by every user of this machine")
    tmp_path.chmod(0o1777)
    assert place.warnings() == []


def test_an_unused_file_of_tokens_gets_no_warning(tmp_path: Path) -> None:
    place = Place(tmp_path, identity="none")
    place.tokens.chmod(0o666)
    assert place.warnings() == []


def test_missing_files_get_no_warning(place: Place) -> None:
    place.tokens.unlink()
    place.database.unlink()
    assert place.warnings() == []


def test_the_command_stores_prints_the_warnings_about_file_permissions(place: Place) -> None:
    """r1-C8: they do not change its exit status."""
    place.tokens.chmod(0o666)
    place.database.unlink()
    shown = CliRunner().invoke(manage, ["stores", str(place.ini)])
    warning = f"warning: {place.tokens} can be read and changed by every user of this machine: chmod o-rw"
    assert warning in shown.output
    assert not place.database.exists()
