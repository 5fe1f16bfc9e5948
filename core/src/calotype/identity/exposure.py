"""Find secrets and databases that other users of the machine could read or write.

The start and `calotype-manage stores` report each finding as a sentence with the command that fixes it. They
change nothing, because an operator may have set the permissions on purpose.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from calotype.config.settings import Settings
from calotype.stores.catalog import Catalog

#: Matches a filter's password or secret, such as keystonemiddleware's, that the ini file itself contains.
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
    """Yield a sentence if the ini file is too open. If it holds no secret, every user may read it."""
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
    """Yield the values of all secret settings that are set."""
    url = _database_url(settings)
    if url is not None and url.password:
        yield str(url.password)
    for entry in stores.entries.values():
        yield from filter(None, entry.store.driver.options.secrets())
    for options in settings.webhooks.values():
        yield from options.secrets()


def _database_url(settings: Settings) -> URL | None:
    """Return the database's URL, or None if it is invalid. Opening the database reports that."""
    try:
        return make_url(settings.database_url.get_secret_value())
    except (ArgumentError, ValueError):
        return None


def _database_files(settings: Settings) -> Iterator[Path]:
    url = _database_url(settings)
    if url and url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        yield from (Path(url.database + suffix) for suffix in ("", "-wal", "-shm", "-journal"))


def _open_to_others(path: Path, bits: int) -> Iterator[str]:
    """Yield a sentence if the file's mode has any of `bits`."""
    mode = _mode(path) & bits
    words = {stat.S_IROTH: ("read", "r"), stat.S_IWOTH: ("changed", "w")}
    open_ = [word for bit, word in words.items() if mode & bit]
    if open_:
        done, letters = " and ".join(word for word, _ in open_), "".join(letter for _, letter in open_)
        yield f"{path} can be {done} by every user of this machine: chmod o-{letters} {path}"


def _replaceable(directory: Path) -> Iterator[str]:
    """Yield a sentence if every user may write to the directory and can therefore replace its files."""
    mode = _mode(directory)
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield (
            f"{directory} can be written by every user of this machine, who can therefore replace its files: "
            f"chmod o-w {directory}"
        )


def _mode(path: Path) -> int:
    """Return the mode of a path, or 0 if it does not exist or cannot be examined."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0
