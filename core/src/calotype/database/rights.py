"""Rights at the moment of the write: judged inside the unit of work, against what the unit has locked.

A view refuses at a request's head whoever may not do what it asks. The body can take long to come,
and meanwhile an image is given away, withdrawn, or shared no more. So each verb that changes
something asks here again, and nothing of its unit remains when the answer is no.
"""

from __future__ import annotations

import datetime

from calotype.config.messages import quoted
from calotype.config.settings import Settings
from calotype.database.errors import ImageNotFound
from calotype.database.unit_of_work import Unit
from calotype.model import policy
from calotype.model.changes import ImageFields, check_properties, properties_after
from calotype.model.errors import CallerExpired, NotAllowed
from calotype.model.images import Image
from calotype.model.policy import Caller


def locked_for(unit: Unit, image_id: str, caller: Caller, permission: str) -> Image:
    """Return the image as the unit sees it, if the caller has the permission over it now.

    Raises:
        ImageNotFound: it is deleted, or the caller may not know of it.
        NotAllowed: the caller may know of it, and no more.
        CallerExpired: the caller's token has expired.
    """
    image = unit.image(image_id)
    _require_valid(caller)
    grants = (*policy.COLLECTION_GRANTS, *policy.image_grants(image))
    if not policy.may(caller, policy.VIEW, grants):
        raise ImageNotFound(image_id)
    _require(caller, permission, grants)
    return image


#: Why a job ends whose image has another owner than when the job was ordered.
GIVEN_AWAY = "The image was given to another project meanwhile, so its import has ended."


def require(
    caller: Caller, permission: str, grants: tuple[policy.Grant, ...] = policy.COLLECTION_GRANTS
) -> None:
    """Return if the grants give the caller a right, over all images by default.

    Raises:
        NotAllowed, CallerExpired: they do not, or the caller's token has expired.
    """
    _require_valid(caller)
    _require(caller, permission, grants)


def require_fields(draft: ImageFields, caller: Caller, image: Image | None, settings: Settings) -> None:
    """Return if the caller may make the image, or a new one, what the draft says.

    Raises:
        NotAllowed: it may not set one of the fields so.
        RequestTooLarge, ReservedName, InvalidRequest: the properties would break a rule.
    """
    before = image.properties if image is not None else {}
    check_properties(properties_after(draft, image), settings, before)
    for name, value in draft.fields.items():
        if not policy.may_set(caller, name, value, image):
            raise NotAllowed(_refused(name, value, image))
    if image is None and caller.project is None:
        _require_owner(draft, caller, settings)


def _refused(name: str, value: object, image: Image | None) -> str:
    """Return why a field may not have the value."""
    wanted = "null" if value is None else quoted(str(value))
    refused = f"You are not allowed to set {name} to {wanted}"
    if image is not None and policy.FIELDS.get(name) is policy.FieldRule.UNTIL_DATA:
        return f"{refused}, because the image is {image.status}: its formats are fixed; create a new image."
    if name in policy.FIELDS:
        return f"{refused}. Only an administrator may do that."
    return f"{refused}."


def _require_owner(draft: ImageFields, caller: Caller, settings: Settings) -> None:
    """Return if a caller without a project may make the image; raises NotAllowed.

    Nobody but administrators could see an image without an owner.
    """
    if not caller.is_admin:
        raise NotAllowed("You have no project that could own an image: use a token that is scoped to one.")
    if not draft.fields.get("owner") and not settings.system_scope:
        raise NotAllowed(
            "Your token has no project that could own an image: use a token that is scoped to a project, "
            "or name the owner."
        )


def require_uploader(caller: Caller | None, owner: str | None, image: Image) -> None:
    """Return if the image may become active with the bytes that the caller has sent.

    A token may end while an upload lasts, so its expiry does not count. Without a caller it is a job, which
    works for whom the image belonged to when it was ordered.

    Raises:
        NotAllowed: the caller has lost its right over the image since the upload began, or the image has
            another `owner` by now than its job knows.
    """
    if caller is None:
        if image.owner != owner:
            raise NotAllowed(GIVEN_AWAY)
    elif not policy.may(caller, policy.UPLOAD, policy.image_grants(image)):
        raise NotAllowed(
            "The upload was refused when it was complete, because the caller is no longer allowed to change "
            "this image."
        )


def _require(caller: Caller, permission: str, grants: tuple[policy.Grant, ...]) -> None:
    if not policy.may(caller, permission, grants):
        raise NotAllowed("You are not allowed to do this.")


def _require_valid(caller: Caller) -> None:
    if caller.expires is not None and datetime.datetime.now(datetime.UTC) >= caller.expires:
        raise CallerExpired
