"""The v2 dialect's part of the resource tree. Children are defined before their parents."""

from __future__ import annotations

from typing import Any, ClassVar

from calotype.api.http.request import Request
from calotype.api.http.resources import ImageCollection, ImagePart, ImageResource, Resource
from calotype.api.v2 import schemas
from calotype.model import policy
from calotype.model.images import Member, Visibility


class Tag(ImagePart):
    """/v2/images/ID/tags/TAG: a tag, which the image need not have"""


class Tags(ImagePart):
    """/v2/images/ID/tags: the parent of the tags"""

    any_child = Tag


class Actions(ImagePart):
    """/v2/images/ID/actions: the parent of the actions on an image, which are views"""


class ImageMember(ImagePart):
    """/v2/images/ID/members/PROJECT: a member that the caller may see"""

    def __init__(self, request: Request, name: str, parent: ImageResource, member: Member):
        super().__init__(request, name, parent)
        self.member = member


class Members(ImagePart):
    """/v2/images/ID/members: the members that the caller may see"""

    def __getitem__(self, name: str) -> Resource:
        if self.image.visibility is Visibility.SHARED:
            for member in policy.visible_members(self.request.caller, self.image):
                if member.project == name:
                    return ImageMember(self.request, name, self, member)
        raise KeyError(name)


class V2Image(ImageResource):
    """/v2/images/ID: an image"""

    children: ClassVar = {"tags": Tags, "actions": Actions, "members": Members}


class TombstoneActions(ImagePart):
    """/v2/images/ID/actions: the actions on a deleted image"""


class V2Tombstone(ImageResource):
    """/v2/images/ID: a deleted image. Only administrators see it, so that they can undelete it."""

    children: ClassVar = {"actions": TombstoneActions}


class V2Images(ImageCollection):
    """/v2/images: the collection of images"""

    image_class = V2Image
    tombstone_class = V2Tombstone


class Schema(Resource):
    """/v2/schemas/NAME: a schema of v2, or of an extension below /v2/schemas"""

    def __init__(self, request: Request, name: str, parent: Resource, document: dict[str, Any]):
        super().__init__(request, name, parent)
        self.document = document


class Schemas(Resource):
    """/v2/schemas: the parent of the schemas"""

    def __getitem__(self, name: str) -> Resource:
        documents = schemas.Schemas.of(self.request).documents
        if name not in documents:
            return super().__getitem__(name)
        return Schema(self.request, name, self, documents[name])


class InfoStores(Resource):
    """/v2/info/stores: information about the stores"""


class Info(Resource):
    """/v2/info: information about the service"""

    children: ClassVar = {"stores": InfoStores}


class StoreImage(ImageResource):
    """/v2/stores/STORE/ID: an image, whose bytes need not be in the store"""


class StoreImages(ImageCollection):
    """/v2/stores/STORE: every image, even if its bytes are not in this store"""

    image_class = StoreImage


class Stores(Resource):
    """/v2/stores: the parent of the stores"""

    any_child = StoreImages


class _ForAdministrators(Resource):
    """A resource that reveals its methods, by 405 responses, only to administrators."""

    methods_shown_with = policy.OPERATE


class Audit(_ForAdministrators):
    """/v2/audit: the audit records"""


class Task(_ForAdministrators):
    """/v2/tasks/ID: a task, which need not exist. It is looked up only after the permission is checked."""


class Tasks(_ForAdministrators):
    """/v2/tasks: the collection of tasks"""

    any_child = Task


class V2(Resource):
    """/v2: the root of Images v2. Without a valid token, every path below it gets 401."""

    children: ClassVar = {
        "images": V2Images,
        "schemas": Schemas,
        "info": Info,
        "stores": Stores,
        "tasks": Tasks,
        "audit": Audit,
    }

    def __getitem__(self, name: str) -> Resource:
        _ = self.request.caller  # raises Unauthenticated
        return super().__getitem__(name)
