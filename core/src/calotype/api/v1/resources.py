"""The v1 dialect's part of the resource tree. Children are defined before their parents."""

from __future__ import annotations

from typing import ClassVar

from calotype.api.http.resources import ImageCollection, ImagePart, ImageResource, Resource
from calotype.model import policy
from calotype.model.images import Visibility


class _Sharing(ImagePart):
    """The members of an image, or one of them. A caller without the needed permission gets 404."""

    def hides(self, permission: str) -> bool:
        return True


class V1Member(_Sharing):
    """/v1/images/ID/members/PROJECT: a project that the image is or can be shared with"""


class V1Members(_Sharing):
    """/v1/images/ID/members: the members of the image"""

    any_child = V1Member


class V1Image(ImageResource):
    """/v1/images/ID: an image"""

    children: ClassVar = {"members": V1Members}

    def hides(self, permission: str) -> bool:
        """Return whether the image is hidden from a caller without the permission.

        A caller who may not update or delete the image gets 403 if the image is public or belongs to the
        caller's project, and 404 otherwise.
        """
        known = self.image.visibility is Visibility.PUBLIC or self.request.caller.project == self.image.owner
        return super().hides(permission) or (permission in (policy.UPDATE, policy.DELETE) and not known)


class V1Tombstone(ImageResource):
    """/v1/images/ID: a deleted image, which only an administrator sees"""


class V1Images(ImageCollection):
    """/v1/images: the collection of images"""

    image_class = V1Image
    tombstone_class = V1Tombstone


class V1SharedWith(Resource):
    """/v1/shared-images/PROJECT: the images that are shared with the project"""


class V1SharedImages(Resource):
    """/v1/shared-images: the parent of the resources of projects"""

    any_child = V1SharedWith


class V1(Resource):
    """/v1: the root of Images v1"""

    __acl__: ClassVar = ImageCollection.__acl__
    children: ClassVar = {"images": V1Images, "shared-images": V1SharedImages}
