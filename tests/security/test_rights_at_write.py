"""Rights at the moment of a write: every write of every dialect, by every caller, with and without the right.

`tests.security.writes` has the table of writes, and a test compares it with the application's views. The
server answers 100 (Continue) when a view begins to read a body, so the head has then been checked.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from calotype.app import make_app
from calotype.model import policy
from calotype.model.images import Visibility
from calotype.model.states import Status
from calotype_metadefs.rights import DEFINE
from tests.security.spoken import Spoken
from tests.security.writes import OCTETS, PATCH, REFUSING, SESSIONS, WRITES, Write
from tests.support.callers import Tokens
from tests.support.rights import CALLERS, FRIEND, OWNER, SHARER, expected
from tests.support.server import Server, write_ini
from tests.support.v2 import stores
from tests.support.waiting import wait_for
from tests.support.web import Web
from tests.support.workbench import make_bench, make_database

EVERYBODY = (
    *("admin", "owner", "owner's reader", "member", "member's reader", "member who may share"),
    *("stranger", "anonymous"),
)
WITH_BODY = tuple(write for write in WRITES if write.body is not None)
#: The pages of the console answer a form with 303.
DONE = (200, 201, 202, 204, 303)
#: The tables that a write may change.
TABLES = (
    *("images", "image_members", "image_properties", "image_tags", "jobs", "upload_sessions", "upload_parts"),
    *("metadef_namespaces", "metadef_definitions", "metadef_resource_types"),
)


@dataclass(frozen=True)
class Target:
    """The image, the namespace and the upload session that a write changes."""

    image: str
    namespace: str
    session: str


class House:
    """A server with a token for every caller, which confirms each caller whose request has a body."""

    def __init__(self, folder: Path, web: Web):
        self.tokens = Tokens(folder)
        self.given = {who: self.token(who) for who in EVERYBODY}
        self.source = web.place(b"bytes")
        app = {
            **stores(web),
            **self.tokens.settings,
            "calotype.allow_anonymous": "true",
            "calotype.confirm_after": "0",
            "calotype.job_threads": "0",
            "calotype.delete_grace": "3600",
        }
        self.server = Server(folder, write_ini(folder, app))
        engine = create_engine(self.server.database_url, poolclass=NullPool)
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._made: dict[str, Target] = {}

    def token(self, who: str) -> str | None:
        """Return a new token for a caller, or None for an anonymous one."""
        caller = CALLERS[who]
        return self.tokens.add(caller.user, caller.project, tuple(caller.roles)) if caller.user else None

    def give_role(self, token: str, role: str) -> None:
        """Give a token this role and no other."""
        changed = [
            entry.model_copy(update={"roles": (role,)}) if token.startswith(f"{entry.id}.") else entry
            for entry in self.tokens.entries()
        ]
        self.tokens._write(changed)

    def admin(self, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        """Send a request of the administrator, which must succeed."""
        given = {"X-Auth-Token": self.given["admin"], **headers}
        answer = self.server.request(method, path, given, body)
        assert answer.status < 300, answer.text

    def patch(self, image: str, field: str, value: str) -> None:
        """Set a field as the administrator."""
        change = f'[{{"op": "replace", "path": "/{field}", "value": "{value}"}}]'
        self.admin("PATCH", f"/v2/images/{image}", change.encode(), **PATCH)

    def speak(self, write: Write, target: Target, who: str, token: str | None) -> Spoken:
        """Send the head of a write."""
        headers = {name: value.replace("SOURCE", self.source) for name, value in write.headers.items()}
        if token is not None:
            headers["X-Auth-Token"] = token
        return Spoken(self.server.port, write, self._about(write.path, target, who), headers)

    def body(self, write: Write, target: Target, who: str) -> bytes:
        """Return the body of a write, with a unique name for new objects."""
        told = self._about((write.body or b"").decode(), target, who).replace("SOURCE", self.source)
        return told.replace("NEW", f"new-{uuid.uuid4()}").encode()

    def _about(self, told: str, target: Target, who: str) -> str:
        member = CALLERS[who].project if who.startswith("member") else FRIEND
        found = told.replace("MEMBER", str(member)).replace("NS", target.namespace)
        found = found.replace("SESSION", target.session)
        if "SEEN" in found:  # the time of the image's last change, as a form carries it
            rows = self.server.query("SELECT updated_at FROM images WHERE id = ?", target.image)
            found = found.replace("SEEN", str(rows[0][0]).replace(" ", "T"))
        return found.replace("/ID", f"/{target.image}")

    def target(self, state: str) -> Target:
        """Return a shared image of OWNER in this status, with two members, and a public namespace."""
        if state not in self._made:
            image = self._image(state)
            session = self._session(image) if state == "open" else ""
            self._made[state] = Target(image, self._namespace(), session)
        return self._made[state]

    def use_up(self, state: str) -> None:
        """Make a new target of this status for the next write."""
        self._made.pop(state, None)

    def _image(self, state: str) -> str:
        owner, image = {"X-Auth-Token": self.given["owner"]}, str(uuid.uuid4())
        octets = {**owner, "Content-Type": "application/octet-stream"}
        document = f'{{"id": "{image}", "disk_format": "raw", "container_format": "bare", "tags": ["old"]}}'
        asked = [("POST", "/v2/images", document.encode(), owner)]
        if state not in ("queued", "open"):
            asked.append(
                ("PUT", f"/v2/images/{image}/{'stage' if state == 'staged' else 'file'}", b"bytes", octets)
            )
        asked.append(("PUT", f"/v1/images/{image}/members/{FRIEND}", None, owner))
        sharing = b'{"member": {"can_share": true}}'
        asked.append(("PUT", f"/v1/images/{image}/members/{SHARER}", sharing, owner))
        for method, path, body, headers in asked:
            assert self.server.request(method, path, headers, body).status < 300, path
        if state == "deleted":
            assert self.server.request("DELETE", f"/v2/images/{image}", owner).status == 204
        if state == "copied":
            self.server.execute(
                "INSERT INTO image_locations (key, image_id, store, location, state, external, counted, "
                "created_at) SELECT image_id || '.0123456789ab', image_id, 'cold', location, state, "
                "external, 0, created_at FROM image_locations WHERE image_id = ?",
                image,
            )
        return image

    def _session(self, image: str) -> str:
        """Begin an upload session of five bytes as the owner, and return its id."""
        fields = {"Upload-Complete": "?0", "Upload-Length": "5", "X-Auth-Token": self.given["owner"]}
        begun = self.server.put(f"/v2/images/{image}/file", {**OCTETS, **fields}, b"")
        assert begun.status == 201, begun.text
        return begun.headers["Location"].rpartition("/")[2]

    def _namespace(self) -> str:
        name = f"ns-{uuid.uuid4()}"
        old = '[{"name": "old"}]'
        self.admin(
            "POST",
            "/v2/metadefs/namespaces",
            f'{{"namespace": "{name}", "visibility": "public", "objects": {old}, "tags": {old}, '
            f'"resource_type_associations": {old}, '
            '"properties": {"old": {"title": "old", "type": "string"}}}'.encode(),
        )
        return name

    def rows(self) -> list[list[tuple]]:
        """Return all rows that a write may change."""
        return [
            sorted(map(tuple, self._connection.execute(text(f"SELECT * FROM {table}"))), key=repr)
            for table in TABLES
        ]

    def close(self) -> None:
        """End the server."""
        self._connection.close()
        self.server.stop()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Web(folder=tmp_path_factory.mktemp("source")) as web:
        opened = House(tmp_path_factory.mktemp("house"), web)
        yield opened
        opened.close()


def may(who: str, permission: str, visibility: Visibility = Visibility.SHARED) -> bool:
    """Return whether a caller has a right, from the documented table."""
    if who == "nobody":
        return False
    if permission in (policy.OPERATE, DEFINE):
        return who == "admin"
    if permission == policy.CREATE:
        return not who.endswith("reader") and who != "anonymous"
    return expected(who, permission, Status.QUEUED, visibility)


# ---------------------------------------------------------------- every write


def test_every_view_that_writes_is_in_the_table_of_writes(tmp_path: Path) -> None:
    """r1-C1, r1-C2: this fails for a new write without a row in `tests.security.writes`."""
    with make_bench(make_database(tmp_path / "registry.sqlite")) as bench:
        views = make_app(bench.service).registry.introspector.get_category("views")
    found = set()
    for view in (item["introspectable"] for item in views):
        methods = view.get("method") or ()
        for method in {methods} if isinstance(methods, str) else set(methods):
            if method not in ("GET", "HEAD", "OPTIONS"):
                context = view["context"]
                found.add((f"{context.__module__}.{context.__name__}", view["name"], method))
    assert found == {write.view for write in WRITES} | REFUSING | SESSIONS


@pytest.mark.parametrize("who", EVERYBODY)
def test_r1_c1_every_write_without_its_right_is_refused_at_the_head(house: House, who: str) -> None:
    """r1-C1, r1-C6: the body of a refused request is not read, and nothing changes."""
    for state in sorted({write.state for write in WRITES}):
        house.target(state)
    # Callers with the right come last, because their requests change the target.
    refused = [write for write in WRITES if not may(who, write.permission)]
    before, wrong = house.rows(), []
    for write in (*refused, *(write for write in WRITES if write not in refused)):
        target = house.target(write.state)
        spoken = house.speak(write, target, who, house.given[who])
        if write.body is not None and spoken.held is not may(who, write.at_head):
            wrong.append((str(write), "was read" if spoken.held else "was not read"))
        status = spoken.finish(house.body(write, target, who))
        if write not in refused:
            house.use_up(write.state)
            if status not in DONE:
                wrong.append((str(write), status))
        elif status not in (403, 404) or house.rows() != before:
            wrong.append((str(write), status, house.rows() != before))
    assert wrong == []


# ---------------------------------------------------------------- the right is withdrawn during the body


@dataclass(frozen=True)
class Withdrawal:
    """A change while the body of a caller's request arrives, and the expected statuses of the response.

    `late`: the statuses for an upload, which keeps the right that its token had at the head.
    """

    who: str
    what: str
    answers: tuple[int, ...]
    change: Callable[[House, Target, str], None]
    permissions: frozenset[str]
    late: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.who}: {self.what}"


def give_away(house: House, target: Target, token: str) -> None:
    house.patch(target.image, "owner", "elsewhere")


def make_private(house: House, target: Target, token: str) -> None:
    house.patch(target.image, "visibility", "private")


def remove_members(house: House, target: Target, token: str) -> None:
    for project in (FRIEND, SHARER):
        house.admin("DELETE", f"/v1/images/{target.image}/members/{project}")


def revoke(house: House, target: Target, token: str) -> None:
    assert house.tokens.revoke(token.partition(".")[0])


def lose_role(role: str) -> Callable[[House, Target, str], None]:
    return lambda house, target, token: house.give_role(token, role)


_OWNERS = policy.OWNING - {policy.VIEW}
_OPERATORS = frozenset({policy.OPERATE, DEFINE})
_OWN, _MADE = frozenset(_OWNERS), frozenset({policy.CREATE})
_SHARES, _ANSWERS = frozenset({policy.SHARE}), frozenset({policy.ANSWER})
WITHDRAWALS = (
    # An upload begins in v2 when the server asks for the body, otherwise with the first byte of the body.
    Withdrawal("owner", "the image is given away", (404,), give_away, _OWN, late=(403, 404, 410)),
    Withdrawal("owner", "the token is revoked", (401,), revoke, _OWN | _MADE, late=DONE),
    Withdrawal("owner", "the role is lost", (403,), lose_role("reader"), _OWN | _MADE, late=DONE),
    *(
        Withdrawal(who, what, answers, change, permissions)
        for who, permissions in (("member who may share", _SHARES), ("member", _ANSWERS))
        for what, answers, change in (
            ("the membership ends", (404,), remove_members),
            ("the image is made private", (404,), make_private),
            ("the token is revoked", (401,), revoke),
            ("the role is lost", (403,), lose_role("reader")),
        )
    ),
    Withdrawal("admin", "the token is revoked", (401,), revoke, _OPERATORS),
    Withdrawal("admin", "the role is lost", (403, 404), lose_role("member"), _OPERATORS),
)


@pytest.mark.parametrize("withdrawal", WITHDRAWALS, ids=str)
def test_r1_c2_a_right_withdrawn_before_the_body_is_complete_no_longer_counts(
    house: House, withdrawal: Withdrawal
) -> None:
    """r1-C2: rights are checked again when the body is complete, and a refused request changes nothing."""
    wrong, tried = [], 0
    for write in WITH_BODY:
        if write.permission not in withdrawal.permissions:
            continue
        tried += 1
        target, token = house.target(write.state), house.token(withdrawal.who)
        spoken = house.speak(write, target, withdrawal.who, token)
        if not spoken.held:
            wrong.append((str(write), spoken.said[:80]))
            continue
        body = house.body(write, target, withdrawal.who)
        withdrawal.change(house, target, token)
        before = house.rows()
        status = spoken.finish(body)
        house.use_up(write.state)
        answers = withdrawal.late if write.uploads else withdrawal.answers
        if status not in answers or (not write.uploads and house.rows() != before):
            wrong.append((str(write), status, "changed" if house.rows() != before else ""))
    assert wrong == []
    assert tried > 0


@pytest.mark.parametrize("path", ["/images/ID", "/v1/images/ID", "/v2/images/ID/file", "/v2/images/ID/stage"])
def test_r1_c2_an_upload_into_an_image_that_was_given_away_leaves_it_waiting(house: House, path: str) -> None:
    """r1-C2: the new owner's image gets no bytes from the former owner, and stays queued."""
    write = next(one for one in WRITES if one.method == "PUT" and one.path == path and one.uploads)
    target = house.target(write.state)
    spoken = house.speak(write, target, "owner", house.given["owner"])
    spoken.begin(b"by")
    state = "SELECT status FROM images WHERE id = ?"
    wait_for(lambda: house.server.query(state, target.image) != [("queued",)], seconds=15)
    house.patch(target.image, "owner", "elsewhere")
    status = spoken.finish(b"tes")
    house.use_up(write.state)
    answer = house.server.get(f"/v1/images/{target.image}", {"X-Auth-Token": house.given["admin"]})
    rows = house.server.query("SELECT status, owner, status_reason FROM images WHERE id = ?", target.image)
    assert (status, answer.status, rows[0][:2]) == (403, 404, ("queued", "elsewhere"))
    assert "no longer allowed" in rows[0][2]
    assert house.server.blobs(target.image, "fast") == []


