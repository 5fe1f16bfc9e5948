"""Secrets and databases that other users of the machine could read or write: found at start and by `stores`.

Nothing is changed, because an operator may have meant it so; each finding is a sentence that names the cure.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from calotype.config.settings import Settings
from calotype.stores.catalog import Catalog

#: A key of a filter in the ini file that holds a password, such as keystonemiddleware's.
_FILTER_SECRET = re.compile(r"^\s*\w*(password|secret)\s*[=:]\s*(?!\$\{)\S", re.M | re.I)


def find_exposed(settings: Settings, stores: Catalog) -> list[str]:
    """Return a sentence for each file whose permissions are too open; [] if there is none."""
    secrets = [*settings.secret_files]
    if settings.identity == "tokens":
        secrets.append(settings.tokens_path())
    databases = [*_database_files(settings)]
    found = [*_exposed_ini(settings, stores)]
    for path in secrets:
        found += _open_to_others(path, stat.S_IROTH | stat.S_IWOTH)
    for path in databases:
        found += _open_to_others(path, stat.S_IWOTH)
    directories = dict.fromkeys(path.parent for path in (*secrets, *databases))
    return [*found, *(sentence for path in directories for sentence in _replaceable(path))]


def _exposed_ini(settings: Settings, stores: Catalog) -> Iterator[str]:
    """Everybody may read an ini file that holds no secret, as the documentation advises."""
    path = settings.ini_file
    if path is None:
        return
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    holds_secret = _FILTER_SECRET.search(text) or any(secret in text for secret in _secrets(settings, stores))
    yield from _open_to_others(path, stat.S_IWOTH | (stat.S_IROTH if holds_secret else 0))


def _secrets(settings: Settings, stores: Catalog) -> Iterator[str]:
    """The values of all secret settings that are set."""
    url = _database_url(settings)
    if url is not None and url.password:
        yield str(url.password)
    for entry in stores.entries.values():
        options = entry.store.driver.options
        for name in type(options).model_fields:
            value = getattr(options, name)
            if isinstance(value, SecretStr) and value.get_secret_value():
                yield value.get_secret_value()


def _database_url(settings: Settings) -> URL | None:
    """The database's URL; None where it is none, which whoever opens the database says."""
    try:
        return make_url(settings.database_url.get_secret_value())
    except (ArgumentError, ValueError):
        return None


def _database_files(settings: Settings) -> Iterator[Path]:
    url = _database_url(settings)
    if url is None:
        return
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        yield from (Path(url.database + suffix) for suffix in ("", "-wal", "-shm", "-journal"))


def _open_to_others(path: Path, bits: int) -> Iterator[str]:
    """Name the bits, of these, that the file's mode has; what cannot be looked at is passed over."""
    try:
        mode = path.stat().st_mode & bits
    except OSError:
        return
    words = {stat.S_IROTH: ("read", "r"), stat.S_IWOTH: ("changed", "w")}
    open_ = [word for bit, word in words.items() if mode & bit]
    if open_:
        done, letters = " and ".join(word for word, _ in open_), "".join(letter for _, letter in open_)
        yield f"{path} can be {done} by every user of this machine: chmod o-{letters} {path}"


def _replaceable(directory: Path) -> Iterator[str]:
    """Whoever may write to a directory may put another file in the place of one of its files."""
    try:
        mode = directory.stat().st_mode
    except OSError:
        return
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield (
            f"{directory} can be written by every user of this machine, who can so replace the files in it: "
            f"chmod o-w {directory}"
        )
