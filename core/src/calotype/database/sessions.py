"""Upload sessions and their parts: the queries for them, and the verbs of a unit of work on them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, or_, select, update

from calotype.database.statements import Queries, UnitPart, now
from calotype.database.tables import PartRow, SessionRow, UsageRow
from calotype.model.sessions import (
    LIVING,
    TAKING,
    Demands,
    Grid,
    PartState,
    SessionStatus,
    StoredPart,
    UploadSession,
)
from calotype.model.uploads import Transfer

_SESSIONS, _PARTS = SessionRow.__table__, PartRow.__table__
_S, _P = _SESSIONS.c, _PARTS.c

# Built once, because building a statement costs more than running it.
_FIND = select(_SESSIONS).where(_S.id == bindparam("session_id"))
_LIVING_OF = (
    select(_S.id)
    .where(_S.image_id == bindparam("image_id"), _S.status.in_(bindparam("statuses", expanding=True)))
    .limit(1)
)
_PARTS_OF = (
    select(_PARTS)
    .where(_P.session_id == bindparam("session_id"), _P.state == PartState.STORED)
    .order_by(_P.start)
)
_NEXT_PART = _PARTS_OF.where(_P.start + _P.size > bindparam("position")).limit(1)
#: Field of a session -> the name of its column, because SQL reserves some of the fields' names.
_RENAMED = {
    "key": "blob_key",
    "user": "created_by",
    "length": "total",
    "offset": "contiguous",
    "expires": "expires_at",
}
#: Maximum number of parts that one query returns.
_BATCH = 500


class Sessions(Queries):
    """The queries for upload sessions."""

    def find(self, session_id: str) -> UploadSession | None:
        """Return the session with this id, or None."""
        rows = self._all(_FIND, session_id=session_id)
        return _session(rows[0]) if rows else None

    def next_part(self, session_id: str, position: int) -> StoredPart | None:
        """Return the first stored part that ends after this position, or None."""
        rows = self._all(_NEXT_PART, session_id=session_id, position=position)
        return _part(rows[0]) if rows else None

    def parts(self, session_id: str, start: int = 0, end: int | None = None) -> Iterator[StoredPart]:
        """Yield the stored parts that begin in a range of positions, in order."""
        position: int | None = start
        while position is not None:
            wanted = _PARTS_OF.where(_P.start >= position).limit(_BATCH)
            rows = self._all(wanted if end is None else wanted.where(_P.start < end), session_id=session_id)
            yield from map(_part, rows)
            position = rows[-1].start + 1 if len(rows) == _BATCH else None

    def expired(self, at: datetime.datetime, limit: int) -> list[UploadSession]:
        """Return at most `limit` sessions that have expired at this time, but have not ended."""
        found = select(_SESSIONS).where(_S.status.in_(TAKING), _S.expires_at < at).limit(limit)
        return [_session(row) for row in self._all(found)]

    def ended(self, at: datetime.datetime, limit: int) -> list[UploadSession]:
        """Return at most `limit` ended sessions that have no parts and may be forgotten at this time."""
        over = set(SessionStatus) - LIVING
        parts = select(_P.session_id).where(_P.session_id == _S.id).exists()
        found = select(_SESSIONS).where(_S.status.in_(over), _S.expires_at < at, ~parts).limit(limit)
        return [_session(row) for row in self._all(found)]

    def waiting(self, limit: int) -> list[UploadSession]:
        """Return at most `limit` sessions that have all bytes and are not finished."""
        waits = or_(
            _S.status == SessionStatus.FINISHING,
            (_S.status == SessionStatus.COMPLETE) & _S.image_id.is_not(None),
        )
        found = select(_SESSIONS).where(waits).order_by(_S.lease_until).limit(limit)
        return [_session(row) for row in self._all(found)]

    def transfers(self, image_id: str | None = None) -> list[Transfer]:
        """Return the progress of an image's sessions that have not ended, or of all images', oldest first.

        The bytes of a session are durable when they are counted, so the time of its progress is now.
        """
        columns = (_S.image_id, _S.blob_key, _S.store, _S.total, _S.contiguous, _S.created_at, _S.status)
        mine = _S.image_id.is_not(None) if image_id is None else _S.image_id == image_id
        living = select(*columns).where(mine, _S.status.in_(LIVING)).order_by(_S.created_at, _S.id)
        at = now()
        return [
            Transfer(image, key, store, total, moved, began, at, status is not SessionStatus.OPEN)
            for image, key, store, total, moved, began, status in self._all(living)
        ]

    def removable_parts(self, limit: int, session_id: str | None = None) -> list[StoredPart]:
        """Return at most `limit` parts, of all sessions or of one, whose blobs must be removed."""
        found = select(_PARTS).where(_P.state == PartState.PENDING_DELETE)
        if session_id is not None:
            found = found.where(_P.session_id == session_id)
        return [_part(row) for row in self._all(found.limit(limit))]

    def keys_in(self, store: str) -> list[str]:
        """Return the keys of all parts in a staging store."""
        return self._scalars(select(_P.blob_key).where(_P.store == store, _P.blob_key.is_not(None)))

    def known_keys(self, keys: list[str]) -> set[str]:
        """Return the subset of the keys that belong to a part."""
        return set(self._scalars(select(_P.blob_key).where(_P.blob_key.in_(keys))))


class SessionsUnit(UnitPart):
    """The methods of a unit of work that change upload sessions and their parts."""

    def add(self, session: UploadSession) -> None:
        """Insert a session."""
        row = {**_columns(asdict(session)), **_grid_columns(session.grid), "created_at": now()}
        del row["grid"]
        self.connection.execute(insert(_SESSIONS), row)

    def find(self, session_id: str) -> UploadSession | None:
        """Return a session without a lock, so that its image can be locked first."""
        row = self.connection.execute(_FIND, {"session_id": session_id}).first()
        return None if row is None else _session(row)

    def lock(self, session_id: str) -> UploadSession | None:
        """Return a session. No other unit can change it before this one ends."""
        row = self.connection.execute(_FIND.with_for_update(), {"session_id": session_id}).first()
        return None if row is None else _session(row)

    def living_of(self, image_id: str) -> str | None:
        """Return the id of the session that has not ended and gives bytes to this image, or None."""
        which = {"image_id": image_id, "statuses": sorted(LIVING)}
        return self.connection.execute(_LIVING_OF, which).scalar()

    def count_living(self, project: str | None) -> int:
        """Return the number of a project's sessions that have not ended; no other unit can begin one now."""
        self.connection.execute(select(UsageRow.project).where(UsageRow.project == project).with_for_update())
        mine = _S.project.is_(None) if project is None else _S.project == project
        counted = select(func.count()).select_from(_SESSIONS).where(mine, _S.status.in_(LIVING))
        return self.connection.execute(counted).scalar_one()

    def change(self, session_id: str, fields: Mapping[str, Any]) -> bool:
        """Set fields of a session if it has not ended; return whether it has not."""
        return self._swap(_SESSIONS, _S.id == session_id, _S.status.in_(LIVING), **_columns(fields))

    def set_upload(self, session_id: str, token: str, grid: Grid | None) -> bool:
        """Record the upload in parts that the driver has begun; return whether the session still is open."""
        is_open = (_S.id == session_id, _S.status.in_(TAKING))
        return self._swap(_SESSIONS, *is_open, token=token, **_grid_columns(grid))

    def claim(self, seen: UploadSession, owner: str, until: datetime.datetime) -> bool:
        """Take the lease on a session, and return True; return False if the session changed since `seen`."""
        as_seen = (_S.status == seen.status, _S.lease_until == seen.lease_until)
        values = {"status": SessionStatus.FINISHING, "lease_owner": owner, "lease_until": until}
        return self._swap(_SESSIONS, _S.id == seen.id, *as_seen, writer=None, **values)

    def release(self, session_id: str, owner: str, status: SessionStatus, **values: Any) -> bool:
        """End a session's lease, and return whether `owner` still held it."""
        mine = (_S.status == SessionStatus.FINISHING, _S.lease_owner == owner)
        return self._swap(
            _SESSIONS,
            _S.id == session_id,
            *mine,
            status=status,
            lease_owner=None,
            lease_until=None,
            **values,
        )

    def retire(self, session_id: str, reason: str) -> None:
        """Let a finished session be one that has failed for a reason, so that no client continues it."""
        finished = (_S.id == session_id, _S.status == SessionStatus.FINISHED)
        self._swap(_SESSIONS, *finished, status=SessionStatus.FAILED, reason=reason)

    def forget(self, session_id: str) -> None:
        """Remove the row of a session that has ended and has no parts."""
        self.connection.execute(delete(_SESSIONS).where(_S.id == session_id))

    def add_part(self, part: StoredPart) -> None:
        """Insert a part."""
        row = asdict(part)
        row["blob_key"] = row.pop("key")
        self.connection.execute(insert(_PARTS), row)

    def keep_part(self, part: StoredPart) -> bool:
        """Record that a part's blob is complete, and return whether the part still exists."""
        values = {"state": part.state, "size": part.size, "sha256": part.sha256, "location": part.location}
        return self._swap(_PARTS, _P.id == part.id, _P.state == PartState.SENDING, **values)

    def parts_between(self, session_id: str, start: int, end: int) -> list[StoredPart]:
        """Return the stored parts that contain a byte of the range, in order."""
        within = _PARTS_OF.where(_P.start < end, _P.start + _P.size > start)
        return [_part(row) for row in self.connection.execute(within, {"session_id": session_id})]

    def bytes_of(self, session_id: str) -> int:
        """Return the number of bytes in the stored parts of a session."""
        counted = select(func.coalesce(func.sum(_P.size), 0))
        mine = counted.where(_P.session_id == session_id, _P.state == PartState.STORED)
        return int(self.connection.execute(mine).scalar_one())

    def end_of_parts(self, session_id: str) -> int:
        """Return the end of the last stored part of a session; 0 if it has none."""
        last = select(func.coalesce(func.max(_P.start + _P.size), 0))
        mine = last.where(_P.session_id == session_id, _P.state == PartState.STORED)
        return int(self.connection.execute(mine).scalar_one())

    def end_of_run(self, session_id: str, position: int) -> int:
        """Return the end of the stored parts that follow each other without a gap from this position."""
        later = _PARTS_OF.where(_P.start >= position)
        for part in self.connection.execute(later, {"session_id": session_id}):
            if part.start != position:
                break
            position += part.size
        return position

    def move_parts(self, session_id: str, to: str, distance: int) -> None:
        """Give the stored parts of a session to another one, and add `distance` to their positions."""
        moved = update(_PARTS).where(_P.session_id == session_id, _P.state == PartState.STORED)
        self.connection.execute(moved.values(session_id=to, start=_P.start + distance))

    def cancel_part(self, part: StoredPart) -> bool:
        """Mark the blob of a part for removal if the part is not kept yet; return whether it was not."""
        return self._swap(
            _PARTS, _P.id == part.id, _P.state == PartState.SENDING, state=PartState.PENDING_DELETE
        )

    def drop_part(self, part: StoredPart) -> None:
        """Mark a part's blob for removal, or forget the part if it has no blob of its own."""
        if part.key is None:
            self.forget_part(part.id)
        else:
            self._swap(_PARTS, _P.id == part.id, state=PartState.PENDING_DELETE)

    def drop_parts(self, session_id: str) -> None:
        """Drop all parts of a session."""
        mine = _P.session_id == session_id
        self.connection.execute(delete(_PARTS).where(mine, _P.blob_key.is_(None)))
        self.connection.execute(update(_PARTS).where(mine).values(state=PartState.PENDING_DELETE))

    def forget_part(self, part_id: str) -> None:
        """Remove the row of a part whose bytes are gone."""
        self.connection.execute(delete(_PARTS).where(_P.id == part_id))


