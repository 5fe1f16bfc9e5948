"""Rights at the moment of the write: judged inside the unit of work, against what the unit has locked.

A view refuses at a request's head whoever may not do what it asks. The body can take long to come,
and meanwhile an image is given away, withdrawn, or shared no more. So each verb that changes
something asks here again, and nothing of its unit remains when the answer is no.
"""

from __future__ import annotations

import datetime

from calotype.database.errors import ImageNotFound
from calotype.database.unit_of_work import Unit
from calotype.model import policy
from calotype.model.errors import CallerExpired, NotAllowed
from calotype.model.images import Image
from calotype.model.policy import Caller


def locked_for(unit: Unit, image_id: str, caller: Caller, permission: str, *, whole: bool = True) -> Image:
    """Return the image, locked, if the caller has the permission over it now.

    Without `whole` the image comes without what belongs to it, such as properties and locations.

    Raises:
        ImageNotFound: it is deleted, or the caller may not know of it.
        NotAllowed: the caller may know of it, and no more.
        CallerExpired: the caller's token has expired.
    """
    image = unit.row(image_id)
    _require_valid(caller)
    if whole or not policy.may(caller, permission, policy.image_grants(image)):
        image = unit.image(image_id)  # its members may have rights, too
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
