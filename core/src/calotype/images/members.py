"""Members: the projects that an image is shared with, and their answers.

Each verb checks the caller's right in its unit of work: see `calotype.database.rights`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import locked_for
from calotype.database.unit_of_work import Unit
from calotype.model import policy
from calotype.model.audit import AuditVerb
from calotype.model.errors import Conflict, NotAllowed, NotFound
from calotype.model.fields import RequestTooLarge, check_project
from calotype.model.images import Image, MemberStatus, Visibility
from calotype.model.policy import Caller
from calotype.model.states import ALIVE


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """A project to share an image with, and its right to share the image further.

    If `can_share` is None, an existing member's right stays unchanged, and a new member does not get it.
    """

    project: str
    can_share: bool | None = None


class Members:
    """The verbs on an image's members. All threads share an instance."""

    def __init__(self, database: Database, settings: Settings):
        self._database = database
        self._most = settings.max_members

    @retry_on_conflict
    def add(self, image: Image, project: str, caller: Caller) -> Image:
        """Share a shared image with one more project.

        Raises:
            InvalidRequest: the project's name is invalid.
            NotAllowed: the caller may not share the image, or its visibility is not `shared`.
            Conflict: the image is already shared with the project.
            RequestTooLarge: the image has the maximum number of members.
        """
        check_project(project)
        with self._database.unit() as unit:
            current = locked_for(unit, image.id, caller, policy.SHARE)
            check_shared(current)
            members = {member.project for member in current.members}
            if project in members:
                raise Conflict("The image is shared with that project already.")
            self.check_number(members | {project})
            unit.set_member(image.id, project)
            unit.audit(AuditVerb.SHARE, image.id, caller.actor, project)
            return unit.image(image.id)

    @retry_on_conflict
    def share(self, image: Image, member: MemberSpec, caller: Caller) -> Image:
        """Share an image with a project, or set whether the project may share it further.

        The visibility of a private image becomes `shared`.

        Raises:
            InvalidRequest: the project's name is invalid.
            NotAllowed: the caller may not share the image.
            RequestTooLarge: the image has the maximum number of members.
        """
        check_project(member.project)
        with self._database.unit() as unit:
            current = locked_for(unit, image.id, caller, policy.SHARE)
            self.check_number({one.project for one in current.members} | {member.project})
            _set(unit, current, [member])
            unit.audit(AuditVerb.SHARE, image.id, caller.actor, member.project)
            return unit.image(image.id)

    def check_number(self, projects: Collection[str]) -> None:
        """Raise RequestTooLarge if an image may not have this many members."""
        if len(projects) > self._most:
            raise RequestTooLarge(
                f"The limit has been exceeded on the number of allowed image members: {self._most}."
            )

    @retry_on_conflict
    def share_with(self, image: Image, members: list[MemberSpec], caller: Caller) -> Image:
        """Make these projects the only members of an image. Rules and errors are those of `share`."""
        wanted = {member.project: member for member in members}  # the last entry of a project wins
        self.check_number(wanted.keys())
        for project in wanted:
            check_project(project)
        with self._database.unit() as unit:
            current = locked_for(unit, image.id, caller, policy.SHARE)
            for one in current.members:
                if one.project not in wanted:
                    unit.remove_member(image.id, one.project)
            _set(unit, current, wanted.values())
            unit.audit(AuditVerb.SHARE, image.id, caller.actor, f"only {', '.join(wanted) or 'nobody'}")
            return unit.image(image.id)

    @retry_on_conflict
    def unshare(self, image: Image, project: str, caller: Caller) -> None:
        """End a project's membership at once. Raise NotFound if the project is not a member."""
        with self._database.unit(frees=True) as unit:
            locked_for(unit, image.id, caller, policy.SHARE)
            if not unit.remove_member(image.id, project):
                raise NotFound("Membership could not be found.")
            unit.audit(AuditVerb.UNSHARE, image.id, caller.actor, project)

    @retry_on_conflict
    def answer(self, image: Image, project: str, status: MemberStatus, caller: Caller) -> Image:
        """Record a member's answer to the offer of an image. Accepted images appear in the member's lists.

        Raises:
            NotAllowed: the caller may not answer for any member, or the visibility is not `shared`.
            NotFound: the project is not a member, or the caller may not answer for it.
        """
        with self._database.unit() as unit:
            current = locked_for(unit, image.id, caller, policy.ANSWER)
            check_shared(current)
            if project not in {member.project for member in policy.visible_members(caller, current)}:
                raise NotFound("Membership could not be found.")
            unit.set_member(image.id, project, status=status)
            unit.audit(AuditVerb.ANSWER, image.id, caller.actor, f"{project}: {status}")
            return unit.image(image.id)


def check_shared(image: Image) -> None:
    """Raise NotAllowed unless the image's visibility is `shared`.

    Members remain recorded when the visibility changes, and cannot be changed until it is `shared` again.
    """
    if image.visibility is not Visibility.SHARED:
        raise NotAllowed(
            f"Only shared images have members. This image is {image.visibility}; "
            "set visibility to shared first."
        )


def _set(unit: Unit, image: Image, members: Collection[MemberSpec]) -> None:
    """Write members of an image. If the image is private, it becomes shared."""
    if image.visibility is Visibility.PRIVATE:
        unit.change(image.id, ALIVE, {"visibility": Visibility.SHARED})
    for member in members:
        values = {} if member.can_share is None else {"can_share": member.can_share}
        unit.set_member(image.id, member.project, **values)
