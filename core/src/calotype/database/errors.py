"""The errors of the database. They contain nothing about HTTP."""


class DatabaseError(Exception):
    """Base of the errors below."""


class DuplicateImage(DatabaseError):
    """An image has this id, or had it before it was deleted: ids are never reused."""

    def __init__(self, image_id: str):
        super().__init__(f"An image with identifier {image_id} already exists. Use another id, or none.")


class ImageNotFound(DatabaseError):
    """There is no image with this id, or it is deleted."""


class StatusConflict(DatabaseError):
    """The image is no longer in a status that allows the change: another unit of work changed it first."""


class LimitReached(DatabaseError):
    """A project would use more bytes or images than its limits allow."""

    def __init__(self, most: int | None, what: str):
        super().__init__(f"The project's quota is reached: the request exceeds the limit of {most} {what}.")


class DatabaseUnavailable(DatabaseError):
    """The database cannot be used at the moment. The cause is chained."""


class DatabaseFull(DatabaseUnavailable):
    """The database's disk is full. `room_made` is true if giving up the reserve may let a retry succeed."""

    room_made = False

    def __init__(self) -> None:
        super().__init__(
            "The disk of the image database is full: delete images, or have the operator make room."
        )


class SchemaMismatch(DatabaseError):
    """The database's schema is not the one that this version needs, or cannot be changed into it."""


class NoIdentity(DatabaseUnavailable):
    """The database has lost its id."""

    def __init__(self) -> None:
        super().__init__("the database has lost its database id: run `calotype-manage db new-id INI`")
