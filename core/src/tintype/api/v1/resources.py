"""The v1 dialect's part of the tree."""

from __future__ import annotations

from typing import ClassVar

from tintype.draft import canonical_id
from tintype.resources import ImageCollection, ImageResource, Resource


class V1(Resource):
    """/v1"""

    __acl__: ClassVar = ImageCollection.__acl__

    def __getitem__(self, name: str) -> Resource:
        return _CHILDREN[name](self.request, name, self)


class V1Images(ImageCollection):
    """/v1/images"""

    def __getitem__(self, name: str) -> ImageResource:
        try:
            return super().__getitem__(name)
        except KeyError:
            image_id = canonical_id(name)
            if image_id is None or not self.request.caller.is_admin:
                raise
            tombstone = self.request.image_registry.find_deleted(image_id)
            if tombstone is None:
                raise
            return V1Tombstone(self.request, name, self, tombstone)


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
