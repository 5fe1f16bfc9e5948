"""Measure lists among few and many images, and show the indexes that they use."""

from __future__ import annotations

import datetime
import itertools
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyramid.paster import get_app
from pyramid.request import Request
from report import Report
from sqlalchemy import Connection, Engine, event, insert, select
from timing import Timing

from calotype.database.engine import build_engine
from calotype.database.tables import ImageRow
from client import Client
from server import INI, Server

LISTED = 25
ASKED = 200
BATCH = 5_000
_IMAGES = ImageRow.__table__


def measure_lists(report: Report, folder: Path, counts: tuple[int, ...], rounds: int) -> None:
    """Measure a list of 25 images, first if all images are public, then if only 25 of them are public."""
    for what, public in (("25 of all public", None), (f"the {LISTED} public of", LISTED)):
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(folder / f"{count}-{public}")) for count in counts]
            for server, count in zip(servers, counts, strict=True):
                populate(server, count, count if public is None else public)
            timings = [Timing(server) for server in servers]
            for _ in range(rounds):
                for server, timing in zip(servers, timings, strict=True):
                    with timing.round(ASKED):
                        _list(server)
            for count, timing in zip(counts, timings, strict=True):
                report.list(what, count, timing.seconds, timing.seconds / timings[0].seconds, timing.cpu)
        report.note(f"{what} {counts[-1]:,}: {'; '.join(_plan(servers[-1].data_dir))}")


def populate(server: Server, count: int, public: int) -> None:
    """Fill the database with copies of one image. The public copies are spread evenly among all."""
    with Client(server) as client:
        pattern_id = client.image("POST", "/images", x_image_meta_name="pattern")["id"]
    engine = build_engine(f"sqlite:///{server.data_dir / 'calotype.sqlite'}")
    with engine.begin() as connection:
        pattern = connection.execute(select(_IMAGES).where(_IMAGES.c.id == pattern_id)).mappings().one()
        rows = _copies(pattern, count - 1, public)
        while batch := list(itertools.islice(rows, BATCH)):
            connection.execute(insert(_IMAGES), batch)
    engine.dispose()


def _copies(pattern: Any, count: int, public: int) -> Iterator[dict[str, Any]]:
    every = max(1, count // public)
    for number in range(count):
        created = pattern["created_at"] + datetime.timedelta(milliseconds=number)
        yield {
            **pattern,
            "id": str(uuid.uuid4()),
            "name": f"image {number}",
            "created_at": created,
            "updated_at": created,
            "visibility": "public" if number % every == 0 and number // every < public else "private",
        }


def _list(server: Server) -> None:
    with Client(server) as client:
        for _ in range(ASKED):
            client.ask("GET", f"/images?limit={LISTED}")


def _plan(data_dir: Path) -> list[str]:
    """Return SQLite's query plans for the statements of a list."""
    asked: list[tuple[str, Any]] = []

    def remember(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if "images" in statement and statement.lstrip().upper().startswith(("SELECT", "WITH")):
            asked.append((statement, parameters))

    app = get_app(str(INI), options={"data_dir": str(data_dir)})
    event.listen(Engine, "before_cursor_execute", remember)
    try:
        Request.blank(f"/images?limit={LISTED}").get_response(app)
    finally:
        event.remove(Engine, "before_cursor_execute", remember)
    engine = build_engine(f"sqlite:///{data_dir / 'calotype.sqlite'}")
    with engine.connect() as connection:
        plans = [
            step.detail
            for statement, parameters in asked
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    engine.dispose()
    return plans
