"""Members: the projects that an image is shared with, and what they say to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from calotype.draft import DraftTooLarge, check_project
from calotype.lifecycle.states import Conflict, NotFound
from calotype.registry import Image, MemberStatus, Registry, Unit, retried
from calotype.settings import Settings


@dataclass(frozen=True, slots=True)
class Sharing:
    """A project to share with, and whether it may share further (None: as before, or not)."""

    project: str
    can_share: bool | None = None


class Members:
    """The verbs on an image's members; shared by all threads."""

    def __init__(self, registry: Registry, settings: Settings):
        self._registry = registry
        self._most = settings.max_members

    @retried
    def share(
        self, image: Image, project: str, *, can_share: bool | None = None, again: bool = True
    ) -> Image:
        """Share an image with a project, or change whether that one may share it further.

        Raises:
            InvalidDraft: no project can be called that.
            Conflict: it is shared with the project already, and is not to be `again`.
            DraftTooLarge: the image has as many members as it may.
        """
        check_project(project)
        with self._registry.unit() as unit:
            members = {member.project for member in unit.image(image.id).members}
            if project in members and not again:
                raise Conflict("The image is shared with that project already.")
            self.check_number(members | {project})
            self._set(unit, image.id, project, can_share)
            return unit.image(image.id)

    def check_number(self, projects: Collection[str]) -> None:
        """Return if an image may have so many members; raises DraftTooLarge."""
        if len(projects) > self._most:
            raise DraftTooLarge(
                f"The limit has been exceeded on the number of allowed image members: {self._most}."
            )

    def _set(self, unit: Unit, image_id: str, project: str, can_share: bool | None) -> None:
        unit.set_member(image_id, project, **({} if can_share is None else {"can_share": can_share}))

    @retried
    def share_with(self, image: Image, members: list[Sharing]) -> Image:
        """Share an image with these projects and no others; raises as `share`."""
        wanted = {member.project: member for member in members}
        self.check_number(wanted.keys())
        for project in wanted:
            check_project(project)
        with self._registry.unit() as unit:
            for member in unit.image(image.id).members:
                if member.project not in wanted:
                    unit.remove_member(image.id, member.project)
            for member in wanted.values():
                self._set(unit, image.id, member.project, member.can_share)
            return unit.image(image.id)

    @retried
    def unshare(self, image: Image, project: str) -> None:
        """End a membership at once; raises NotFound when there is none."""
        with self._registry.unit(frees=True) as unit:
            if not unit.remove_member(image.id, project):
                raise NotFound("Membership could not be found.")

    @retried
    def answer(self, image: Image, project: str, status: MemberStatus) -> Image:
        """Say what a member thinks of an image: accepted ones are in its lists."""
        with self._registry.unit() as unit:
            if project not in {member.project for member in unit.image(image.id).members}:
                raise NotFound("Membership could not be found.")
            unit.set_member(image.id, project, status=status)
            return unit.image(image.id)
