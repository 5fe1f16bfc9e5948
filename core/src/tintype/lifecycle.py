"""An image's life: which status follows which, and the verbs that move it on.

                      upload               bytes are there                 deactivate
    reserve -> queued -------> saving ---------------------> active <-----> deactivated
                 ^  |            | the upload fails            ^
                 |  |  register  |                             |
                 |  +------------|-----------------------------+
                 +---------------+----> killed         (where a failure leaves an image
                                                        is the dialect's choice)
    delete: from any of them -> deleted, for ever

Each verb is one or two short units of work around what takes long. A status is
changed by a compare-and-swap, so of two that want the same image one gets it. Where
bytes will lie is written down before the first one moves, under a key that belongs
to this one attempt; they are the image's only once a committed unit says so, and
they are removed only once a committed unit says that they are not. No HTTP here.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tintype import policy
from tintype.draft import (
    Draft,
    DraftTooLarge,
    InvalidDraft,
    check_draft,
    check_project,
    check_properties,
    check_tag,
    new_id,
)
from tintype.inspection import Inspector
from tintype.intake import Inspected, Metered
from tintype.policy import Caller
from tintype.registry import (
    Image,
    ImageNotFound,
    LimitReached,
    Limits,
    Location,
    MemberStatus,
    Registry,
    RegistryError,
    RegistryUnavailable,
    Status,
    StatusConflict,
    Unit,
)
from tintype.settings import Settings
from tintype.stores.catalog import Catalog
from tintype.stores.checked import CheckedStore, Demands, Received
from tintype.stores.contract import Capability, Reader
from tintype.stores.errors import BlobNotFound, SourceError, StoreError

log = logging.getLogger(__name__)

#: The state table: what each status may become.
NEXT: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.SAVING, Status.ACTIVE, Status.DELETED}),
    Status.SAVING: frozenset({Status.ACTIVE, Status.KILLED, Status.QUEUED, Status.DELETED}),
    Status.ACTIVE: frozenset({Status.DEACTIVATED, Status.DELETED}),
    Status.DEACTIVATED: frozenset({Status.ACTIVE, Status.DELETED}),
    Status.KILLED: frozenset({Status.DELETED}),
    Status.DELETED: frozenset(),
}
#: Everything that is not deleted: whose metadata may change.
ALIVE = frozenset(Status) - {Status.DELETED}


class UnknownStore(InvalidDraft):
    """The draft names a store that is not there, or none and there is no default."""


class NotAllowed(Exception):
    """The caller may change the image, but not in this way."""


class NotFound(Exception):
    """What the verb is about - a tag, a member - is not there."""


class NotQueued(Exception):
    """Bytes or a location came for an image that is not waiting for any."""


class Protected(Exception):
    """The image is protected from being deleted."""


class Vanished(Exception):
    """The image was deleted while its bytes were on their way."""


class NoData(Exception):
    """The image has no bytes to read (yet, or any more)."""


class Lifecycle:
    """The verbs, over one registry and one catalog of stores; shared by all threads.

    Whoever calls a verb has made sure that the caller has the right to it
    (`tintype.policy`); which values a caller may set is looked at here.
    """

    def __init__(self, registry: Registry, stores: Catalog, settings: Settings):
        self._registry = registry
        self._stores = stores
        self._settings = settings
        self._limits = Limits(settings.project_bytes, settings.project_images)

    def reserve(self, draft: Draft, caller: Caller) -> Image:
        """Make an image that waits for its bytes: queued.

        Raises:
            InvalidDraft, NotAllowed: the draft breaks a rule.
            DuplicateImage: its id is taken.
            LimitReached: the project has as many images as it may.
        """
        self._check(draft, caller)
        with self._registry.unit() as unit:
            return unit.image(self._add(unit, draft, caller))

    def upload(
        self,
        draft: Draft,
        source: Reader,
        length: int | None,
        caller: Caller,
        image: Image | None = None,
        *,
        on_failure: Status = Status.KILLED,
    ) -> Image:
        """Take an image's bytes, of a new image or of a queued one: saving, then active.

        `length` is the number of bytes the transport announced, None if it did not.
        `on_failure` is where a failed upload leaves the image: killed, or queued again.

        Raises:
            InvalidDraft, NotAllowed, UnknownStore, DuplicateImage: nothing was recorded.
            LimitReached: the project's quota does not allow it; nothing was recorded.
            NotQueued: the image has bytes already, or is getting them.
            SourceError, StoreError: the upload failed; `status_reason` says why.
            Vanished: the image was deleted meanwhile; nothing is left.
        """
        self._check(draft, caller, image)
        store = self._store_for(draft)
        demands = self._demands(draft, image, length)
        with self._registry.unit() as unit:
            image_id = self._add_or_change(unit, draft, caller, image)
            saving = self._take(unit, image_id, Status.SAVING)
            attempt = _Attempt(saving, f"{image_id}.{secrets.token_hex(6)}", store, on_failure)
            unit.intend(image_id, attempt.key, store.name, store.locate(attempt.key))
            unit.count_location(attempt.key, saving.owner, self._limits, length or 0)
        intake = self._intake(attempt, source, length)
        try:
            received = store.add(attempt.key, intake, demands)
        except BaseException as error:
            self._fail(attempt, error)
            raise
        return self._activate(attempt, received, intake)

    def register(self, draft: Draft, caller: Caller, image: Image | None = None) -> Image:
        """Make an image, or a queued one, active whose bytes lie elsewhere, at `draft.location`.

        Raises:
            InvalidDraft, NotAllowed, DuplicateImage, LimitReached: nothing was recorded.
            BadLocation, BlobNotFound, Unavailable: nothing was recorded.
            NotQueued: the image has bytes already.
        """
        self._check(draft, caller, image)
        store = self._stores.external(draft.location or "")
        stored = store.register(draft.location or "")
        size = stored.size if stored.size is not None else draft.size
        if None not in (stored.size, draft.size) and stored.size != draft.size:
            raise NotQueued(
                f"Provided image size must match the stored image size: "
                f"provided {draft.size}, stored {stored.size}."
            )
        with self._registry.unit() as unit:
            image_id = self._add_or_change(unit, draft, caller, image)
            self._take(unit, image_id, Status.ACTIVE, size=size)
            unit.refer(image_id, f"{image_id}.{secrets.token_hex(6)}", store.name, stored.location)
            return unit.image(image_id)

    def update(self, image: Image, draft: Draft, caller: Caller) -> Image:
        """Change metadata: what the draft names, and nothing else.

        Raises:
            InvalidDraft, NotAllowed: the draft breaks a rule.
            ImageNotFound: the image was deleted meanwhile.
        """
        self._check(draft, caller, image)
        with self._registry.unit() as unit:
            self._change(unit, draft, image)
            return unit.image(image.id)

    def add_tag(self, image: Image, tag: str) -> None:
        """Give an image a tag; having it already is no error."""
        check_tag(tag)
        with self._registry.unit() as unit:
            tags = {*unit.image(image.id).tags, tag}
            if len(tags) > self._settings.max_tags:
                raise DraftTooLarge(
                    "The limit has been exceeded on the number of allowed image tags: "
                    f"{self._settings.max_tags}."
                )
            unit.change(image.id, ALIVE, {})
            unit.set_tags(image.id, tags)

    def remove_tag(self, image: Image, tag: str) -> None:
        """Take a tag from an image; raises NotFound when it has none of that name."""
        with self._registry.unit() as unit:
            tags = set(unit.image(image.id).tags)
            if tag not in tags:
                raise NotFound(f"Image {image.id} has no such tag.")
            unit.change(image.id, ALIVE, {})
            unit.set_tags(image.id, tags - {tag})

    def share(self, image: Image, project: str, *, can_share: bool | None = None) -> Image:
        """Share an image with a project, or change whether that one may share it further.

        Raises:
            InvalidDraft: no project can be called that.
            DraftTooLarge: the image has as many members as it may.
        """
        check_project(project)
        with self._registry.unit() as unit:
            members = {member.project for member in unit.image(image.id).members} | {project}
            if len(members) > self._settings.max_members:
                raise DraftTooLarge(
                    "The limit has been exceeded on the number of allowed image members: "
                    f"{self._settings.max_members}."
                )
            unit.set_member(image.id, project, **({} if can_share is None else {"can_share": can_share}))
            return unit.image(image.id)

    def unshare(self, image: Image, project: str) -> None:
        """End a membership at once; raises NotFound when there is none."""
        with self._registry.unit() as unit:
            if not unit.remove_member(image.id, project):
                raise NotFound("Membership could not be found.")

    def answer(self, image: Image, project: str, status: MemberStatus) -> Image:
        """Say what a member thinks of an image: accepted ones are in its lists."""
        with self._registry.unit() as unit:
            if project not in {member.project for member in unit.image(image.id).members}:
                raise NotFound("Membership could not be found.")
            unit.set_member(image.id, project, status=status)
            return unit.image(image.id)

    def deactivate(self, image: Image) -> Image:
        """Withhold an image's bytes from all but admins; being so already is no error."""
        return self._toggle(image, Status.ACTIVE, Status.DEACTIVATED)

    def reactivate(self, image: Image) -> Image:
        """Give an image's bytes out again."""
        return self._toggle(image, Status.DEACTIVATED, Status.ACTIVE)

    def _toggle(self, image: Image, before: Status, after: Status) -> Image:
        with self._registry.unit() as unit:
            current = unit.image(image.id)
            if current.status is not after:
                try:
                    unit.move(image.id, {before}, after)
                except StatusConflict:
                    raise NotAllowed(f"An image that is {current.status} cannot become {after}.") from None
            return unit.image(image.id)

    def delete(self, image: Image) -> None:
        """Delete an image: the record first, the bytes after; bytes of others are never touched.

        Bytes that cannot be removed now stay written down as doomed.

        Raises:
            Protected: the image is protected.
            ImageNotFound: it was deleted meanwhile.
        """
        with self._registry.unit() as unit:
            image = unit.image(image.id)
            if image.protected:
                raise Protected(f"Image {image.id} is protected and cannot be deleted.")
            now = datetime.datetime.now(datetime.UTC)
            self._move(unit, image.id, Status.DELETED, deleted_at=now)
            unit.count(image.owner, self._limits, images=-1)
            for location in image.locations:
                if location.external:
                    unit.forget_location(location.key)
                else:
                    unit.count_location(location.key, image.owner, self._limits, 0)
                    unit.doom_location(location.key)
        for location in image.locations:
            if not location.external:
                self._remove(location)

    def open(self, image: Image, offset: int = 0, length: int | None = None) -> Reader:
        """Open an image's bytes: `length` of them from `offset`, or all from there on.

        Raises:
            NoData: the image is not active.
            BlobNotFound, BlobChanged, Unavailable: its store fails it.
        """
        location = image.location
        if image.status not in (Status.ACTIVE, Status.DEACTIVATED) or location is None:
            raise NoData(f"Image {image.id} is not active: it has no data to read.")
        if location.store not in self._stores:
            raise StoreError(location.store, "it is not configured on this server")
        store = self._stores[location.store]
        return store.get(location.location or "", offset, length, size=image.size)

    # -- what a draft must pass before anything is recorded

    def _check(self, draft: Draft, caller: Caller, image: Image | None = None) -> None:
        check_draft(draft, self._settings)
        check_properties(_properties_after(draft, image), self._settings)
        for name, value in draft.fields.items():
            if not policy.may_set(caller, name, value, image):
                raise NotAllowed(f"You are not allowed to set {name} of this image so.")
        if image is None and not caller.is_admin and caller.project is None:
            raise NotAllowed("You have no project that could own an image.")

    def _store_for(self, draft: Draft) -> CheckedStore:
        name = draft.store or self._stores.default
        if name is None or name not in self._stores:
            raise UnknownStore(
                f"Requested store {name or '(none, and there is no default)'} "
                f"not available for storage on this Glance node"
            )
        store = self._stores[name]
        if not store.can(Capability.WRITE):
            raise UnknownStore(f"Requested store {name} not available for storage: it takes no uploads")
        return store

    def _demands(self, draft: Draft, image: Image | None, length: int | None) -> Demands:
        reserved = image.size if image is not None else None
        return Demands(
            length=length,
            size=draft.size if draft.size is not None else reserved or None,
            limit=self._settings.image_size_cap,
            digests=dict(draft.digests),
        )

    # -- parts of a unit of work

    def _add_or_change(self, unit: Unit, draft: Draft, caller: Caller, image: Image | None) -> str:
        if image is None:
            return self._add(unit, draft, caller)
        self._change(unit, draft, image)
        return image.id

    def _add(self, unit: Unit, draft: Draft, caller: Caller) -> str:
        image_id = draft.id or new_id()
        fields = {"owner": caller.project, **draft.fields}
        unit.count(fields["owner"], self._limits, images=1)
        unit.add_image(image_id, {**fields, "size": draft.size}, draft.properties)
        unit.set_tags(image_id, draft.tags or ())
        return image_id

    def _change(self, unit: Unit, draft: Draft, image: Image) -> None:
        before = unit.image(image.id)
        unit.change(image.id, ALIVE, draft.fields)
        unit.set_properties(image.id, _properties_after(draft, before), keep_others=False)
        if draft.tags is not None:
            unit.set_tags(image.id, draft.tags)
        owner = draft.fields.get("owner", before.owner)
        if owner != before.owner:
            counted = sum(location.counted for location in unit.locations(image.id))
            unit.count(before.owner, self._limits, images=-1, size=-counted)
            unit.count(owner, self._limits, images=1, size=counted)

    def _take(self, unit: Unit, image_id: str, to: Status, **values: Any) -> Image:
        """Move a queued image on, or say that it is not queued."""
        try:
            unit.move(image_id, {Status.QUEUED}, to, status_reason=None, **values)
        except StatusConflict:
            raise NotQueued("Cannot upload to an unqueued image") from None
        return unit.image(image_id)

    def _move(self, unit: Unit, image_id: str, to: Status, **values: Any) -> None:
        unit.move(image_id, {status for status, after in NEXT.items() if to in after}, to, **values)

    # -- how bytes come in, and how an upload ends

    def _intake(self, attempt: _Attempt, source: Reader, length: int | None) -> Inspected | Metered | Reader:
        if length is None and self._limits.bytes is not None:
            source = Metered(source, lambda total: self._recount(attempt, total))
        if self._settings.inspection == "off":
            return source
        image = attempt.image
        declared = image.disk_format if image.container_format in (None, "bare") else None
        inspector = Inspector(declared, virtual_size_cap=self._settings.virtual_size_cap)
        return Inspected(source, inspector, enforce=self._settings.inspection == "enforce")

    def _recount(self, attempt: _Attempt, total: int) -> None:
        with self._registry.unit() as unit:
            unit.count_location(attempt.key, attempt.image.owner, self._limits, total)

    def _activate(self, attempt: _Attempt, received: Received, intake: Reader) -> Image:
        image_id = attempt.image.id
        verdict = intake.verdict if isinstance(intake, Inspected) else None
        try:
            with self._registry.unit() as unit:
                self._move(
                    unit,
                    image_id,
                    Status.ACTIVE,
                    size=received.size,
                    checksum=received.digests.get("md5"),
                    os_hash_algo="sha256",
                    os_hash_value=received.digests["sha256"],
                    detected_format=verdict.format if verdict else None,
                    virtual_size=verdict.virtual_size if verdict else None,
                )
                unit.count_location(attempt.key, unit.image(image_id).owner, self._limits, received.size)
                unit.keep_location(attempt.key, received.location)
                return unit.image(image_id)
        except (StatusConflict, ImageNotFound):
            error = Vanished(f"Image {image_id} could not be found after upload: it was deleted.")
            self._fail(attempt, error)
            raise error from None
        except LimitReached as error:
            self._fail(attempt, error)
            raise
        except RegistryUnavailable as error:
            # The commit may have happened all the same: only the registry can tell.
            image = self._registry.find(image_id)
            if image is not None and any(location.key == attempt.key for location in image.locations):
                return image
            self._fail(attempt, error)
            raise

    def _fail(self, attempt: _Attempt, error: BaseException) -> None:
        """Say why, and remove what the attempt left; never hides the error that led here."""
        image_id = attempt.image.id
        try:
            with self._registry.unit() as unit:
                with contextlib.suppress(StatusConflict):  # deleted meanwhile: it stays so
                    unit.move(image_id, {Status.SAVING}, attempt.on_failure, status_reason=_reason(error))
                unit.count_location(attempt.key, attempt.image.owner, self._limits, 0)
                unit.doom_location(attempt.key)
        except RegistryError:
            log.exception("image %s: its failed upload stays written down as intended", image_id)
        else:
            self._discard(attempt)

    def _discard(self, attempt: _Attempt) -> None:
        try:
            attempt.store.discard(attempt.key)
        except StoreError:
            log.exception("store '%s': could not remove what an upload left", attempt.store.name)
        else:
            self._forget(attempt.key)

    def _remove(self, location: Location) -> None:
        """Remove doomed bytes; what fails stays doomed, and is tried again by whoever sweeps."""
        if location.store not in self._stores:
            log.error(
                "store '%s' is not configured here: bytes of a deleted image stay in it", location.store
            )
            return
        try:
            with contextlib.suppress(BlobNotFound):
                self._stores[location.store].delete(location.location or "")
        except StoreError:
            log.exception("store '%s': could not remove a deleted image's bytes", location.store)
        else:
            self._forget(location.key)

    def _forget(self, key: str) -> None:
        try:
            with self._registry.unit() as unit:
                unit.forget_location(key)
        except RegistryError:
            log.exception("a removed blob stays written down as doomed")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt to upload: the saving image, the key its bytes go under, and what a failure makes of it."""

    image: Image
    key: str
    store: CheckedStore
    on_failure: Status


def _properties_after(draft: Draft, image: Image | None) -> dict[str, str]:
    """The properties an image will have once the draft is applied."""
    kept = {} if image is None or draft.replace_properties else image.properties
    return {name: value for name, value in kept.items() if name not in draft.dropped} | dict(draft.properties)


def _reason(error: BaseException) -> str:
    """What a person may read of a failure: sentences written for them, and nothing from inside."""
    if isinstance(error, (SourceError, StoreError, RegistryError, Vanished)):
        return str(error)
    return f"The upload was broken off by {type(error).__name__}."
