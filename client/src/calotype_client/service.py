"""The requests of Images v2 that move no bytes: one object for one server, with a method for each request."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from calotype_client import __version__
from calotype_client.changes import ImageFields, patch
from calotype_client.errors import NotAllowed, NotFound, NotSupported, ProtocolError
from calotype_client.images import Image, Member, Store, Task, listed
from calotype_client.lookup import find_image
from calotype_client.profiles.finding import find_profile
from calotype_client.profiles.folders import cache_folder
from calotype_client.profiles.profile import Profile, check_url
from calotype_client.transport.answers import Answer
from calotype_client.transport.transport import Transport, path_of

_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
_USER_AGENT = f"calotype-client/{__version__}"
#: Images that one page of a list has at most.
_PAGE = 500


class ImageService:
    """An image service with a caller. It can be used from several threads, and as a context manager.

    Methods that take an image take an `Image` or its id; `image` finds one by its name. Every method may
    raise the errors of `calotype_client.errors`; a docstring names those that are particular to a method.
    """

    def __init__(self, profile: Profile):
        self.profile = profile
        self.transport = Transport(profile, _USER_AGENT)
        self.cache = cache_folder(os.environ)

    @classmethod
    def connect(cls, name: str | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Return the service of a remote or a cloud by its name, or the default one.

        `calotype_client.profiles.finding.find_profile` says which one is the default.

        Raises:
            SettingsError: there is no such profile.
        """
        return cls(find_profile(os.environ if environ is None else environ, name))

    @classmethod
    def at(cls, url: str, token: str | None = None) -> Self:
        """Return the service at this URL, with a token or without; raises SettingsError."""
        kind = "admin_token" if token else "none"
        return cls(Profile(name=url, endpoint=check_url(url), token=token, auth_type=kind))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    # -- reading

    def images(self, *, limit: int | None = None, **filters: object) -> Iterator[Image]:
        """Yield the images that the caller may see, newest first, page by page.

        `filters` are the parameters of `GET /v2/images`, such as `status="active"`, `tag=["a", "b"]` or
        `sort="name:asc"`, and properties; a value of None is left out. `limit` is the most images to yield.
        """
        page: str | None = path_of("images", limit=min(limit or _PAGE, _PAGE), **filters)
        count = 0
        while page is not None:
            document = self.transport.call("GET", page).json
            for found in listed(document, "images"):
                if limit is not None and count == limit:
                    return
                count += 1
                yield Image.from_document(found)
            page = document.get("next")

    def image(self, reference: str) -> Image:
        """Return the image with this id, name, or beginning of an id.

        Raises:
            NotFound: there is none.
            Ambiguous: there are several.
        """
        return find_image(self, reference)

    def show(self, image: Image | str, **query: object) -> Image:
        """Return the image as it is now; raises NotFound."""
        return Image.from_document(self.transport.call("GET", path_of("images", id_of(image), **query)).json)

    def members(self, image: Image | str) -> list[Member]:
        """Return the projects that an image is shared with, as far as the caller may see them."""
        document = self.transport.call("GET", path_of("images", id_of(image), "members")).json
        return [Member.from_document(found) for found in listed(document, "members")]

    def tasks(self, image: Image | str) -> list[Task]:
        """Return the imports and copies of an image; older servers list none."""
        answer = self.transport.request("GET", path_of("images", id_of(image), "tasks"))
        if answer.status >= 400:
            return []
        return [Task.from_document(found) for found in listed(answer.json, "tasks")]

    def zeros(self, image: Image | str) -> list[tuple[int, int]]:
        """Return the offset and the length of each range of zeros, as far as the server knows them."""
        found: list[tuple[int, int]] = []
        page: str | None = path_of("images", id_of(image), "extents")
        while page is not None:
            answer = self.transport.request("GET", page)
            try:
                extents = [] if answer.status >= 400 else listed(answer.json, "extents")
                found += [(int(each["start"]), int(each["length"])) for each in extents if each["zero"]]
                page = answer.json.get("next") if extents else None
            except (ProtocolError, KeyError, TypeError, ValueError):
                return []  # a server that does not know extents; the bytes are fetched, and verified
        return found

    def stores(self, *, detail: bool = False) -> list[Store]:
        """Return the stores of the server; with `detail`, an administrator also sees their drivers and room.

        Raises:
            NotSupported: the server has only one store, without a name.
        """
        path = path_of("info", "stores", *(["detail"] if detail else []))
        document = self._offered("GET", path, "stores with names").json
        return [Store.from_document(found) for found in listed(document, "stores")]

    def usage(self) -> dict[str, dict[str, int]]:
        """Return what the caller's project uses of its quotas: `{"image_size_total": {"limit", "usage"}}`.

        Sizes are in MiB, and a limit of -1 means none.

        Raises:
            NotSupported: the server has no quotas.
        """
        document = self._offered("GET", path_of("info", "usage"), "quotas").json
        usage = document.get("usage") if isinstance(document, dict) else None
        return usage if isinstance(usage, dict) else {}

    def disk_formats(self) -> list[str]:
        """Return the disk formats that the server takes, or nothing if it does not say."""
        answer = self.transport.request("GET", path_of("schemas", "image"))
        try:
            return list(filter(None, answer.json["properties"]["disk_format"]["enum"]))
        except (ProtocolError, KeyError, TypeError):
            return []

    def import_methods(self) -> list[str]:
        """Return the import methods that the caller may use."""
        document = self._offered("GET", path_of("info", "import"), "imports").json
        methods = document.get("import-methods", {}) if isinstance(document, dict) else {}
        return list(methods.get("value", []))

    def versions(self) -> list[str]:
        """Return the versions of Images v2 that the server offers, newest first, such as `v2.15`."""
        answer = self.transport.request("GET", "/versions")
        if answer.status == 404:  # a server that serves other services on the same port
            answer = self.transport.request("GET", "/")
        return [str(found["id"]) for found in listed(answer.json, "versions") if isinstance(found, dict)]

    # -- changing

    def create(self, fields: ImageFields) -> Image:
        """Create a queued image, which gets its bytes later."""
        given = {"disk_format": "raw", "container_format": "bare", **fields.document()}
        return Image.from_document(self.transport.call("POST", path_of("images"), given).json)

    def update(self, image: Image | str, fields: ImageFields, removed: Iterable[str] = ()) -> Image:
        """Set fields of an image, remove the properties named in `removed`, and return the image."""
        current = image if isinstance(image, Image) else self.show(image)
        changes = patch(current, fields, removed)
        if not changes:
            return current
        path = path_of("images", current.id)
        with _explained(current):
            return Image.from_document(self.transport.call("PATCH", path, changes, headers=_PATCH).json)

    def delete(self, image: Image | str, store: str | None = None) -> None:
        """Delete an image, or only its copy in one store."""
        parts = ("images", id_of(image)) if store is None else ("stores", store, id_of(image))
        with _explained(image):
            self.transport.call("DELETE", path_of(*parts))

    def undelete(self, image: Image | str) -> None:
        """Restore a deleted image within the grace period of the server.

        Raises:
            NotFound: the image is not deleted, or its bytes have been removed.
        """
        self._act(image, "undelete")

    def deactivate(self, image: Image | str) -> None:
        """Prevent everybody but administrators from reading the bytes."""
        self._act(image, "deactivate")

    def reactivate(self, image: Image | str) -> None:
        """End a deactivation."""
        self._act(image, "reactivate")

    def share(self, image: Image | str, project: str) -> Member:
        """Offer a shared image to a project."""
        path = path_of("images", id_of(image), "members")
        with _explained(image):
            return Member.from_document(self.transport.call("POST", path, {"member": project}).json)

    def unshare(self, image: Image | str, project: str) -> None:
        """Stop sharing the image with a project; raises NotFound."""
        try:
            with _explained(image):
                self.transport.call("DELETE", path_of("images", id_of(image), "members", project))
        except NotFound as error:
            error.message = f"The image is not shared with project {project!r}."
            raise

    def answer_offer(self, image: Image | str, project: str, status: str) -> Member:
        """Accept or reject an offered image for a project; the status is `accepted` or `rejected`."""
        path = path_of("images", id_of(image), "members", project)
        return Member.from_document(self.transport.call("PUT", path, {"status": status}).json)

    def import_from(self, image: Image | str, url: str, stores: Iterable[str] = ()) -> None:
        """Let the server fetch the bytes of a queued image from a URL. `tasks` and `wait` tell how it goes.

        Raises:
            NotAllowed, NotSupported: the caller may not, or the server does not.
        """
        self._import(image, {"name": "web-download", "uri": url}, stores)

    def copy_to_stores(self, image: Image | str, stores: Iterable[str]) -> None:
        """Let the server copy the bytes of an image into other stores, all of them if none is named."""
        self._import(image, {"name": "copy-image"}, stores, everywhere=not list(stores))

    def request(self, method: str, path: str, document: Any = None, **given: Any) -> Answer:
        """Send any request with authentication, and return the answer, whatever its status.

        The path begins with a slash, such as `/v2/images`.
        """
        return self.transport.request(method, path, document, **given)

    # -- what these have in common

    def _act(self, image: Image | str, verb: str) -> None:
        with _explained(image):
            self.transport.call("POST", path_of("images", id_of(image), "actions", verb))

    def _import(
        self, image: Image | str, method: dict[str, str], stores: Iterable[str], *, everywhere: bool = False
    ) -> None:
        document: dict[str, Any] = {"method": method}
        if named := list(stores):
            document["stores"] = named
        elif everywhere:
            document["all_stores"] = True
        with _explained(image):
            self.transport.call("POST", path_of("images", id_of(image), "import"), document)

    def _offered(self, method: str, path: str, what: str) -> Answer:
        try:
            return self.transport.call(method, path)
        except NotFound as error:
            raise NotSupported(
                f"{self.host} does not offer {what}.", status=error.status, request_id=error.request_id
            ) from None

    @property
    def host(self) -> str:
        """Return the host and the port of the server, for messages."""
        return urlsplit(self.transport.endpoint).netloc


@contextlib.contextmanager
def _explained(image: Image | str) -> Iterator[None]:
    """Add to a refusal in the block whose image it is, which servers do not say."""
    try:
        yield
    except NotAllowed as error:
        if isinstance(image, Image) and image.owner and not image.document.get("protected"):
            error.advice = f"Image {image.label} belongs to project {image.owner}: log in as one who may."
        raise


def id_of(image: Image | str) -> str:
    """Return the id of an image."""
    return image.id if isinstance(image, Image) else image
