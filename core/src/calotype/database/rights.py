"""Checking the caller's rights in the unit of work that writes, against the image that the unit has locked.

A view checks the caller's rights when it has a request's headers. While the body arrives, the image may be
given to another project, become private, or stop being shared. So each verb that changes something checks
again here, and if the caller has lost the right, the unit is rolled back.
"""

from __future__ import annotations

import datetime

from calotype.database.errors import ImageNotFound
from calotype.database.unit_of_work import Unit
from calotype.model import policy
from calotype.model.errors import CallerExpired, NotAllowed, NotFound
from calotype.model.images import Image
from calotype.model.policy import Caller
from calotype.model.sessions import UploadSession


def locked_for(unit: Unit, image_id: str, caller: Caller, permission: str, *, whole: bool = True) -> Image:
    """Return the image, locked, if the caller has the permission over it.

    If `whole` is false, the image may lack its parts, such as properties and locations.

    Raises:
        ImageNotFound: the image is deleted, or the caller may not view it.
        NotAllowed: the caller may view the image, but does not have the permission.
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


#: The message of a job that fails because its image was given to another project.
GIVEN_AWAY = "The image was given to another project meanwhile, so its import has ended."


def require(
    caller: Caller, permission: str, grants: tuple[policy.Grant, ...] = policy.COLLECTION_GRANTS
) -> None:
    """Check that the grants give the caller the permission.

    The default grants are those on the collection of images.

    Raises:
        NotAllowed: the caller does not have the permission.
        CallerExpired: the caller's token has expired.
    """
    _require_valid(caller)
    _require(caller, permission, grants)


def require_uploader(caller: Caller | None, owner: str | None, image: Image) -> None:
    """Check that the image may become active with the bytes of the caller's upload.

    A token may expire during an upload, so its expiry is not checked. If `caller` is None, the bytes come
    from a job, which acts for `owner`, the project that owned the image when the job was created.

    Raises:
        NotAllowed: the caller has lost its right since the upload began, or the image no longer belongs to
            the job's `owner`.
    """
    if caller is None:
        if image.owner != owner:
            raise NotAllowed(GIVEN_AWAY)
    elif not policy.may(caller, policy.UPLOAD, policy.image_grants(image)):
        raise NotAllowed(
            "The upload was refused when it was complete, because the caller is no longer allowed to change "
            "this image."
        )


def require_session(caller: Caller, session: UploadSession, image: Image | None) -> None:
    """Check that the caller may use an upload session. `image` is its image; None if it has none, or no more.

    Raises:
        NotFound: the caller may not know of the session.
        NotAllowed: the caller has begun the session, and lost its right to the image since.
        CallerExpired: the caller's token has expired.
    """
    grants = policy.session_grants(session.project) if image is None else policy.image_grants(image)
    try:
        require(caller, policy.UPLOAD, grants)
    except NotAllowed:
        if (session.project, session.user) == (caller.project, caller.user):
            raise
        raise NotFound(NO_SESSION) from None


#: The message about a session that does not exist, or that the caller may not know of.
NO_SESSION = "There is no such upload session."


def _require(caller: Caller, permission: str, grants: tuple[policy.Grant, ...]) -> None:
    if not policy.may(caller, permission, grants):
        raise NotAllowed(f"You are not allowed to do this: it needs the permission '{permission}'.")


def _require_valid(caller: Caller) -> None:
    if caller.expires is not None and datetime.datetime.now(datetime.UTC) >= caller.expires:
        raise CallerExpired
