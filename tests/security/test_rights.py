"""Rights over HTTP: every caller, every verb of every dialect, every status and visibility.

The expected rights come from the documented table (`tests.support.rights`), not from the code's own.
A refused request must leave the record unchanged.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pyramid.router import Router
from webob import Request, Response

from calotype.app import make_app
from calotype.model import policy
from calotype.model.audit import Actor
from calotype.model.change import Change
from calotype.model.fields import ImageFields, new_id
from calotype.model.images import MemberStatus, Visibility
from calotype.model.jobs import JobKind
from calotype.model.policy import may
from calotype.model.states import Status
from calotype.transfers.jobs import JobSpec
from calotype.transfers.readers import Announced
from tests.security.people import Guarded
from tests.support.callers import Tokens
from tests.support.rights import CALLERS, FRIEND, OWNER, SHARER, expected
from tests.support.server import meta
from tests.support.v2 import NOBODY
from tests.support.workbench import Bench, make_bench, make_database, make_settings

STATES = (Status.QUEUED, Status.ACTIVE, Status.DEACTIVATED, Status.KILLED)
WITH_BYTES = (Status.ACTIVE, Status.DEACTIVATED)
OCTETS = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


@dataclass(frozen=True)
class Verb:
    """A request, the permission that it requires, and its status if it is allowed, by the image's status.

    `hides`: the visibilities for which this dialect refuses with 404 instead of 403. `shared_only`: the
    request is refused for images that are not shared.
    """

    method: str
    path: str
    permission: str
    allowed: dict[Status, int]
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hides: frozenset[Visibility] = frozenset()
    shared_only: bool = False

    @property
    def looks(self) -> bool:
        return self.method in ("GET", "HEAD")


def always(status: int) -> dict[Status, int]:
    return dict.fromkeys(STATES, status)


def by_bytes(there: int, missing: int) -> dict[Status, int]:
    return {status: there if status in WITH_BYTES else missing for status in STATES}


def if_queued(status: int, otherwise: int) -> dict[Status, int]:
    return {state: status if state is Status.QUEUED else otherwise for state in STATES}


#: v1 answers 403 to a forbidden change only for the owner's project and for public images.
ALL = frozenset(Visibility)
UNLESS_PUBLIC = ALL - {Visibility.PUBLIC}
NAME = {"x-image-meta-name": "changed"}
MEMBERS = json.dumps({"memberships": [{"member_id": FRIEND}]}).encode()
VERBS = (
    Verb("HEAD", "/images/ID", policy.VIEW, always(200)),
    Verb("GET", "/images/ID", policy.DOWNLOAD, by_bytes(200, 404)),
    Verb("PUT", "/images/ID", policy.UPDATE, always(200), NAME),
    Verb("PUT", "/images/ID", policy.UPDATE, if_queued(200, 409), OCTETS, b"bytes"),
    Verb("DELETE", "/images/ID", policy.DELETE, always(200)),
    Verb("HEAD", "/v1/images/ID", policy.VIEW, always(200)),
    Verb("GET", "/v1/images/ID", policy.DOWNLOAD, by_bytes(200, 404)),
    Verb("GET", "/v1/images/ID/file", policy.DOWNLOAD, by_bytes(200, 404)),
    Verb("PUT", "/v1/images/ID", policy.UPDATE, always(200), NAME, hides=UNLESS_PUBLIC),
    Verb(
        *("PUT", "/v1/images/ID", policy.UPDATE, if_queued(200, 409), OCTETS, b"bytes"),
        hides=UNLESS_PUBLIC,
    ),
    Verb("DELETE", "/v1/images/ID", policy.DELETE, always(200), hides=UNLESS_PUBLIC),
    Verb("GET", "/v1/images/ID/members", policy.VIEW, always(200)),
    Verb("PUT", "/v1/images/ID/members", policy.SHARE, always(204), JSON, MEMBERS, hides=ALL),
    Verb("PUT", "/v1/images/ID/members/new", policy.SHARE, always(204), hides=ALL),
    Verb("DELETE", f"/v1/images/ID/members/{FRIEND}", policy.SHARE, always(204), hides=ALL),
    Verb("GET", "/v2/images/ID", policy.VIEW, always(200)),
    Verb("GET", "/v2/images/ID/file", policy.DOWNLOAD, by_bytes(200, 204)),
    Verb("GET", "/v2/images/ID/extents", policy.DOWNLOAD, by_bytes(200, 404)),
    Verb(
        *("PATCH", "/v2/images/ID", policy.UPDATE, always(200), PATCH),
        b'[{"op": "replace", "path": "/name", "value": "changed"}]',
    ),
    Verb("PUT", "/v2/images/ID/file", policy.UPLOAD, if_queued(204, 409), OCTETS, b"bytes"),
    Verb("DELETE", "/v2/images/ID", policy.DELETE, always(204)),
    Verb("PUT", "/v2/images/ID/tags/new", policy.UPDATE, always(204)),
    Verb("POST", "/v2/images/ID/actions/deactivate", policy.DEACTIVATE, by_bytes(204, 403)),
    Verb("POST", "/v2/images/ID/actions/reactivate", policy.DEACTIVATE, by_bytes(204, 403)),
    Verb(
        *("POST", "/v2/images/ID/members", policy.SHARE, always(200), JSON),
        b'{"member": "new"}',
        shared_only=True,
    ),
)


class House:
    """An application with a token for every caller, and images that are replaced after a change."""

    def __init__(self, bench: Bench, folder: Path, *, allow_anonymous: bool):
        self.bench = bench
        self._images: dict[tuple[Status, Visibility, bool], str] = {}
        tokens = Tokens(folder)
        self._tokens = {
            who: tokens.add(one.user, one.project, tuple(one.roles))
            for who, one in CALLERS.items()
            if one.user is not None
        }
        settings = make_settings(identity="tokens", tokens_file=tokens.path, allow_anonymous=allow_anonymous)
        self.app: Router = make_app(replace(bench.service, settings=settings))

    def ask(self, who: str, verb: Verb, image_id: str) -> Response:
        headers = dict(verb.headers)
        if who in self._tokens:
            headers["X-Auth-Token"] = self._tokens[who]
        path = verb.path.replace("ID", image_id)
        request = Request.blank(path, method=verb.method, headers=headers, body=verb.body)
        answer = request.get_response(self.app)
        _ = answer.body  # reads and closes it, like a server
        return answer

    def image(self, status: Status, visibility: Visibility, *, protected: bool = False) -> str:
        """Return the id of an image of OWNER with this status and visibility, and with two members."""
        key = (status, visibility, protected)
        if key not in self._images:
            self._images[key] = self._make(*key)
        return self._images[key]

    def _make(self, status: Status, visibility: Visibility, protected: bool) -> str:
        image_id = new_id()
        formats = {"disk_format": "raw", "container_format": "bare", "owner": OWNER}
        draft = ImageFields(id=image_id, fields={**formats, "protected": protected})
        if status in WITH_BYTES:
            self.bench.lifecycle.upload(Change(self.bench.caller, draft), Announced(io.BytesIO(b"bytes"), 5))
        else:
            self.bench.lifecycle.reserve(Change(self.bench.caller, draft))
        with self.bench.database.unit() as unit:
            unit.set_member(image_id, FRIEND)
            unit.set_member(image_id, SHARER, can_share=True, status=MemberStatus.ACCEPTED)
            unit.move(image_id, set(Status), status, visibility=visibility)
        return image_id

    def use_up(self, status: Status, visibility: Visibility, *, protected: bool = False) -> None:
        self._images.pop((status, visibility, protected), None)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    template = make_database(tmp_path_factory.mktemp("rights") / "registry.sqlite")
    with make_bench(template) as made:
        yield made


@pytest.fixture(scope="module")
def house(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(bench, tmp_path_factory.mktemp("house"), allow_anonymous=True)


@pytest.fixture(scope="module")
def closed_house(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(bench, tmp_path_factory.mktemp("closed"), allow_anonymous=False)


def should_be(who: str, verb: Verb, status: Status, visibility: Visibility) -> int:
    """Return the expected status of the response."""
    if not expected(who, policy.VIEW, status, visibility):
        return 404
    if not expected(who, verb.permission, status, visibility):
        own = verb.hides is UNLESS_PUBLIC and who.startswith("owner")
        return 404 if visibility in verb.hides and not own else 403
    if verb.shared_only and visibility is not Visibility.SHARED:
        return 403
    return verb.allowed[status]


@pytest.mark.parametrize("who", CALLERS)
def test_g_29_every_cell_of_the_rights_table_holds_over_http(house: House, who: str) -> None:
    cells, wrong = 0, []
    for verb in VERBS:
        for status in STATES:
            for visibility in Visibility:
                image_id = house.image(status, visibility)
                before = None if verb.looks else house.bench.row(image_id)
                answer = house.ask(who, verb, image_id)
                cells += 1
                wanted = should_be(who, verb, status, visibility)
                if answer.status_int != wanted:
                    wrong.append((verb.method, verb.path, status, visibility, answer.status_int, wanted))
                changed = not verb.looks and house.bench.row(image_id) != before
                if changed and answer.status_int >= 400:
                    wrong.append((verb.method, verb.path, status, visibility, "the record changed"))
                if changed or (answer.status_int in (200, 204) and not verb.looks):
                    house.use_up(status, visibility)
    assert wrong == []
    assert cells == 25 * 4 * 4


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb.method} {verb.path}")
def test_without_a_token_every_request_is_401(closed_house: House, verb: Verb) -> None:
    for image_id in (
        closed_house.image(Status.ACTIVE, Visibility.PUBLIC),
        closed_house.image(Status.ACTIVE, Visibility.PRIVATE),
        new_id(),
        "nonsense",
    ):
        answer = closed_house.ask("nobody", verb, image_id)
        assert (answer.status_int, "WWW-Authenticate" in answer.headers) == (401, True), image_id


#: Requests about an existing task (ID) and a missing one. Each requires the right to operate.
TASKS = tuple(
    (Verb(method, path, policy.OPERATE, {}, JSON if body else {}, body), allowed)
    for method, path, body, allowed in (
        ("GET", "/v2/tasks", b"", 200),
        ("GET", "/v2/tasks/ID", b"", 200),
        ("GET", "/v2/tasks/nonsense", b"", 404),
        ("GET", f"/v2/tasks/{NOBODY}", b"", 404),
        ("POST", "/v2/tasks", b"{}", 400),
        ("POST", "/v2/tasks", b"nonsense", 400),
        ("DELETE", "/v2/tasks", b"", 405),
        ("DELETE", "/v2/tasks/ID", b"", 405),
        ("DELETE", f"/v2/tasks/{NOBODY}", b"", 405),
        ("PUT", "/v2/tasks/ID", b"{}", 405),
    )
)


@pytest.mark.parametrize("who", CALLERS)
def test_g_29_tasks_are_visible_only_to_callers_who_may_operate(house: House, who: str) -> None:
    image_id = house.image(Status.ACTIVE, Visibility.PUBLIC)
    with house.bench.database.unit() as unit:
        job_id = unit.add_job(JobKind.COPY, unit.image(image_id), JobSpec(()).to_json(), Actor())
    operates = may(CALLERS[who], policy.OPERATE, policy.COLLECTION_GRANTS)
    answers = [(verb.method, verb.path, house.ask(who, verb, job_id).status_int) for verb, _ in TASKS]
    assert answers == [(verb.method, verb.path, allowed if operates else 403) for verb, allowed in TASKS]
    assert operates is (who == "admin")


@pytest.mark.parametrize(
    "verb", [verb for verb, _ in TASKS], ids=lambda verb: f"{verb.method} {verb.path[:12]}"
)
def test_without_a_token_requests_about_tasks_are_401(closed_house: House, verb: Verb) -> None:
    assert closed_house.ask("nobody", verb, new_id()).status_int == 401


@pytest.mark.parametrize("who", ["admin", "owner"])
@pytest.mark.parametrize("dialect", ["/images/ID", "/v1/images/ID", "/v2/images/ID"])
def test_nobody_can_delete_a_protected_image(house: House, who: str, dialect: str) -> None:
    verb = Verb("DELETE", dialect, policy.DELETE, {})
    for status in STATES:
        image_id = house.image(status, Visibility.PRIVATE, protected=True)
        assert house.ask(who, verb, image_id).status_int == 403
        assert house.bench.status(image_id) is status


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb.method} {verb.path}")
@pytest.mark.parametrize("who", ["stranger", "stranger's reader", "member", "anonymous"])
def test_r_09_an_invisible_image_gets_the_same_response_as_a_missing_one(
    house: House, who: str, verb: Verb
) -> None:
    hidden, missing = house.image(Status.ACTIVE, Visibility.PRIVATE), new_id()
    answers = [house.ask(who, verb, image_id) for image_id in (hidden, missing)]
    told = [
        (
            answer.status_int,
            sorted(name for name in answer.headers if name != "x-openstack-request-id"),
            answer.text.replace(image_id, "ID"),
        )
        for answer, image_id in zip(answers, (hidden, missing), strict=True)
    ]
    assert told[0] == told[1]
    assert told[0][0] == 404
    assert not {"ETag", "Last-Modified"} & set(told[0][1])


@pytest.mark.parametrize(
    "condition",
    [
        {"If-None-Match": "*"},
        {"If-None-Match": '"4b3a"'},
        {"If-Match": "*"},
        {"If-Modified-Since": "Mon, 01 Jan 2035 00:00:00 GMT"},
        {"If-Unmodified-Since": "Mon, 01 Jan 1990 00:00:00 GMT"},
        {"If-Range": '"4b3a"', "Range": "bytes=0-1"},
        {"Range": "bytes=100-"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/images/ID", "/v1/images/ID", "/v1/images/ID/file", "/v2/images/ID/file"])
def test_r_22_conditions_are_evaluated_after_rights(house: House, path: str, condition: dict) -> None:
    verb = Verb("GET", path, policy.DOWNLOAD, {}, condition)
    assert house.ask("stranger", verb, house.image(Status.ACTIVE, Visibility.PRIVATE)).status_int == 404
    reader = house.ask("stranger's reader", verb, house.image(Status.ACTIVE, Visibility.PUBLIC))
    assert reader.status_int == 403
    held = house.ask("stranger", verb, house.image(Status.DEACTIVATED, Visibility.PUBLIC))
    assert held.status_int == 403


@pytest.mark.parametrize("path", ["/images/ID", "/v1/images/ID", "/v1/images/ID/file", "/v2/images/ID/file"])
def test_r_20_a_removed_member_loses_access_at_once(house: House, path: str) -> None:
    image_id = house.image(Status.ACTIVE, Visibility.SHARED)
    verb = Verb("GET", path, policy.DOWNLOAD, {})
    assert house.ask("member", verb, image_id).status_int == 200
    with house.bench.database.unit() as unit:
        unit.remove_member(image_id, FRIEND)
    house.use_up(Status.ACTIVE, Visibility.SHARED)
    assert house.ask("member", verb, image_id).status_int == 404
    listed = house.ask("member", Verb("GET", "/v1/images", policy.LIST, {}), image_id)
    assert image_id not in listed.text


def test_g_10_a_withdrawn_image_cannot_be_read_by_a_former_reader(house: House) -> None:
    image_id = house.image(Status.ACTIVE, Visibility.PUBLIC)
    verb = Verb("GET", "/images/ID", policy.DOWNLOAD, {})
    assert house.ask("stranger", verb, image_id).status_int == 200
    with house.bench.database.unit() as unit:
        unit.change(image_id, set(Status), {"visibility": Visibility.PRIVATE})
    house.use_up(Status.ACTIVE, Visibility.PUBLIC)
    assert house.ask("stranger", verb, image_id).status_int == 404
    assert house.ask("owner", verb, image_id).status_int == 200


def test_r1_c1_a_reader_of_the_member_project_cannot_answer_an_offer(house: House) -> None:
    """r1-C1: the reader gets 403 like the owner, strangers get 404, and a member with a role may answer."""
    image_id = house.image(Status.ACTIVE, Visibility.SHARED)
    answer = Verb(
        *("PUT", f"/v2/images/ID/members/{FRIEND}", policy.ANSWER, {}, JSON), b'{"status": "accepted"}'
    )
    who = ("member's reader", "owner", "stranger", "anonymous", "member")
    assert [house.ask(one, answer, image_id).status_int for one in who] == [403, 403, 404, 404, 200]
    house.use_up(Status.ACTIVE, Visibility.SHARED)


PUBLIC = "You are not allowed to set visibility to 'public'. Only an administrator may do that."
FIXED = "because the image is active: its formats are fixed; create a new image."


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("POST", "/images", meta(is_public="True")), PUBLIC),
        (("POST", "/v1/images", meta(is_public="True")), PUBLIC),
        (("POST", "/v2/images", {"visibility": "public"}), PUBLIC),
        (
            ("POST", "/v2/images", {"owner": "else"}),
            "You are not allowed to set owner to 'else'. Only an administrator may do that.",
        ),
        (
            ("PUT", "/images/ID", meta(disk_format="iso")),
            f"You are not allowed to set disk_format to 'iso', {FIXED}",
        ),
        (
            ("PUT", "/v1/images/ID", meta(container_format="ovf")),
            f"You are not allowed to set container_format to 'ovf', {FIXED}",
        ),
    ],
)
def test_a_value_that_the_caller_may_not_set_is_refused_with_the_reason(
    guarded: Guarded, asked: tuple[str, str, dict[str, str]], told: str
) -> None:
    """Each dialect has the same sentence in its own form."""
    method, path, given = asked
    victim = guarded.victim
    if "ID" in path:
        path = path.replace("ID", victim.upload(b"bytes", disk_format="raw", container_format="bare")["id"])
    if path.startswith("/v2"):
        answer = victim.ask(method, path, {"Content-Type": "application/json"}, json.dumps(given).encode())
    else:
        answer = victim.ask(method, path, given)
    text = answer.text if path.startswith("/images") else answer.json["error"]["message"]
    assert (answer.status, text) == (403, told)
