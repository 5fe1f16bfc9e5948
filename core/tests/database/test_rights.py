"""Each verb checks the caller's rights in its unit of work, against the image that the unit has locked."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable
from dataclasses import replace

import pytest

from calotype.database.errors import ImageNotFound
from calotype.images.imports import ImportRequest, Imports, Origin
from calotype.images.lifecycle import Lifecycle
from calotype.images.members import Members, MemberSpec
from calotype.model import policy
from calotype.model.change import Change
from calotype.model.errors import CallerExpired, NotAllowed
from calotype.model.fields import ImageFields
from calotype.model.images import Image, MemberStatus
from calotype.model.policy import Caller
from calotype.model.states import Status
from calotype.testing.readers import Trickle
from calotype.transfers.readers import Announced
from tests.support.rights import CALLERS, FRIEND, OWNER
from tests.support.workbench import Bench, make_settings

ADMIN, OWNERS, READER = CALLERS["admin"], CALLERS["owner"], CALLERS["owner's reader"]
RAW = {"disk_format": "raw", "container_format": "bare"}
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)

Verb = Callable[[Bench, Image, Caller], object]


def bytes_of(text: bytes = b"bytes") -> Trickle:
    return Trickle(text)


#: Every verb that changes an image, by the name of its method.
VERBS: dict[str, Verb] = {
    "upload": lambda bench, image, caller: bench.lifecycle.upload(
        Change(caller, ImageFields(), image), Announced(bytes_of(), 5)
    ),
    "register": lambda bench, image, caller: bench.lifecycle.register(
        Change(caller, ImageFields(location=foreign(bench)), image)
    ),
    "submit: waits": lambda bench, image, caller: (
        bench.lifecycle.imports.submit(
            Change(caller, ImageFields(location=foreign(bench)), image),
            ImportRequest(Origin.URI, on_failure=Status.KILLED, waits=True),
        ).image
    ),
    "update": lambda bench, image, caller: bench.lifecycle.update(
        Change(caller, ImageFields(fields={"name": "changed"}), image)
    ),
    "add_tag": lambda bench, image, caller: bench.lifecycle.add_tag(image, "new", caller),
    "remove_tag": lambda bench, image, caller: bench.lifecycle.remove_tag(image, "old", caller),
    "deactivate": lambda bench, image, caller: bench.lifecycle.deactivate(image, caller),
    "reactivate": lambda bench, image, caller: bench.lifecycle.reactivate(image, caller),
    "delete": lambda bench, image, caller: bench.lifecycle.delete(image, caller),
    "stage": lambda bench, image, caller: bench.lifecycle.imports.stage(
        Change(caller, ImageFields(), image), Announced(bytes_of(), 5)
    ),
    "submit: staged": lambda bench, image, caller: bench.lifecycle.imports.submit(
        Change(caller, ImageFields(), image), ImportRequest(Origin.STAGED)
    ),
    "submit: uri": lambda bench, image, caller: bench.lifecycle.imports.submit(
        Change(caller, ImageFields(location=foreign(bench)), image), ImportRequest(Origin.URI)
    ),
    "submit: copy": lambda bench, image, caller: bench.lifecycle.imports.submit(
        Change(caller, ImageFields(), image), ImportRequest(Origin.COPY)
    ),
    "remove_from_store": lambda bench, image, caller: bench.lifecycle.imports.remove_from_store(
        image, "memory", caller
    ),
    "add": lambda bench, image, caller: bench.lifecycle.members.add(image, "new", caller),
    "share": lambda bench, image, caller: bench.lifecycle.members.share(image, MemberSpec("new"), caller),
    "share_with": lambda bench, image, caller: bench.lifecycle.members.share_with(image, [], caller),
    "unshare": lambda bench, image, caller: bench.lifecycle.members.unshare(image, FRIEND, caller),
    "answer": lambda bench, image, caller: bench.lifecycle.members.answer(
        image, FRIEND, MemberStatus.ACCEPTED, caller
    ),
}
#: Verbs that create something, or that take an id.
OTHERS: dict[str, Verb] = {
    "reserve": lambda bench, image, caller: bench.lifecycle.reserve(Change(caller, ImageFields())),
    "upload": lambda bench, image, caller: bench.lifecycle.upload(
        Change(caller, ImageFields()), Announced(bytes_of(), 5)
    ),
    "submit: new": lambda bench, image, caller: bench.lifecycle.imports.submit(
        Change(caller, ImageFields(location=foreign(bench), fields=RAW)), ImportRequest(Origin.URI, asked={})
    ),
    "undelete": lambda bench, image, caller: bench.lifecycle.undelete(image.id, caller),
}


def foreign(bench: Bench) -> str:
    bench.store.shelf.foreign["there"] = b"bytes"
    return "memory:there"


def make_image(bench: Bench) -> Image:
    draft = ImageFields(fields={**RAW, "owner": OWNER, "visibility": "shared"}, tags=("old",))
    image = bench.lifecycle.reserve(Change(ADMIN, draft))
    with bench.database.unit() as unit:
        unit.set_member(image.id, FRIEND)
    return bench.database.find(image.id)


@pytest.fixture
def open_bench(bench: Bench) -> Bench:
    """A bench where everybody may name external sources."""
    settings = bench.settings.model_copy(update={"external_sources": "everyone"})
    bench.lifecycle._settings = bench.lifecycle.imports._settings = settings
    return bench


def test_every_verb_that_takes_a_caller_is_in_the_tables() -> None:
    """r1-C2: a new verb without a row here fails."""

    found = {
        name
        for owner in (Lifecycle, Members, Imports)
        for name, verb in inspect.getmembers(owner, inspect.isfunction)
        if inspect.signature(verb).parameters.keys() & {"caller", "change"} and not name.startswith("_")
    }
    assert found == {name.partition(":")[0] for name in VERBS.keys() | OTHERS.keys()}


def outcomes(bench: Bench, verbs: dict[str, Verb], image: Image, caller: Caller) -> dict[str, type | None]:
    """Return the type of the error that each verb raises; None if it succeeds."""
    found: dict[str, type | None] = {}
    for name, verb in verbs.items():
        try:
            verb(bench, image, caller)
        except Exception as error:
            found[name] = type(error)
        else:
            found[name] = None
    return found


def test_every_verb_checks_rights_again_in_its_unit(open_bench: Bench) -> None:
    """r1-C2: each verb is called with a record of the image from when the caller still owned it."""
    stale = make_image(open_bench)
    given_away = open_bench.lifecycle.update(Change(ADMIN, ImageFields(fields={"owner": "elsewhere"}), stale))
    wanted = dict.fromkeys(VERBS, ImageNotFound)
    assert outcomes(open_bench, VERBS, stale, OWNERS) == wanted
    assert open_bench.database.find(stale.id) == given_away


def test_a_caller_that_still_sees_the_image_is_not_allowed(open_bench: Bench) -> None:
    """r1-C2: the caller is a reader of the owner's project, called as if a view had admitted it."""
    image = make_image(open_bench)
    wanted = dict.fromkeys(VERBS, NotAllowed)
    assert outcomes(open_bench, VERBS, image, READER) == wanted
    assert open_bench.database.find(image.id) == image


