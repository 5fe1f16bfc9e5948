"""The v1 dialect's part of the tree."""

from __future__ import annotations

from typing import ClassVar

from calotype.api.http.request import Request
from calotype.api.http.resources import ImageCollection, ImageResource, Resource
from calotype.model import policy
from calotype.model.images import Image, Visibility


class V1(Resource):
    """/v1"""

    __acl__: ClassVar = ImageCollection.__acl__

    def __getitem__(self, name: str) -> Resource:
        return _CHILDREN[name](self.request, name, self)


class V1Images(ImageCollection):
    """/v1/images"""


class V1Image(ImageResource):
    """/v1/images/ID"""

    def __getitem__(self, name: str) -> Resource:
        if name != "members":
            raise KeyError(name)
        return V1Members(self.request, name, self)

    def hides(self, permission: str) -> bool:
        """To a caller who may not change it, an image is there if it is public or of the caller's project."""
        known = self.image.visibility is Visibility.PUBLIC or self.request.caller.project == self.image.owner
        return super().hides(permission) or (permission in (policy.UPDATE, policy.DELETE) and not known)


class V1Tombstone(ImageResource):
    """/v1/images/ID of a deleted image, as an admin still sees it"""


class _Sharing(Resource):
    """The sharing of an image. A caller who may not see it, or not change it, gets 404."""

    def __init__(self, request: Request, name: str, parent: V1Image | V1Members):
        super().__init__(request, name, parent)
        self.image: Image = parent.image

    def hides(self, permission: str) -> bool:
        return True


class V1Members(_Sharing):
    """/v1/images/ID/members"""

    def __getitem__(self, name: str) -> Resource:
        return V1Member(self.request, name, self)


class V1Member(_Sharing):
    """/v1/images/ID/members/PROJECT"""


class V1SharedImages(Resource):
    """/v1/shared-images"""

    def __getitem__(self, name: str) -> Resource:
        return V1SharedWith(self.request, name, self)


class V1SharedWith(Resource):
    """/v1/shared-images/PROJECT"""


V1Images.image_class, V1Images.tombstone_class = V1Image, V1Tombstone
_CHILDREN = {"images": V1Images, "shared-images": V1SharedImages}
