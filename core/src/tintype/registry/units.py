"""A unit of work: some changes that become true together, in one short transaction.

Every change of status is one compare-and-swap UPDATE; a unit that finds the image in
another status raises StatusConflict, and nothing of the unit remains. Only ORM
statements: zope.sqlalchemy would silently roll back any other.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tintype.registry import queries
from tintype.registry.errors import DuplicateImage, ImageNotFound, LimitReached, StatusConflict
from tintype.registry.models import ImageRow, LocationRow, MemberRow, PropertyRow, TagRow, UsageRow
from tintype.registry.records import Image, Limits, Location, LocationState, MemberStatus, Status, Visibility


class Unit:
    """The verbs of one unit of work; made by `Registry.unit`, useless after it."""

    def __init__(self, session: Session):
        self._session = session

    def image(self, image_id: str) -> Image:
        """The image as this unit sees it; no other unit changes it before this one ends.

        Raises:
            ImageNotFound: there is none, or it is deleted.
        """
        image = queries.find_image(self._session.connection(), image_id, lock=True)
        if image is None or image.status is Status.DELETED:
            raise ImageNotFound(image_id)
        return image

    def add_image(self, image_id: str, fields: Mapping[str, Any], properties: Mapping[str, str]) -> None:
        """Insert an image in status queued.

        Raises:
            DuplicateImage: the id is taken, be it by a deleted image.
        """
        now = _now()
        defaults = {
            "visibility": Visibility.PRIVATE,
            "protected": False,
            "min_disk": 0,
            "min_ram": 0,
            "os_hidden": False,
        }
        row = ImageRow(
            id=image_id, status=Status.QUEUED, created_at=now, updated_at=now, **{**defaults, **fields}
        )
        self._session.add(row)
        try:
            self._session.flush()
        except IntegrityError:
            raise DuplicateImage(image_id) from None
        self._add_properties(image_id, properties)

    def move(self, image_id: str, allowed: Collection[Status], to: Status, **values: Any) -> None:
        """Set the status, and values with it, if the image is in one of the allowed statuses.

        Raises:
            StatusConflict: it is not; nothing is changed.
        """
        self._change(image_id, allowed, status=to, **values)

    def change(self, image_id: str, allowed: Collection[Status], fields: Mapping[str, Any]) -> None:
        """Set metadata, and the time of change, if the image is in one of the allowed statuses."""
        self._change(image_id, allowed, **fields)

    def _change(self, image_id: str, allowed: Collection[Status], **values: Any) -> None:
        swap = (
            update(ImageRow)
            .where(ImageRow.id == image_id, ImageRow.status.in_(allowed))
            .values(updated_at=_now(), **values)
            .execution_options(synchronize_session=False)
        )
        if self._session.execute(swap).rowcount != 1:
            raise StatusConflict(image_id)

    def set_properties(self, image_id: str, properties: Mapping[str, str], *, keep_others: bool) -> None:
        """Give the image these properties; the others go unless `keep_others`."""
        stale = delete(PropertyRow).where(PropertyRow.image_id == image_id)
        if keep_others:
            stale = stale.where(PropertyRow.name.in_(list(properties)))
        self._session.execute(stale.execution_options(synchronize_session=False))
        self._add_properties(image_id, properties)

    def _add_properties(self, image_id: str, properties: Mapping[str, str]) -> None:
        if properties:
            rows = [
                {"image_id": image_id, "name": name, "value": value} for name, value in properties.items()
            ]
            self._session.execute(insert(PropertyRow), rows)

    def set_tags(self, image_id: str, tags: Collection[str]) -> None:
        """Give the image exactly these tags."""
        stale = delete(TagRow).where(TagRow.image_id == image_id)
        self._session.execute(stale.execution_options(synchronize_session=False))
        if tags:
            rows = [{"image_id": image_id, "tag": tag} for tag in sorted(set(tags))]
            self._session.execute(insert(TagRow), rows)

    def set_member(self, image_id: str, project: str, **values: Any) -> None:
        """Change a member's `status` or `can_share`; a new one starts pending, without the right to share."""
        now = _now()
        change = (
            update(MemberRow)
            .where(MemberRow.image_id == image_id, MemberRow.project == project)
            .values(updated_at=now, **values)
            .execution_options(synchronize_session=False)
        )
        if self._session.execute(change).rowcount == 0:
            row = {"status": MemberStatus.PENDING, "can_share": False, **values}
            row |= {"image_id": image_id, "project": project, "created_at": now, "updated_at": now}
            self._session.execute(insert(MemberRow), [row])

    def remove_member(self, image_id: str, project: str) -> bool:
        """End a membership; whether there was one."""
        gone = delete(MemberRow).where(MemberRow.image_id == image_id, MemberRow.project == project)
        return self._session.execute(gone.execution_options(synchronize_session=False)).rowcount == 1

    def count(self, project: str | None, limits: Limits, *, images: int = 0, size: int = 0) -> None:
        """Add to what a project uses, if that stays within the limits; one statement, so none slips past.

        Raises:
            LimitReached: it would not; nothing is changed.
        """
        if project is None or (images == 0 and size == 0):
            return
        swap = (
            update(UsageRow)
            .where(UsageRow.project == project)
            .values(bytes=UsageRow.bytes + size, images=UsageRow.images + images)
            .execution_options(synchronize_session=False)
        )
        # What gives back is never refused, be the limit lowered meanwhile.
        if size > 0 and limits.bytes is not None:
            swap = swap.where(UsageRow.bytes + size <= limits.bytes)
        if images > 0 and limits.images is not None:
            swap = swap.where(UsageRow.images + images <= limits.images)
        if self._session.execute(swap).rowcount == 1:
            return
        if self._session.get(UsageRow, project) is None:
            self._start_usage(project)
            self.count(project, limits, images=images, size=size)
        else:
            raise LimitReached(limits.bytes if size > 0 else limits.images, "bytes" if size > 0 else "images")

    def _start_usage(self, project: str) -> None:
        try:
            with self._session.begin_nested():
                self._session.add(UsageRow(project=project, bytes=0, images=0))
        except IntegrityError:
            pass  # somebody else was faster

    def intend(self, image_id: str, key: str, store: str, location: str | None) -> None:
        """Write down that bytes are about to go to the store under the key; none is counted yet."""
        self._add_location(image_id, key, store, location, LocationState.INTENDED)

    def refer(self, image_id: str, key: str, store: str, location: str) -> None:
        """Write down where bytes lie that are somebody else's."""
        self._add_location(image_id, key, store, location, LocationState.STORED, external=True)

    def _add_location(
        self,
        image_id: str,
        key: str,
        store: str,
        location: str | None,
        state: LocationState,
        *,
        external: bool = False,
    ) -> None:
        self._session.add(
            LocationRow(
                key=key,
                image_id=image_id,
                store=store,
                location=location,
                state=state,
                external=external,
                counted=0,
                created_at=_now(),
            )
        )
        self._session.flush()

    def count_location(self, key: str, project: str | None, limits: Limits, size: int) -> None:
        """Set how many bytes are counted for the key, and the project's sum with it.

        Raises:
            LimitReached: the project may not have so many.
        """
        row = self._session.get(LocationRow, key, with_for_update=True, populate_existing=True)
        if row is not None and row.counted != size:
            self.count(project, limits, size=size - row.counted)
            self._change_location(key, counted=size)

    def keep_location(self, key: str, location: str) -> None:
        """The intended bytes are there: they are the image's."""
        self._change_location(key, state=LocationState.STORED, location=location)

    def doom_location(self, key: str) -> None:
        """The bytes of that key, if any, are to be removed."""
        self._change_location(key, state=LocationState.DOOMED)

    def _change_location(self, key: str, **values: Any) -> None:
        self._session.execute(
            update(LocationRow)
            .where(LocationRow.key == key)
            .values(**values)
            .execution_options(synchronize_session=False)
        )

    def forget_location(self, key: str) -> None:
        """Nothing lies under that key any more."""
        gone = delete(LocationRow).where(LocationRow.key == key)
        self._session.execute(gone.execution_options(synchronize_session=False))

    def locations(self, image_id: str) -> list[Location]:
        """All location rows of an image, intended and doomed ones too."""
        rows = self._session.scalars(select(LocationRow).where(LocationRow.image_id == image_id))
        return [
            Location(r.key, r.store, r.location, LocationState(r.state), r.external, r.counted) for r in rows
        ]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
