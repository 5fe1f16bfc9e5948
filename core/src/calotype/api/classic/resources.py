"""The classic dialect's part of the tree: /images and /images/ID."""

from __future__ import annotations

from typing import ClassVar

from calotype.api.http.resources import ImageCollection, ImageResource


class ClassicImage(ImageResource):
    """/images/ID"""


class ClassicImages(ImageCollection):
    """The resource at `/images`: the collection of all images."""

    image_class: ClassVar[type[ImageResource]] = ClassicImage
