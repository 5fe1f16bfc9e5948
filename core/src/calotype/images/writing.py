"""Write changes of images: the steps that the verbs share within their units of work."""

from __future__ import annotations

from dataclasses import replace

from calotype.config.settings import Settings
from calotype.database.errors import StatusConflict
from calotype.database.rights import locked_for, require
from calotype.database.unit_of_work import Unit
from calotype.images.audit import describe
from calotype.model import policy
from calotype.model.audit import AuditVerb
from calotype.model.change import Change
from calotype.model.errors import Conflict, NotQueued, OpenSession
from calotype.model.fields import new_id
from calotype.model.images import Image
from calotype.model.states import Status
from calotype.model.usage import Limits
from calotype.transfers.readers import redeclared

#: The beginning of the message if an image is not queued. Clients recognize this wording of Glance.
UNQUEUED = "Cannot upload to an unqueued image"
_FORMATS = ("disk_format", "container_format")


def require_no_session(unit: Unit, image_id: str) -> None:
    """Raise OpenSession if the image, which the unit has locked, has an open upload session."""
    session_id = unit.sessions.living_of(image_id)
    if session_id is not None:
        raise OpenSession(session_id)


class ChangeWriter:
    """The writer of changes. Lifecycle and Imports hold one each, and call it within their units of work."""

    def __init__(self, settings: Settings):
        self.limits = Limits(settings.project_bytes, settings.project_images)
        self._settings = settings

    def add(self, unit: Unit, change: Change, status: Status = Status.QUEUED) -> Image:
        """Insert the image that a change creates.

        Raises:
            NotAllowed: the caller may not create images.
            DuplicateImage: the image's id is taken.
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

    def change(self, unit: Unit, change: Change, status: Status | None = None) -> str:
        """Change an image that the unit has locked, and return a text for the audit trail.

        With a `status`, also move the image from `queued` to that status.

        Raises:
            InvalidRequest, NotAllowed, Conflict: the change breaks a rule for the image as it is now.
            StatusConflict: the image must be queued and is not.
        """
        before = change.require_image()
        change.check_rights(self._settings)
        self._check_redeclared(change, before)
        detail = describe(change.fields, before.properties, change.properties)
        if status is None:
            unit.apply(change)
        else:
            unit.apply(change, {Status.QUEUED}, status=status, status_reason=None)
        if change.owner != before.owner:
            counted = sum(location.counted for location in unit.locations(before.id))
            unit.count(before.owner, self.limits, images=-1, size=-counted)
            unit.count(change.owner, self.limits, images=1, size=counted)
        return detail

    def write(self, unit: Unit, change: Change) -> Image:
        """Create an image, or change an existing one that is about to get its bytes.

        Besides OpenSession, the errors of `add` and `change` are raised.
        """
        if change.image is None:
            return self.add(unit, change)
        before = locked_for(unit, change.image.id, change.caller, policy.UPLOAD)
        require_no_session(unit, before.id)
        self._change_audited(unit, change.onto(before))
        return unit.image(before.id)

    def take(self, unit: Unit, change: Change, status: Status) -> Image:
        """Create an image with this status, in which its bytes arrive, or move a queued image to it.

        Besides the following, the errors of `add` and `change` are raised.

        Raises:
            NotQueued: the image is not queued.
            OpenSession: the image has an open upload session.
        """
        if change.image is None:
            return self.add(unit, change, status)
        image_id, whole = change.image.id, change.changes_metadata
        before = locked_for(unit, image_id, change.caller, policy.UPLOAD, whole=whole)
        require_no_session(unit, image_id)
        try:
            if whole:
                self._change_audited(unit, change.onto(before), status)
            else:
                unit.move(image_id, {Status.QUEUED}, status, status_reason=None)
        except StatusConflict:
            raise NotQueued.of(UNQUEUED, before.status) from None
        return unit.row(image_id)

    def _change_audited(self, unit: Unit, change: Change, status: Status | None = None) -> None:
        """Change an image as `change` does, and record it in the audit trail if it sets any metadata."""
        if detail := self.change(unit, change, status):
            unit.audit(AuditVerb.UPDATE, change.require_image().id, change.caller.actor, detail)

    def _check_redeclared(self, change: Change, before: Image) -> None:
        """Refuse a format that contradicts the inspection of the image's bytes."""
        fields = change.fields.fields
        formats = {name: fields[name] for name in _FORMATS if name in fields}
        problem = redeclared(before, replace(before, **formats), before.detected_format)
        if problem is not None and self._settings.inspection == "enforce":
            raise Conflict(problem)
