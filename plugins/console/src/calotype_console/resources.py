"""The resource tree below /console. It contains only the images that the caller may see."""

from __future__ import annotations

from typing import ClassVar

from pyramid.config import Configurator

from calotype.api.http.request import Request
from calotype.api.http.resources import ImageCollection, ImageResource, Resource, Root
from calotype_console.assets import Asset, Assets


class ImagePage(ImageResource):
    """/console/images/ID: one image"""

    is_api = False


class DeletedPage(ImageResource):
    """/console/images/ID: a deleted image, which only administrators see"""

    is_api = False


class ImagesPage(ImageCollection):
    """/console/images: the list of images"""

    is_api = False
    image_class = ImagePage
    tombstone_class = DeletedPage


class AssetFile(Resource):
    """/console/assets/NAME: a file that the pages load"""

    is_api = False

    def __init__(self, request: Request, name: str, parent: Resource):
        super().__init__(request, name, parent)
        assets: Assets = request.registry[Assets.KEY]
        self.asset: Asset = assets.files[name]  # an unknown name raises KeyError, and gets 404


class AssetFiles(Resource):
    """/console/assets: the files that the pages load"""

    is_api = False
    any_child = AssetFile


class Operations(Resource):
    """/console/operations: what operators ask; each page is a view"""

    is_api = False


class Console(Resource):
    """/console: the beginning of the console"""

    is_api = False
    children: ClassVar = {"images": ImagesPage, "assets": AssetFiles, "operations": Operations}


def includeme(config: Configurator) -> None:
    """Add the console below the root."""
    config.add_child(Root, "console", Console)
