"""The errors of the database. Nothing here knows HTTP."""


class DatabaseError(Exception):
    """Base of what follows."""


class DuplicateImage(DatabaseError):
    """The id is taken, or was once: ids never come back."""

    def __init__(self, image_id: str):
        super().__init__(f"An image with identifier {image_id} already exists. Use another id, or none.")


class ImageNotFound(DatabaseError):
    """No such image, or none any more."""


class StatusConflict(DatabaseError):
    """The image is not in a status that allows the change: somebody else was faster."""


class LimitReached(DatabaseError):
    """A project would have more bytes or images than it may."""

    def __init__(self, most: int | None, what: str):
        super().__init__(f"The project's quota is reached: it exceeds the quota of {most} {what}.")


class DatabaseUnavailable(DatabaseError):
    """The database cannot be used now; the cause is chained."""


class DatabaseFull(DatabaseUnavailable):
    """The database's disk is full. `room_made`: its reserve was given up, so it is worth trying again."""

    room_made = False

    def __init__(self) -> None:
        super().__init__(
            "The disk of the image database is full: delete images, or have the operator make room."
        )


class SchemaMismatch(DatabaseError):
    """The database's schema is not the one this version needs."""


class NoIdentity(DatabaseUnavailable):
    """The database has no id of its own."""

    def __init__(self) -> None:
        super().__init__("the database has lost its database id: calotype-manage db new-id INI")
