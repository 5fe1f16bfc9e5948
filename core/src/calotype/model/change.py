"""A change: one object for a caller's request to change an image, and the rules that it must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from calotype.config.messages import quoted
from calotype.config.settings import Settings
from calotype.model import policy
from calotype.model.errors import Conflict, NotAllowed
from calotype.model.fields import ImageFields, check_fields, check_properties, properties_after
from calotype.model.images import Image
from calotype.model.policy import Caller


@dataclass(frozen=True, slots=True)
class Change:
    """A caller's request to change an image, or to create one. No method writes anything.

    Args:
        caller: The caller, whose rights are checked.
        fields: The fields that the caller asks to set.
        image: The image as it was last read; None for a new image.
        derive: The function that computes the fields from the image. It is set if they depend on the image,
            as those of a JSON patch do.
    """

    caller: Caller
    fields: ImageFields
    image: Image | None = None
    derive: Callable[[Image], ImageFields] | None = None

    @classmethod
    def derived(cls, caller: Caller, image: Image, derive: Callable[[Image], ImageFields]) -> Self:
        """Return a change whose fields depend on the image."""
        return cls(caller, derive(image), image, derive)

    def onto(self, image: Image) -> Change:
        """Return this change, applied to the image in its current state."""
        fields = self.derive(image) if self.derive is not None and image != self.image else self.fields
        return replace(self, fields=fields, image=image)

    def with_fields(self, **values: Any) -> Change:
        """Return a copy of the change with these attributes of its fields replaced."""
        return replace(self, fields=replace(self.fields, **values))

    def require_image(self) -> Image:
        """Return the image to change; raises ValueError if the change creates one."""
        if self.image is None:
            raise ValueError("this change creates a new image")
        return self.image

    @property
    def owner(self) -> str | None:
        """The project that owns the image after the change."""
        now = self.caller.project if self.image is None else self.image.owner
        owner: str | None = self.fields.fields.get("owner", now)
        return owner

    @property
    def properties(self) -> dict[str, str]:
        """The properties that the image has after the change.

        Raises:
            InvalidRequest: two headers name the same property.
        """
        return properties_after(self.fields, self.image)

    @property
    def changes_metadata(self) -> bool:
        """True if the change may set anything besides the image's bytes."""
        asked = self.fields
        return bool(asked.fields or asked.properties or asked.dropped or asked.replace_properties) or (
            asked.tags is not None
        )

    @property
    def size(self) -> int | None:
        """The declared size in bytes, from this request or from the image's creation; None if unknown."""
        reserved = self.image.size if self.image is not None else None
        return self.fields.size if self.fields.size is not None else reserved or None

    @property
    def digests(self) -> Mapping[str, str]:
        """The digests that the bytes must have, declared by this request or at the image's creation."""
        reserved = {"md5": self.image.checksum} if self.image is not None and self.image.checksum else {}
        return {**reserved, **self.fields.digests}

    def agreed_size(self, stored: int | None) -> int | None:
        """Return the size of an external location: `stored` if it is known, or else the declared size.

        Raises:
            Conflict: both sizes are known and differ.
        """
        declared = self.fields.size or (self.image.size if self.image is not None else None) or None
        if None not in (stored, declared) and stored != declared:
            raise Conflict(
                f"Provided image size must match the stored image size: provided {declared}, stored {stored}."
            )
        return stored if stored is not None else declared

    def check(self, settings: Settings) -> None:
        """Check that the change keeps all rules that can be checked before the image is locked.

        Raises:
            InvalidRequest, RequestTooLarge: the change breaks a rule.
            NotAllowed: the caller may not set a field to this value.
        """
        check_fields(self.fields, settings)
        self.check_rights(settings)

    def check_rights(self, settings: Settings) -> None:
        """Check that the caller may make this change, given the image as it was last read.

        Raises:
            NotAllowed: the caller may not set a field to this value.
            RequestTooLarge, ReservedName, InvalidRequest: the properties break a rule.
        """
        before = self.image.properties if self.image is not None else {}
        check_properties(self.properties, settings, before)
        for name, value in self.fields.fields.items():
            if not policy.may_set(self.caller, name, value, self.image):
                raise NotAllowed(_refused(name, value, self.image))
        if self.image is None and self.caller.project is None:
            self._require_owner(settings)

    def _require_owner(self, settings: Settings) -> None:
        """Check that a caller without a project may create the image; raises NotAllowed.

        Only administrators can see an image without an owner.
        """
        if not self.caller.is_admin:
            raise NotAllowed(
                "You have no project that could own an image: use a token that is scoped to a project."
            )
        if not self.fields.fields.get("owner") and not settings.system_scope:
            raise NotAllowed(
                "Your token has no project that could own an image: use a token that is scoped to a project, "
                "or name the owner."
            )


def _refused(name: str, value: object, image: Image | None) -> str:
    """Return the message for a field that the caller may not set to the value."""
    wanted = "null" if value is None else quoted(str(value))
    refused = f"You are not allowed to set {name} to {wanted}"
    if image is not None and policy.FIELDS.get(name) is policy.FieldRule.UNTIL_DATA:
        return f"{refused}, because the image is {image.status}: its formats are fixed; create a new image."
    if name in policy.FIELDS:
        return f"{refused}. Only an administrator may do that."
    return f"{refused}."
