"""The v1 dialect's part of the tree."""

from __future__ import annotations

from typing import ClassVar

from calotype.api.http.resources import ImageCollection, ImageResource, Resource
from calotype.model.images import Status


class V1(Resource):
    """/v1"""

    __acl__: ClassVar = ImageCollection.__acl__

    def __getitem__(self, name: str) -> Resource:
        return _CHILDREN[name](self.request, name, self)


class V1Images(ImageCollection):
    """/v1/images"""

    def __getitem__(self, name: str) -> ImageResource:
        image = self.request.visible_image(name, deleted=self.request.caller.is_admin)
        if image is None:
            raise KeyError(name)
        kind = V1Tombstone if image.status is Status.DELETED else V1Image
        return kind(self.request, name, self, image)


class V1Image(ImageResource):
    """/v1/images/ID"""

    def __getitem__(self, name: str) -> Resource:
        if name != "members":
            raise KeyError(name)
        return V1Members(self.request, name, self)


class V1Tombstone(ImageResource):
    """/v1/images/ID of a deleted image, as an admin still sees it"""


class V1Members(Resource):
    """/v1/images/ID/members"""

    def __getitem__(self, name: str) -> Resource:
        return V1Member(self.request, name, self)


class V1Member(Resource):
    """/v1/images/ID/members/PROJECT"""


class V1SharedImages(Resource):
    """/v1/shared-images"""

    def __getitem__(self, name: str) -> Resource:
        return V1SharedWith(self.request, name, self)


class V1SharedWith(Resource):
    """/v1/shared-images/PROJECT"""


V1Images.image_class = V1Image
_CHILDREN = {"images": V1Images, "shared-images": V1SharedImages}