def test_a_token_that_has_expired_before_the_unit_gives_no_rights(open_bench: Bench) -> None:
    """r1-C2: the unit checks the expiry."""
    image = make_image(open_bench)
    wanted = dict.fromkeys(VERBS, CallerExpired)
    assert outcomes(open_bench, VERBS, image, replace(ADMIN, expires=LONG_AGO)) == wanted
    assert open_bench.database.find(image.id) == image


def test_a_caller_that_has_lost_its_right_creates_nothing(open_bench: Bench) -> None:
    """r1-C2: a caller that has lost its role or token creates no image and no task."""
    image = make_image(open_bench)
    late = replace(ADMIN, expires=LONG_AGO)
    assert outcomes(open_bench, OTHERS, image, READER) == dict.fromkeys(OTHERS, NotAllowed)
    assert outcomes(open_bench, OTHERS, image, late) == dict.fromkeys(OTHERS, CallerExpired)
    assert open_bench.images() == [image.id]


def test_a_token_that_ends_during_an_upload_does_not_end_the_upload(bench: Bench) -> None:
    """r1-C2, G-27: the token must be valid when the upload begins."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.4)
    caller = replace(OWNERS, expires=soon)

    class Slow(Trickle):
        def read(self, size: int = -1, /) -> bytes:
            while datetime.datetime.now(datetime.UTC) < soon:
                pass
            return super().read(size)

    assert (
        bench.lifecycle.upload(Change(caller, ImageFields()), Announced(Slow(b"bytes"), 5)).status == "active"
    )


def test_registering_confirms_the_caller_again_after_the_source_has_answered(open_bench: Bench) -> None:
    """r1-C2: a source may answer slowly, and the caller's token may be revoked meanwhile."""

    def confirm() -> Caller:
        return READER

    with pytest.raises(NotAllowed):
        open_bench.lifecycle.register(
            Change(OWNERS, ImageFields(location=foreign(open_bench))), confirm=confirm
        )
    assert open_bench.images() == []


def test_sharing_a_private_image_adds_the_member_and_makes_the_image_shared(bench: Bench) -> None:
    """v1 has no private images, so the verb also changes the visibility to shared."""
    image = bench.lifecycle.reserve(Change(ADMIN, ImageFields(fields={"owner": OWNER})))
    shared = bench.lifecycle.members.share(image, MemberSpec("new", can_share=True), OWNERS)
    assert (shared.visibility, [one.project for one in shared.members]) == ("shared", ["new"])
    assert policy.may(Caller("n", "new"), policy.VIEW, policy.image_grants(shared))


def test_r1_g4_an_administrator_without_a_project_can_make_ownerless_images_if_a_setting_allows_it() -> None:
    """r1-G4: other callers without a project cannot create them in any case."""
    system, nobody = Caller("root", None, frozenset({"admin"})), Caller("n", None, frozenset({"member"}))
    Change(system, ImageFields()).check(make_settings(system_scope=True))
    Change(system, ImageFields(fields={"owner": OWNER})).check(make_settings())
    for caller, draft, allowed in (
        (system, ImageFields(), False),
        (system, ImageFields(fields={"owner": None}), False),
        (system, ImageFields(fields={"owner": ""}), False),
        (nobody, ImageFields(), True),
    ):
        with pytest.raises(NotAllowed, match="no project that could own an image"):
            Change(caller, draft).check(make_settings(system_scope=allowed))
