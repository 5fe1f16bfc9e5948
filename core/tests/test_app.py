"""Databases that cannot be opened are refused with a sentence."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from calotype.checks import _warn_of_no_filter
from calotype.config.interpolation import SettingsError
from calotype.config.settings import Settings
from calotype.database.opening import open_database

#: The user that owns nothing.
NOBODY = 65534


def opened_by_nobody(settings: Settings) -> str:
    """Return the error that a user who owns nothing gets; "" if the database can be opened."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(NOBODY)
        try:
            open_database(settings, makes_database=True)
        except SettingsError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as told:
        os.waitpid(child, 0)
        return told.read()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, because pytest's own is closed to others."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_a_database_that_its_user_may_not_change_is_refused_with_user_and_owner(open_folder: Path) -> None:
    """Such a service would look healthy, but no request could change anything."""
    file = open_folder / "registry.sqlite"
    file.touch()
    file.chmod(0o644)
    settings = Settings(**{"sqlalchemy.url": f"sqlite:///{file}"})

    told = opened_by_nobody(settings)
    assert f"user 'nobody' (id {NOBODY}) may not read and write {file}, because {file} belongs to" in told
    assert "belongs to user 'root' (id 0) and has the mode 0644: run this as its owner" in told

    file.chmod(0o666)
    told = opened_by_nobody(settings)
    assert f"may not create SQLite's files in {open_folder}, because {open_folder} belongs to" in told
    file.unlink()
    assert f"may not create SQLite's files in {open_folder}" in opened_by_nobody(settings)

    open_folder.chmod(0o777)
    assert opened_by_nobody(settings) == ""


@pytest.mark.parametrize(
    ("url", "works"),
    [
        ("postgres://", "postgresql+psycopg://"),
        ("postgresql+psycopg2://", "postgresql+psycopg://"),
        ("POSTGRES://", "postgresql+psycopg://"),
        ("mysql://", "mysql+pymysql://"),
        ("mysql+mysqldb://", "mysql+pymysql://"),
        ("mariadb://", "mysql+pymysql://"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_scheme_that_works(url: str, works: str) -> None:
    """Other programs use these schemes; SQLAlchemy's own message names a module or a plugin."""
    settings = Settings(**{"sqlalchemy.url": f"{url}user:hunter2@host/name"})
    with pytest.raises(SettingsError) as caught:
        open_database(settings, makes_database=True)
    assert f"write {works} for {url.lower()}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("user_info", ["u:hun@ter2", "u:hun/ter2", "u:hun?@ter2", "u/ter2", "u@ter2:p"])
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(user_info: str) -> None:
    settings = Settings(**{"sqlalchemy.url": f"postgresql+psycopg://{user_info}@host/name"})
    with pytest.raises(SettingsError, match="must be percent-encoded") as caught:
        open_database(settings, makes_database=True)
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize(
    "rest",
    [
        "u:p%40%2F@host/name",
        "u:p:w@host:5432/name",
        "u@/name?unix_socket=/run/mysqld.sock",
        "u@host/name?init_command=SET%20@@x=1/2",
        "u:p?w@[::1]:3306/name",
    ],
)
def test_valid_urls_are_accepted(rest: str) -> None:
    settings = Settings(**{"sqlalchemy.url": f"mysql+pymysql://{rest}"})
    open_database(settings, makes_database=True).close()


def test_a_uri_in_the_form_of_sqlite_is_not_reported_as_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(**{"sqlalchemy.url": "sqlite:///file:folder/x.sqlite?mode=ro&uri=true"})
    open_database(settings, makes_database=False).close()
    assert list(tmp_path.iterdir()) == []


FILTER = "[filter:auth]\npaste.filter_factory = keystonemiddleware.auth_token:filter_factory\n"


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        ("[app:main]\nuse = egg:calotype-core\n", True),
        (f"{FILTER}[pipeline:main]\npipeline = calotype\n", True),
        (f"{FILTER}[pipeline:main]\npipeline = auth calotype\n", False),
        (f"{FILTER}[app:main]\nuse = egg:calotype-core\nfilter-with = auth\n", False),
        ("[filter-app:main]\nuse = egg:keystonemiddleware#auth_token\nnext = calotype\n", False),
    ],
)
def test_identity_keystone_without_its_filter_is_logged(
    text: str, warns: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ini = tmp_path / "test.ini"
    ini.write_text(text)
    _warn_of_no_filter(Settings(**{"sqlalchemy.url": "sqlite://"}, identity="keystone", ini_file=ini))
    assert ("keystone needs the filter of keystonemiddleware" in caplog.text) is warns
