"""Writing changes: what the verbs on images do within their units of work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from calotype.config.settings import Settings
from calotype.database.errors import StatusConflict
from calotype.database.rights import locked_for, require
from calotype.database.unit_of_work import Unit
from calotype.images.audit import describe
from calotype.model import policy
from calotype.model.audit import AuditVerb
from calotype.model.change import Change
from calotype.model.changes import new_id
from calotype.model.errors import Conflict, NotQueued
from calotype.model.images import Image, Status
from calotype.model.usage import Limits
from calotype.transfers.readers import redeclared

#: The beginning is a sentence of the first API server, by which clients know the error.
UNQUEUED = "Cannot upload to an unqueued image"
_FORMATS = ("disk_format", "container_format")


class ChangeWriter:
    """Writes changes; the caller has checked them and begun a unit of work."""

    def __init__(self, settings: Settings):
        self.limits = Limits(settings.project_bytes, settings.project_images)
        self._settings = settings

    def add(self, unit: Unit, change: Change, status: Status = Status.QUEUED) -> Image:
        """Insert the image that a change makes.

        Raises:
            NotAllowed: the caller may make no images.
            DuplicateImage: its id is taken.
        """
        require(change.caller, policy.CREATE)
        asked, properties = change.fields, change.properties
        unit.count(change.owner, self.limits, images=1)
        declared = {"size": asked.size, "checksum": asked.digests.get("md5")}
        fields = {"owner": change.owner, **asked.fields, **declared}
        image = unit.add_image(asked.id or new_id(), fields, properties, status)
        if asked.tags:
            unit.set_tags(image.id, asked.tags)
        unit.audit(AuditVerb.CREATE, image.id, change.caller.actor, describe(asked, {}, properties))
        return unit.image(image.id)

    def change(self, unit: Unit, change: Change, **values: Any) -> str:
        """Change an image that the unit has locked, and set values too; return a text for the audit trail.

        Raises:
            InvalidRequest, NotAllowed, Conflict: the change breaks a rule, with the image as it is now.
            StatusConflict: the values move the image out of a status that it is not in.
        """
        before = change.require_image()
        change.check_rights(self._settings)
        self._check_redeclared(change, before)
        detail = describe(change.fields, before.properties, change.properties)
        if "status" in values:
            unit.apply(change, {Status.QUEUED}, **values)
        else:
            unit.apply(change, **values)
        if change.owner != before.owner:
            counted = sum(location.counted for location in unit.locations(before.id))
            unit.count(before.owner, self.limits, images=-1, size=-counted)
            unit.count(change.owner, self.limits, images=1, size=counted)
        return detail

    def write(self, unit: Unit, change: Change) -> Image:
        """Make a new image, or change one that waits for its bytes; raises as `add` and `change`."""
        if change.image is None:
            return self.add(unit, change)
        before = locked_for(unit, change.image.id, change.caller, policy.UPLOAD)
        if detail := self.change(unit, change.onto(before)):
            unit.audit(AuditVerb.UPDATE, before.id, change.caller.actor, detail)
        return unit.image(before.id)

    def take(self, unit: Unit, change: Change, status: Status) -> Image:
        """Give a new image, or a queued one, a status in which its bytes come in, and change it.

        Raises:
            NotQueued: the image is not queued.
            And as `add` and `change`.
        """
        if change.image is None:
            return self.add(unit, change, status)
        image_id, caller = change.image.id, change.caller
        before = locked_for(unit, image_id, caller, policy.UPLOAD, whole=change.changes_metadata)
        try:
            if change.changes_metadata:
                detail = self.change(unit, change.onto(before), status=status, status_reason=None)
                if detail:
                    unit.audit(AuditVerb.UPDATE, image_id, caller.actor, detail)
            else:
                unit.move(image_id, {Status.QUEUED}, status, status_reason=None)
        except StatusConflict:
            raise NotQueued.of(UNQUEUED, before.status) from None
        return unit.row(image_id)

    def _check_redeclared(self, change: Change, before: Image) -> None:
        """Refuse a format that the image's bytes, which have been inspected, do not have."""
        fields = change.fields.fields
        formats = {name: fields[name] for name in _FORMATS if name in fields}
        problem = redeclared(before, replace(before, **formats), before.detected_format)
        if problem is not None and self._settings.inspection == "enforce":
            raise Conflict(problem)
