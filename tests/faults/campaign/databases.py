"""The databases that the service runs on: SQLite, PostgreSQL, MariaDB; each service gets an empty one."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from tests.databases.making import MAKERS, Settings
from tests.servers.fixtures import given_or_started

#: A variable that tells of a server that runs already.
_MARKERS = {"postgres": "POSTGRES_URL", "mariadb": "MYSQL_URL"}
NAMES = ("sqlite", *_MARKERS)
#: The calls by which a process speaks to the database, and which change nothing else of note.
CALLS = {
    "sqlite": ("pwrite64", "fdatasync"),
    "postgres": ("sendto", "recvfrom"),
    "mariadb": ("sendto", "recvfrom"),
}


@dataclass(frozen=True)
class Databases:
    """A running database server, or SQLite, which needs none."""

    name: str
    settings: Settings | None = None

    def make(self) -> str:
        """The URL of an empty database, as it stands in an ini file."""
        if self.settings is None:
            return "sqlite:///${data_dir}/tintype.sqlite"
        return MAKERS[self.name](self.settings, f"t{uuid.uuid4().hex}")


@contextlib.contextmanager
def running(name: str) -> Iterator[Databases]:
    """Databases of that kind for as long as the `with` lasts."""
    if name == "sqlite":
        yield Databases(name)
    else:
        with given_or_started(name, _MARKERS[name]) as settings:
            yield Databases(name, settings)
