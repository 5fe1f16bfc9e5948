"""Open the database that the settings name. Each mistake in its URL or its file has its own message."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from calotype.config.interpolation import SettingsError
from calotype.config.messages import one_line
from calotype.config.private_files import refused_access, this_user
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.disk_reserve import make_reserve
from calotype.database.engine import build_engine, is_missing
from calotype.database.migrate import require_own_tables

#: The modules of the database drivers that are supported.
_DRIVERS = ("psycopg", "pymysql")
#: Common scheme that is not supported -> the supported scheme that a message suggests instead.
_SCHEMES = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
#: Parameters that SQLite itself reads, but only in a URI: https://www.sqlite.org/uri.html
_ONLY_IN_URIS = {"mode", "cache", "vfs", "immutable", "psow", "nolock", "modeof"}
_LAST_PORT = 65535
_ENCODE = (
    "the user and the password must be percent-encoded: write %40 for @ and %2F for / in them (in an ini "
    "file, %%40 and %%2F)"
)


def open_database(settings: Settings, *, makes_database: bool) -> Database:
    """Return the database that the settings name; it connects when it is first used.

    Args:
        makes_database: True to create a missing SQLite file and its directory. If false, a missing file is an
            error: the path is probably wrong, and a new, empty database would hide that.

    Raises:
        SettingsError: the database's URL cannot be used, its driver is not installed, this user may not write
            its file, or the file does not exist and `makes_database` is false.
        SchemaMismatch: the SQLite file is a database of another program.
    """
    text = settings.database_url.get_secret_value()
    try:  # the errors in this block do not name the key yet
        url = _read_url(text)
        if url.get_backend_name() == "sqlite":
            _check_sqlite(url, settings, makes_database=makes_database)
        engine = build_engine(
            url,
            pool_size=settings.pool_size,
            pool_timeout=settings.pool_timeout,
            busy_timeout=settings.busy_timeout,
            answer_timeout=settings.database_timeout,
        )
    except SettingsError as error:
        reason = str(error)
    except ModuleNotFoundError as error:
        reason = (
            f"the module {error.name} is not installed"
            f"{'' if error.name in _DRIVERS else _supported_scheme(text)} "
            "(pip install 'psycopg[binary]' for PostgreSQL, PyMySQL for MariaDB)"
        )
    except OSError as error:
        reason = f"{error.filename} cannot be opened or created by {this_user()}: {error.strerror}"
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            reason += ": a part of the path is a file; correct the path"
    except ArgumentError as error:
        reason = f"the database of this URL is not supported{_supported_scheme(text)} ({one_line(error)})"
    else:
        reserve = make_reserve(engine.url, settings.disk_reserve)
        webhooks = {name: options.events for name, options in settings.webhooks.items()}
        return Database(engine, reserve, keeps_audit=settings.audit_retention > 0, webhooks=webhooks)
    raise SettingsError(f"{settings.database_place}: {reason}")


def _read_url(text: str) -> URL:
    """Parse a database URL.

    Raises:
        SettingsError: the text is not a URL, or a part of the URL is wrong.
    """
    scheme, _, rest = text.partition("://")
    user_info = rest.partition("?")[0].rpartition("@")[0]
    if not scheme.lower().startswith("sqlite") and ("/" in user_info or "@" in user_info):
        raise SettingsError(_ENCODE)
    try:
        url = make_url(text)
    except ArgumentError:  # SQLAlchemy's message repeats the text, which may contain a password
        raise SettingsError(
            "it is not a URL; write one such as sqlite:////srv/calotype.sqlite or "
            "postgresql+psycopg://user@host/name"
        ) from None
    except ValueError:
        raise SettingsError(f"the port must be a number{_shown_port(rest)}") from None
    if url.drivername.lower().partition("+")[0] not in ("sqlite", *_SCHEMES):
        raise SettingsError(
            f"a database of the kind {url.drivername}:// is not supported: use one of sqlite://, "
            "postgresql+psycopg:// and mysql+pymysql://"
        )
    if "@" in (url.host or ""):  # the host contains a part of the password, which messages would show
        raise SettingsError(_ENCODE)
    if url.port is not None and not 0 < url.port <= _LAST_PORT:
        raise SettingsError(f"the port must be a number from 1 to {_LAST_PORT}{_shown_port(rest)}")
    return url


def _shown_port(rest: str) -> str:
    """Return the end of a sentence about a wrong port. `rest` is the URL without its scheme.

    The port is shown only if there is an @ before it. Otherwise the text after the colon may be a password.
    """
    _, at, place = rest.rpartition("@")
    if not at:
        return "; the form is USER:PASSWORD@HOST:PORT/NAME"
    return f", not {place.partition('/')[0].rpartition(':')[2]!r}"


def _check_sqlite(url: URL, settings: Settings, *, makes_database: bool) -> None:
    """Check the file of an SQLite URL, and the directory that it is in, before SQLite opens it.

    Raises:
        SettingsError: the URL names no file, or the file or its directory cannot be used.
        SchemaMismatch: the file is a database of another program.
    """
    name = url.database or ""
    if ":memory:" in name or url.query.get("mode") == "memory":
        raise SettingsError(
            "a database in memory cannot be used: name a file, as sqlite:////PATH, with four slashes"
        )
    if not name:
        raise SettingsError("it names no file: write sqlite:////PATH, with four slashes")
    is_uri = str(url.query.get("uri", "")).lower() in ("true", "yes", "on", "y", "t", "1")
    if not is_uri and (ignored := sorted(set(url.query) & _ONLY_IN_URIS)):
        raise SettingsError(
            f"its parameter {ignored[0]} has no effect, because SQLite reads it only in a URI: remove "
            f"?{ignored[0]}=..., or write sqlite:///file:/PATH?{ignored[0]}=...&uri=true"
        )
    if name.startswith("file:"):
        return  # SQLite itself checks a `file:` URI
    file = Path(name)
    if not file.is_absolute():
        source = f", because data_dir = {settings.data_dir} is" if _is_below(file, settings) else ""
        raise SettingsError(
            f"its path {name} is relative{source}, and so depends on the directory in which a command is "
            "started: write an absolute path, as sqlite:////PATH, with four slashes"
        )
    if not makes_database and is_missing(url):
        keys = "data_dir, or this key," if _is_below(file, settings) else "this key"
        raise SettingsError(
            f"there is no database at {file}: correct {keys} if the path is wrong; to make a new database "
            "there, run `calotype-manage db upgrade INI`"
        )
    if file.is_dir():
        raise SettingsError(f"{file} is a directory: name a file in it, such as {file}/calotype.sqlite")
    if file.exists():
        _require_access(file, os.R_OK | os.W_OK, "read and write")
        require_own_tables(_tables_of(file))
    if file.parent.is_dir():
        _require_access(file.parent, os.W_OK | os.X_OK, "create SQLite's files in")


def _is_below(file: Path, settings: Settings) -> bool:
    """Return whether the file is in data_dir because the URL contains this variable."""
    uses_data_dir = settings.data_dir is not None and "data_dir" in settings.database_variables
    return uses_data_dir and file.is_relative_to(settings.data_dir or "")


def _require_access(path: Path, mode: int, use: str) -> None:
    """Refuse a file or directory that this user may not use, because every request that writes would fail.

    Raises:
        SettingsError: the user may not use it; the message names the user and the owner.
    """
    if not os.access(path, mode):
        raise SettingsError(refused_access(path, use))


def _tables_of(file: Path) -> set[str]:
    """Return the names of an SQLite file's tables. Connecting with the engine would change the file."""
    with (
        contextlib.suppress(sqlite3.Error),  # the engine will report the error
        contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection,
    ):
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return set()


def _supported_scheme(url: str) -> str:
    """Return the end of a sentence that suggests the supported scheme; "" if there is no suggestion."""
    scheme = url.partition("://")[0].lower()
    supported = _SCHEMES.get(scheme.partition("+")[0])
    return f": write {supported}:// for {scheme}://" if supported and supported != scheme else ""