#: Changes during a request, and the row of the table of rights that then applies to a caller.
BECOMES: dict[str, tuple[Callable[[House, Target, str], None], Callable[[str], str]]] = {
    "nothing": (lambda house, target, token: None, lambda who: who),
    "given away": (give_away, lambda who: "stranger" if who == "owner" else who),
    "made private": (make_private, lambda who: who),
    "no members": (remove_members, lambda who: "stranger" if who.startswith("member") else who),
    "revoked": (revoke, lambda who: "nobody"),
    "role lost": (
        lambda house, target, token: house.give_role(token, "reader"),
        lambda who: {"owner": "owner's reader", "member": "member's reader"}.get(who, "stranger's reader"),
    ),
}


@pytest.mark.campaign
@pytest.mark.parametrize("visibility", list(Visibility))
@pytest.mark.parametrize("who", ["admin", "owner", "member", "member who may share", "stranger"])
def test_r1_c2_every_write_follows_the_rights_that_hold_after_each_change(
    house: House, who: str, visibility: Visibility
) -> None:
    """r1-C2: the test tries all combinations of writes, callers, visibilities and changes."""
    wrong = []
    for write in WITH_BODY:
        for what, (change, becomes) in BECOMES.items():
            if write.about_members and visibility is not Visibility.SHARED:
                continue  # other images have no members in v2
            target, token = house.target(write.state), house.token(who)
            if visibility is not Visibility.SHARED:
                house.patch(target.image, "visibility", visibility)
            spoken = house.speak(write, target, who, token)
            if spoken.held is not may(who, write.at_head, visibility):
                wrong.append((str(write), what, spoken.said[:40]))
            if spoken.held:
                change(house, target, token)
            status = spoken.finish(house.body(write, target, who))
            house.use_up(write.state)
            after = Visibility.PRIVATE if what == "made private" else visibility
            late = write.uploads and what in ("revoked", "role lost")
            allowed = may(who if late else becomes(who), write.permission, after) and may(
                who, write.at_head, visibility
            )
            if write.about_members and after is not Visibility.SHARED:
                allowed = False
            if write.permission == policy.ANSWER and what == "no members":
                allowed = False  # not even an administrator can answer for a member who is gone
            if (status in DONE) is not allowed:
                wrong.append((str(write), what, status))
    assert wrong == []


