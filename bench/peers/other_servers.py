"""Calotype's application under its own server, gunicorn and plain waitress."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path

from testservers import common

from peers.calotype import Calotype
from peers.peer import PROCESSES, Refused

GUNICORN, WAITRESS = "gunicorn", "plain waitress"
#: The pserve of this environment, because the other has no gunicorn.
PSERVE = Path(sys.executable).with_name("pserve")
#: Removes the lines in calotype.ini that only our own server has.
NONE_OF_OURS = {"listen": "", "underscore_headers": ""}


class Served(Calotype):
    """Calotype's application with a limit on the size of images."""

    patience = 20

    def __init__(self, folder: Path, cap: int):
        super().__init__(folder, {"calotype.image_size_cap": str(cap)}, self.name)
        self._cap = cap

    def spawn(self) -> None:
        self._spawn("env", f"TMPDIR={self.folder}", PSERVE, self._ini, *self._variables())

    def refused(self) -> Refused:
        """Return an upload of one byte too many."""
        size = self._cap + 1
        headers = {"Content_Type": "application/octet-stream", "x_image_meta_size": str(size)}
        return Refused("POST", "/images", headers, size)

    def running_uploads(self) -> int:
        """Return how many uploads the application has begun and not ended, from its database."""
        with contextlib.closing(sqlite3.connect(self.folder / "calotype.sqlite", timeout=30)) as database:
            return database.execute("SELECT count(*) FROM images WHERE status = 'saving'").fetchone()[0]


class OwnServer(Served):
    """The application under Calotype's own server."""

    name = "own server"


class Gunicorn(Served):
    """The application under gunicorn, as docs/operations.md sets it up."""

    name = GUNICORN

    def server_section(self) -> Mapping[str, str]:
        return {
            **NONE_OF_OURS,
            "use": "egg:gunicorn#main",
            "host": common.HOST,
            "port": str(self.port),
            "workers": str(PROCESSES),
            "worker_class": "gthread",
            "threads": "16",
            "header_map": "dangerous",
        }


class Waitress(Served):
    """The application under the waitress of the package index, which has one process."""

    name = WAITRESS

    def server_section(self) -> Mapping[str, str]:
        return {
            **NONE_OF_OURS,
            "use": "egg:waitress#main",
            "listen": f"{common.HOST}:{self.port}",
            "threads": "16",
            "max_request_body_size": str(2 * self._cap),
        }