def _columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a session for these fields."""
    return {_RENAMED.get(field, field): value for field, value in fields.items()}


def _grid_columns(grid: Grid | None) -> dict[str, Any]:
    if grid is None:
        return {"cell_size": None, "cell_step": None, "cell_max": None}
    return {"cell_size": grid.size, "cell_step": grid.step, "cell_max": grid.largest}


def _session(row: Row[Any]) -> UploadSession:
    demands, grid = Demands(row.demands["size"], row.demands["digests"]), None
    if row.cell_size is not None:
        grid = Grid(row.cell_size, row.cell_step, row.cell_max)
    return UploadSession(
        id=row.id,
        status=row.status,
        offset=row.contiguous,
        length=row.total,
        expires=row.expires_at,
        image_id=row.image_id,
        reason=row.reason,
        project=row.project,
        user=row.created_by,
        store=row.store,
        key=row.blob_key,
        token=row.token,
        grid=grid,
        on_failure=row.on_failure,
        note=row.note,
        demands=demands,
        counted=row.counted,
        writer=row.writer,
        lease_until=row.lease_until,
    )


def _part(row: Row[Any]) -> StoredPart:
    return StoredPart(
        id=row.id,
        session_id=row.session_id,
        start=row.start,
        size=row.size,
        state=row.state,
        sha256=row.sha256,
        number=row.number,
        receipt=row.receipt,
        store=row.store,
        key=row.blob_key,
        location=row.location,
    )