# ---------------------------------------------------------------- fields and patches


def patch_write(*operations: str) -> Write:
    """Return a PATCH request of v2 with these operations."""
    body = f"[{', '.join(operations)}]".encode()
    return Write(("", "", ""), "PATCH", "/v2/images/ID", policy.UPDATE, PATCH, body)


def operation(op: str, name: str, value: str = "x") -> str:
    return f'{{"op": "{op}", "path": "/{name}", "value": "{value}"}}'


def meanwhile(house: House, write: Write, change: Callable[[str], None], state: str = "queued") -> int:
    """Return the status of a write by the owner, during which the image is changed."""
    target = house.target(state)
    spoken = house.speak(write, target, "owner", house.given["owner"])
    assert spoken.held, spoken.said
    change(target.image)
    house.use_up(state)
    return spoken.finish(write.body)


def test_r1_c2_an_owner_cannot_publish_again_an_image_that_was_unpublished_meanwhile(house: House) -> None:
    """r1-C2: the unit of work checks the values of fields against the current image."""
    house.patch(house.target("active").image, "visibility", "public")
    write = patch_write(operation("replace", "visibility", "public"))
    made: list[str] = []

    def withdraw(image: str) -> None:
        made.append(image)
        house.patch(image, "visibility", "private")

    assert meanwhile(house, write, withdraw, "active") == 403
    assert house.server.query("SELECT visibility FROM images WHERE id = ?", made[0]) == [("private",)]


