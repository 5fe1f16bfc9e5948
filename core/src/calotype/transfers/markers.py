"""Markers of places: the owner of a store's place, and sentences about it for operators."""

from __future__ import annotations

import datetime
import enum
import json
from dataclasses import dataclass

from calotype.config.messages import counted

#: The owner that `--from` names if the marker of a place cannot be read.
UNREADABLE = "unreadable"


class PlaceState(enum.StrEnum):
    """The known state of a store's place."""

    UNKNOWN = "unknown"  #: not examined yet, or unreachable
    OWN = "own"
    EMPTY = "empty"  #: no marker, and nothing else
    UNMARKED = "unmarked"  #: no marker, and it holds blobs or the driver cannot list
    FOREIGN = "foreign"  #: it belongs to another database, or to another store of this one


@dataclass(frozen=True, slots=True)
class Marker:
    """The owner of a place: the database's id, the store's name there, and when it was marked."""

    database: str
    store: str
    marked_at: datetime.datetime

    def __str__(self) -> str:
        return f"store '{self.store}' of database {self.database}, marked {self.marked_at:%Y-%m-%d %H:%M} UTC"

    def to_bytes(self) -> bytes:
        """Return the marker as JSON."""
        fields = {"registry": self.database, "store": self.store, "marked_at": self.marked_at.isoformat()}
        return json.dumps(fields).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Marker:
        """Return the marker. If the bytes are malformed, its owner is UNREADABLE, which counts as foreign."""
        try:
            fields = json.loads(data)
            moment = datetime.datetime.fromisoformat(fields["marked_at"]).astimezone(datetime.UTC)
            return cls(str(fields["registry"]), str(fields["store"]), moment)
        except (ValueError, TypeError, KeyError):
            return cls(UNREADABLE, UNREADABLE, datetime.datetime.fromtimestamp(0, datetime.UTC))


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a place: `known` of its `count` blobs have a row in this database."""

    count: int
    bytes: int
    known: int
    examples: tuple[str, ...]


def describe(state: PlaceState, marker: Marker | None, command: str, name: str, *, can_list: bool) -> str:
    """Return a sentence about a place that is not foreign, with the command that changes its state.

    `command` is "calotype-manage stores" with the ini file, `name` is the store's name, and `can_list` is
    true if the store's driver can list blobs.
    """
    if state is PlaceState.OWN and marker is not None:
        marked = f"{marker.marked_at:%Y-%m-%d %H:%M} UTC"
        return f"its place belongs to this store (database {marker.database}, marked {marked})"
    if state is PlaceState.EMPTY:
        return (
            f"its place is empty and not marked as this database's: to mark it, run {command} --create {name}"
        )
    if state is PlaceState.UNMARKED:
        why = "it holds something already" if can_list else "its driver cannot report whether it is empty"
        return (
            f"its place is not marked as this database's, because {why}: to see what is there and to "
            f"mark it, run {command} --claim {name}"
        )
    return "the owner of its place is not known, because the store could not be reached"


def describe_foreign(marker: Marker | None, database: str, claim: str) -> str:
    """Return a sentence about a foreign place, with the command that takes it over for this database."""
    if marker is None or marker.database == UNREADABLE:
        return (
            "its place has a marker that cannot be read, so its owner is not known: if it is this "
            f"store's place, run {claim} --from {UNREADABLE}"
        )
    if marker.database == database:
        return (
            f"its place is that of store '{marker.store}', and two stores cannot share one: give each a "
            f"place of its own, or after a change of name run {claim} --from {marker.database}"
        )
    return (
        f"its place belongs to {marker}, and this is database {database}: give this "
        "store another place, or if that database does not use it any more, take this one over: run "
        f"{claim} --from {marker.database}"
    )


def describe_lost(why: str, count: int, ini: str, name: str) -> str:
    """Return a sentence about a missing or empty place of a store in which the database has images."""
    end = "" if why.endswith("?") else "."
    images = counted(count, "image")
    return (
        f"{why}{end} The database has {images} in store '{name}': mount its disk; for a new, empty store use "
        f"calotype-manage stores {ini} --create {name} --yes"
    )
