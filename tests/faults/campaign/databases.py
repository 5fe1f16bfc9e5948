"""The databases of a service: SQLite, PostgreSQL, MariaDB. Each service gets an empty one."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.servers.fixtures import given_or_started, started
from tests.support.database import MAKERS, Settings

#: A variable that is set if a server is already running.
_MARKERS = {"postgres": "POSTGRES_URL", "mariadb": "MYSQL_URL"}
NAMES = ("sqlite", *_MARKERS)
#: The system calls by which a process communicates with the database.
CALLS = {
    "sqlite": ("pwrite64", "fdatasync"),
    "postgres": ("sendto", "recvfrom"),
    "mariadb": ("sendto", "recvfrom"),
}

#: The part of a URL that asks for TLS with a check of the certificate; {}: the file of the CA.
_OVER_TLS = {"postgres": "sslmode=verify-full&sslrootcert={}", "mariadb": "ssl_ca={}"}


@dataclass(frozen=True)
class Databases:
    """A running database server, or SQLite, which needs none."""

    name: str
    settings: Settings | None = None
    #: The file of the CA that signed the server's certificate, if connections use TLS.
    ca: str = ""

    def make(self) -> str:
        """Return the URL of an empty database, as an ini file contains it."""
        if self.settings is None:
            return "sqlite:///${data_dir}/calotype.sqlite"
        url = MAKERS[self.name](self.settings, f"t{uuid.uuid4().hex}")
        if not self.ca:
            return url
        # For an ini file, in which a % would have to be doubled.
        return f"{url}{'&' if '?' in url else '?'}{_OVER_TLS[self.name].format(self.ca)}"


def cut(url: str) -> None:
    """End all other connections to a database on a server, whatever they are doing."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
            return
        others = connection.scalars(
            text(
                "SELECT id FROM information_schema.processlist "
                "WHERE db = database() AND id <> connection_id()"
            )
        )
        for one in others.all():
            with contextlib.suppress(OperationalError):  # it has ended by itself
                connection.execute(text(f"KILL {int(one)}"))


@contextlib.contextmanager
def running(name: str) -> Iterator[Databases]:
    """Yield databases of this kind until the block ends."""
    if name == "sqlite":
        yield Databases(name)
    else:
        with given_or_started(name, _MARKERS[name]) as settings:
            yield Databases(name, settings)


@contextlib.contextmanager
def over_tls(name: str) -> Iterator[Databases]:
    """Yield databases of this kind on a server of their own, which requires TLS."""
    with started(name, {"DATABASE_TLS": "1"}) as settings:
        yield Databases(name, settings, settings["DATABASE_CACERT"])
