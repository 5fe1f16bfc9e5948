"""The classic dialect's part of the resource tree: /images and /images/ID."""

from __future__ import annotations

from calotype.api.http.resources import ImageCollection, ImageResource


class ClassicImage(ImageResource):
    """/images/ID: an image"""


class ClassicImages(ImageCollection):
    """/images: the collection of images"""

    image_class = ClassicImage
