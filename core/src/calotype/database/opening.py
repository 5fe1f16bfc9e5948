"""Open the database that the settings name, with one sentence for each mistake in its URL or its file."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from calotype.config.interpolation import SettingsError
from calotype.config.messages import located, one_line
from calotype.config.private_files import refused_access, this_user
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.disk_reserve import make_reserve
from calotype.database.engine import build_engine, is_missing

#: The modules of the database drivers that are supported.
_DRIVERS = ("psycopg", "pymysql")
#: The supported scheme for each scheme that people write instead.
_SCHEMES = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}


def open_database(settings: Settings, *, makes_database: bool) -> Database:
    """Return the database that the settings name; it connects when it is first used.

    Args:
        makes_database: Whether to create an SQLite file that does not exist, and its directory. Where
            nothing has been set up, the path is probably wrong, and a new, empty database would hide that.

    Raises:
        SettingsError: the database's URL cannot be used, its driver is not installed, its file may not be
            written, or there is no such file and none is to be created.
    """
    url = settings.database_url.get_secret_value()
    with _sentences(settings, url):
        if not makes_database and is_missing(url):
            raise SettingsError(f"{_place(settings)}{_no_database(settings, url)}")
        engine = build_engine(
            url,
            pool_size=settings.pool_size,
            pool_timeout=settings.pool_timeout,
            busy_timeout=settings.busy_timeout,
            answer_timeout=settings.database_timeout,
        )
        _require_writable(engine.url.database if engine.dialect.name == "sqlite" else None)
        reserve = make_reserve(engine.url, settings.disk_reserve)
    return Database(engine, reserve, keeps_audit=settings.audit_retention > 0)


@contextlib.contextmanager
def _sentences(settings: Settings, url: str) -> Iterator[None]:
    """Turn exceptions about the URL or its file into a sentence with its place in the ini file.

    Raises:
        SettingsError: there was one.
    """
    try:
        yield
        return
    except ModuleNotFoundError as error:
        reason = (
            f"the module {error.name} is not installed"
            f"{'' if error.name in _DRIVERS else _supported_scheme(url)} "
            "(pip install 'psycopg[binary]' for PostgreSQL, PyMySQL for MariaDB)"
        )
    except PermissionError as error:
        reason = refused_access(Path(error.filename), "read and write")
    except OSError as error:
        reason = f"{error.filename} cannot be opened or created by {this_user()}: {error.strerror}"
    except ArgumentError as error:
        reason = f"the database of this URL is not supported{_supported_scheme(url)} ({one_line(error)})"
        if "parse" in str(error):  # then SQLAlchemy's message is the text, which may contain a password
            reason = (
                "it is not a URL; write one such as sqlite:////srv/calotype.sqlite or "
                "postgresql+psycopg://user@host/name"
            )
    raise SettingsError(f"{_place(settings)}{reason}")


def _place(settings: Settings) -> str:
    return f"{located(settings.ini_file, 'sqlalchemy.url')}sqlalchemy.url: "


def _no_database(settings: Settings, url: str) -> str:
    path, data_dir = make_url(url).database or "", settings.data_dir
    below = data_dir is not None and Path(path).is_relative_to(data_dir)
    keys = "data_dir, or this key," if below else "this key"
    return (
        f"there is no database at {path}: correct {keys} if the path is wrong; to make a new database there, "
        "run `calotype-manage db upgrade INI`"
    )


def _supported_scheme(url: str) -> str:
    """Return the scheme to write instead of a common, but unsupported one; "" for any other scheme."""
    scheme = url.partition("://")[0].lower()
    supported = _SCHEMES.get(scheme.partition("+")[0])
    return f": write {supported}:// for {scheme}://" if supported and supported != scheme else ""


def _require_writable(file: str | None) -> None:
    """Raise PermissionError for an SQLite file that this user may not change: every write would fail."""
    if file and os.path.exists(file) and not os.access(file, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), file)
