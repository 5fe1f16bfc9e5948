"""The commands of docs/operations.md that create a database, and the URL of the page, on real servers."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.pages import DOCS, block_called
from tests.support.server import write_ini

PAGE = DOCS / "operations.md"
#: In place of Debian's database servers, whose administrators are users of the machine: the tests' servers,
#: whose administrators have a password.
_ADMINISTRATORS = """
runuser() { eval "$4"; }
mariadb() { command mariadb --host="$MYSQL_HOST" --port="$MYSQL_PORT" --user="$MYSQL_USER" "$@"; }
export MYSQL_PWD=${MYSQL_PASSWORD-}
"""


def type_block(caption: str, name: str, password: str, settings: Mapping[str, str]) -> None:
    """Run a block of the page, with this name in place of the user's and the database's."""
    text = block_called(PAGE, caption).text.replace("calotype", name).replace("PASSWORD", password)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _ADMINISTRATORS + text],
        env={**os.environ, **settings},
        input=f"{password}\n{password}\n",
        capture_output=True,
        text=True,
        start_new_session=True,  # createuser asks at the terminal if there is one
    )
    assert done.returncode == 0, done.stdout + done.stderr


def upgrade(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Create the tables in the database with this URL, and compare them with those of the code."""
    ini = write_ini(folder, {"sqlalchemy.url": url})
    command = Path(sys.executable).with_name("calotype-manage")
    return subprocess.run(
        ["bash", "-c", '"$0" db upgrade "$1" && "$0" db check "$1"', command, ini],
        capture_output=True,
        text=True,
    )


def url_in_page(scheme: str, name: str, password: str, server: str) -> str:
    """Return the page's URL of this scheme, with this name, password and server."""
    url = f"{scheme}://calotype:PASSWORD@db.example.com/calotype"
    assert url in PAGE.read_text()
    return url.replace("calotype", name).replace("PASSWORD", password).replace("db.example.com", server)


def test_the_commands_for_postgresql_create_a_database_in_which_the_service_creates_its_tables(
    postgres: Mapping[str, str], tmp_path: Path
) -> None:
    name, password = f"t{uuid.uuid4().hex}", uuid.uuid4().hex

    type_block("create a role and a database on PostgreSQL", name, password, postgres)

    server = f"{postgres['PGHOST']}:{postgres['PGPORT']}"
    done = upgrade(url_in_page("postgresql+psycopg", name, password, server), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.campaign
def test_the_commands_for_mariadb_create_a_database_in_which_the_service_creates_its_tables(
    mariadb: Mapping[str, str], tmp_path: Path
) -> None:
    name, password = f"t{uuid.uuid4().hex}", uuid.uuid4().hex

    type_block("create a user and a database on MariaDB", name, password, mariadb)

    server = f"{mariadb['MYSQL_HOST']}:{mariadb['MYSQL_PORT']}"
    done = upgrade(url_in_page("mysql+pymysql", name, password, server), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
