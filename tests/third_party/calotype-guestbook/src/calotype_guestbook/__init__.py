"""A guestbook at /guestbook, with a worker that removes old entries."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, insert, select

from calotype.api.http import errors
from calotype.api.http.json_input import read_document
from calotype.api.http.resources import Resource, Root
from calotype.config import options
from calotype.config.quantities import Seconds
from calotype.database.columns import UTCDateTime
from calotype.database.migrate import Branch
from calotype.model import policy
from calotype.model.fields import InvalidRequest
from calotype.transfers.workers import Scope, Work

METADATA = MetaData()
ENTRIES = Table(
    "guestbook_entries",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("text", String(255), nullable=False),
    Column("written_at", UTCDateTime(), nullable=False),
)
MIGRATIONS = Branch("guestbook", Path(__file__).parent / "migrations", "guestbook_1", METADATA)


class Options(options.Options):
    """The options `extension.guestbook.*`."""

    keep: Seconds = Field(86400, gt=0, description="How long an entry is kept, in seconds.")
    interval: Seconds = Field(60, gt=0, description="Time between two searches for old entries, in seconds.")


class Guestbook(Resource):
    """The resource at /guestbook."""


def show(context: Guestbook, request: Request) -> Response:
    """GET /guestbook: all entries, oldest first."""
    with request.db.reading() as connection:
        entries = connection.scalars(select(ENTRIES.c.text).order_by(ENTRIES.c.id)).all()
    return Response(json={"entries": list(entries)})


def write(context: Guestbook, request: Request) -> Response:
    """POST /guestbook: add an entry."""
    text = read_document(request)
    if not isinstance(text, str) or not 0 < len(text) <= 255:
        raise InvalidRequest("An entry is a text of 1 to 255 characters.")
    with request.db.unit() as unit:
        now = datetime.datetime.now(datetime.UTC)
        unit.connection.execute(insert(ENTRIES).values(text=text, written_at=now))
    return Response(status=201)


def includeme(config: Configurator) -> None:
    """Add /guestbook below the root, with its views."""
    config.add_child(Root, "guestbook", Guestbook)
    config.add_error_form("guestbook", errors.json_document)
    config.add_view(show, context=Guestbook, method="GET", permission=policy.LIST)
    config.add_view(write, context=Guestbook, method="POST", permission=policy.CREATE)


def work(service: Any, options: Options) -> Iterable[Work]:
    """Return the guestbook's work in the background."""

    def forget() -> bool:
        oldest = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=options.keep)
        with service.database.unit(frees=True) as unit:
            unit.connection.execute(delete(ENTRIES).where(ENTRIES.c.written_at < oldest))
        return False

    return [Work("guestbook", options.interval, forget, Scope.PER_DEPLOYMENT)]
