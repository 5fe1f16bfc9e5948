"""What can go wrong in the registry. Nothing here knows HTTP."""


class RegistryError(Exception):
    """Base of what follows."""


class DuplicateImage(RegistryError):
    """The id is taken, or was once: ids never come back."""

    def __init__(self, image_id: str):
        super().__init__(f"An image with identifier {image_id} already exists")


class ImageNotFound(RegistryError):
    """No such image, or none any more."""


class StatusConflict(RegistryError):
    """The image is not in a status that allows the change: somebody else was faster."""


class LimitReached(RegistryError):
    """A project would have more bytes or images than it may."""

    def __init__(self, most: int | None, what: str):
        super().__init__(f"The project's quota is reached: it exceeds the quota of {most} {what}.")


class RegistryUnavailable(RegistryError):
    """The database cannot be used now; the cause is chained."""


class SchemaMismatch(RegistryError):
    """The database's schema is not the one this version needs."""