def test_r1_c2_a_former_owner_cannot_take_its_image_back(house: House) -> None:
    """r1-C2: only the owner may set itself as the owner, and the image has another owner now."""
    write = patch_write(operation("replace", "owner", OWNER))
    assert meanwhile(house, write, lambda image: house.patch(image, "owner", "elsewhere")) == 404


def test_r1_c2_a_format_cannot_be_set_after_bytes_have_arrived(house: House) -> None:
    """r1-C2: formats are fixed once there is data."""
    write = patch_write(operation("replace", "disk_format", "qcow2"))

    def upload(image: str) -> None:
        house.admin("PUT", f"/v2/images/{image}/file", b"bytes", **OCTETS)

    assert meanwhile(house, write, upload) == 403


def test_c_05_an_update_during_which_an_upload_ends_keeps_the_uploads_results(house: House) -> None:
    """C-05: the update has read the image before the upload begins, and writes only its own field."""
    write, made = patch_write(operation("replace", "name", "new name")), []

    def upload(image: str) -> None:
        made.append(image)
        house.admin("PUT", f"/v2/images/{image}/file", b"bytes", **OCTETS)

    assert meanwhile(house, write, upload) == 200
    rows = house.server.query("SELECT name, status, size, checksum FROM images WHERE id = ?", made[0])
    assert rows == [("new name", "active", 5, hashlib.md5(b"bytes").hexdigest())]
    owner = {"X-Auth-Token": house.given["owner"]}
    assert house.server.get(f"/v2/images/{made[0]}/file", owner).body == b"bytes"


def test_r1_c2_a_patch_applies_to_the_image_as_the_unit_of_work_finds_it(house: House) -> None:
    """r1-C2: a replaced property must still exist, and values are set whatever others changed meanwhile."""
    told: list[str] = []

    def set_to(name: str, value: str | None) -> Callable[[str], None]:
        def change(image: str) -> None:
            told.append(image)
            op = operation("remove", name) if value is None else operation("add", name, value)
            house.admin("PATCH", f"/v2/images/{image}", f"[{op}]".encode(), **PATCH)

        return change

    def begin() -> None:
        set_to("a", "1")(house.target("queued").image)

    begin()
    assert meanwhile(house, patch_write(operation("replace", "a", "2")), set_to("a", None)) == 409
    begin()
    assert meanwhile(house, patch_write(operation("replace", "a", "1")), set_to("a", "3")) == 200
    rows = house.server.query("SELECT value FROM image_properties WHERE image_id = ?", told[-1])
    assert rows == [("1",)]
