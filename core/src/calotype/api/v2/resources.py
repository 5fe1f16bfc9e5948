"""The v2 dialect's part of the tree."""

from __future__ import annotations

from typing import Any, ClassVar

from calotype.api.http.request import Request
from calotype.api.http.resources import ImageCollection, ImageResource, Resource
from calotype.api.v2 import schemas
from calotype.model import policy
from calotype.model.images import Image, Member, Visibility


class V2(Resource):
    """/v2; without a valid token every path below it is 401"""

    def __getitem__(self, name: str) -> Resource:
        _ = self.request.caller  # raises Unauthenticated
        return _CHILDREN[name](self.request, name, self) if name in _CHILDREN else super().__getitem__(name)


class V2Images(ImageCollection):
    """/v2/images"""


class V2Image(ImageResource):
    """/v2/images/ID"""

    def __getitem__(self, name: str) -> Resource:
        return _PARTS[name](self.request, name, self, self.image)


class V2Tombstone(ImageResource):
    """/v2/images/ID of a deleted image, which only an administrator finds, to undelete it"""

    def __getitem__(self, name: str) -> Resource:
        if name != "actions":
            raise KeyError(name)
        return TombstoneActions(self.request, name, self, self.image)


class TombstoneActions(ImageResource):
    """/v2/images/ID/actions of a deleted image"""


class Tags(ImageResource):
    """/v2/images/ID/tags"""

    def __getitem__(self, name: str) -> Resource:
        return Tag(self.request, name, self, self.image)


class Tag(ImageResource):
    """/v2/images/ID/tags/TAG, whether the image has it or not"""


class Actions(ImageResource):
    """/v2/images/ID/actions"""


class Members(ImageResource):
    """/v2/images/ID/members, with the members that the caller may know of"""

    def __getitem__(self, name: str) -> Resource:
        if self.image.visibility is not Visibility.SHARED:
            raise KeyError(name)
        for member in policy.visible_members(self.request.caller, self.image):
            if member.project == name:
                return ImageMember(self.request, name, self, self.image, member)
        raise KeyError(name)


class ImageMember(ImageResource):
    """/v2/images/ID/members/PROJECT"""

    def __init__(self, request: Request, name: str, parent: Resource, image: Image, member: Member):
        super().__init__(request, name, parent, image)
        self.member = member


class Schemas(Resource):
    """/v2/schemas"""

    def __getitem__(self, name: str) -> Resource:
        documents = schemas.Schemas.of(self.request).documents
        if name not in documents:
            return super().__getitem__(name)
        return Schema(self.request, name, self, documents[name])


class Schema(Resource):
    """/v2/schemas/NAME, or a schema of an extension's below /v2/schemas"""

    def __init__(self, request: Request, name: str, parent: Resource, document: dict[str, Any]):
        super().__init__(request, name, parent)
        self.document = document


class Info(Resource):
    """/v2/info"""

    def __getitem__(self, name: str) -> Resource:
        if name != "stores":
            raise KeyError(name)
        return InfoStores(self.request, name, self)


class InfoStores(Resource):
    """/v2/info/stores"""


class Stores(Resource):
    """/v2/stores"""

    def __getitem__(self, name: str) -> Resource:
        return StoreImages(self.request, name, self)


class StoreImages(ImageCollection):
    """/v2/stores/STORE, with every image, in this store or not"""


class StoreImage(ImageResource):
    """/v2/stores/STORE/ID"""


class Audit(Resource):
    """/v2/audit"""

    methods_shown_with: ClassVar[str] = policy.OPERATE


class Tasks(Resource):
    """/v2/tasks"""

    methods_shown_with: ClassVar[str] = policy.OPERATE

    def __getitem__(self, name: str) -> Resource:
        return Task(self.request, name, self)


class Task(Resource):
    """/v2/tasks/ID, even if there is no such task, so that only administrators learn whether there is"""

    methods_shown_with: ClassVar[str] = policy.OPERATE


V2Images.image_class, V2Images.tombstone_class = V2Image, V2Tombstone
StoreImages.image_class = StoreImage
_CHILDREN: dict[str, type[Resource]] = {
    "images": V2Images,
    "schemas": Schemas,
    "info": Info,
    "stores": Stores,
    "tasks": Tasks,
    "audit": Audit,
}
_PARTS: dict[str, type[ImageResource]] = {"tags": Tags, "actions": Actions, "members": Members}
