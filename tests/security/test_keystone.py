"""Identity keystone, with a real Keystone: tokens are checked, and identity headers have no effect."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from calotype.model import policy
from tests.security.people import Person
from tests.security.spoken import Spoken
from tests.security.writes import PATCH, Write
from tests.servers.identity import Admin, revoke_token, token_of
from tests.support.server import Server, meta, write_ini

RENAMED = b'[{"op": "replace", "path": "/name", "value": "changed"}]'

FILTER = """
[pipeline:main]
pipeline = authtoken calotype

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {KEYSTONE_URL}
auth_url = {KEYSTONE_URL}
auth_type = password
username = service
password = {KEYSTONE_PASSWORD}
user_domain_id = default
project_name = service
project_domain_id = default
delay_auth_decision = {delay}
"""
FORGED = {
    "X-Identity-Status": "Confirmed",
    "X-Service-Identity-Status": "Confirmed",
    "X-Roles": "admin",
    "X-Role": "admin",
    "X-Project-Id": "victim",
    "X-Tenant-Id": "victim",
    "X-Tenant": "victim",
    "X-User-Id": "victim",
    "X-User": "victim",
    "X-User-Name": "admin",
    "X-Is-Admin-Project": "True",
    "X-Service-Roles": "admin",
    "X-Service-Token": "x",
    "OpenStack-System-Scope": "all",
    "X-Domain-Id": "default",
    "X-Service-Catalog": "[]",
    "Remote-User": "admin",
    "Keystone.Token-Auth": "x",
}
#: The same headers, in spellings that a careless server treats as equal.
SPELLINGS = [
    FORGED,
    {name.replace("-", "_"): value for name, value in FORGED.items()},
    {name.upper(): value for name, value in FORGED.items()},
    {name.lower(): value for name, value in FORGED.items()},
]


def serve(folder: Path, keystone: Mapping[str, str], *, with_filter: bool, delay: bool = False) -> Server:
    """A server with identity keystone, with or without the filter, which logs at DEBUG."""
    folder.mkdir()
    app = {
        "calotype.identity": "keystone",
        "calotype.allow_anonymous": str(delay).lower(),
        "calotype.confirm_after": "0",
    }
    ini = write_ini(folder, app)
    text = re.sub("^level = .*", "level = DEBUG", ini.read_text(), flags=re.M)
    if with_filter:
        text = text.replace("[app:main]", "[app:calotype]") + FILTER.format(delay=delay, **keystone)
    ini.write_text(text)
    return Server(folder, ini)


@pytest.fixture(scope="module")
def server(keystone: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the filter, without anonymous callers."""
    running = serve(tmp_path_factory.mktemp("keystone") / "strict", keystone, with_filter=True)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def people(server: Server, keystone: Mapping[str, str]) -> dict[str, Person]:
    """Keystone's users, each with a token."""
    projects = dict(pair.split(":") for pair in keystone["KEYSTONE_USERS"].split(","))
    return {
        user: Person(server, keystone.get(f"KEYSTONE_PROJECT_{project.upper()}"), token_of(keystone, user))
        for user, project in projects.items()
    }


def test_a_members_image_belongs_to_its_project_and_is_invisible_to_others(
    people: dict[str, Person],
) -> None:
    member, other = people["member"], people["other"]
    image = member.upload(b"bytes", name="mine")
    path = f"/v1/images/{image['id']}"
    assert image["owner"] == member.project
    assert member.get(path).body == b"bytes"
    assert [other.ask(method, path).status for method in ("GET", "HEAD", "PUT", "DELETE")] == [404] * 4
    assert people["admin"].get(path).body == b"bytes"
    assert member.delete(path).status == 200
    # r1-E10: Keystone's audit id identifies the token, and is no part of it.
    records = people["admin"].get(f"/v2/audit?image={image['id']}").json["audit"]
    assert [one["verb"] for one in records] == ["delete", "upload", "create"]
    ((user, project, token),) = {(one["user_id"], one["project_id"], one["token_id"]) for one in records}
    assert (bool(user), project) == (True, member.project)
    assert len(token) == 22
    assert token not in str(member.token)


def test_a_reader_can_only_read(people: dict[str, Person]) -> None:
    image = people["member"].upload(b"bytes")
    path = f"/v1/images/{image['id']}"
    reader = people["reader"]
    assert reader.ask("HEAD", path).status == 200
    assert [reader.ask(method, path).status for method in ("GET", "PUT", "DELETE")] == [403] * 3
    assert reader.ask("POST", "/v1/images", meta(name="x")).status == 403


def test_only_an_admin_publishes(people: dict[str, Person]) -> None:
    assert people["member"].ask("POST", "/v1/images", meta(is_public="True")).status == 403
    assert people["admin"].reserve(is_public="True")["is_public"] is True


@pytest.mark.parametrize("token", [None, "", "nonsense", "x" * 10_000, "gAAAAAB" + "x" * 200])
def test_o_05_no_token_or_a_bad_one_is_401(server: Server, token: str | None) -> None:
    nobody = Person(server, None, token)
    for path in ("/images", "/v1/images", "/v2/images", "/v1/images/00000000-0000-4000-8000-000000000000"):
        answer = nobody.get(path)
        assert (answer.status, answer.headers["WWW-Authenticate"] is not None) == (401, True)


@pytest.mark.parametrize("forged", SPELLINGS, ids=["-", "_", "upper", "lower"])
def test_o_01_r_37_identity_headers_of_a_client_have_no_effect_with_keystone(
    server: Server, people: dict[str, Person], forged: dict[str, str]
) -> None:
    nobody = Person(server, None, None)
    assert nobody.ask("GET", "/v1/images", forged).status == 401
    other = people["other"]
    # The filter refuses an invalid service token by itself.
    rest = {name: value for name, value in forged.items() if "service" not in name.lower()}
    assert (
        other.ask("POST", "/v1/images", {**rest, **meta(name="mine")}).json["image"]["owner"] == other.project
    )
    assert other.ask("POST", "/v1/images", {**rest, **meta(is_public="True")}).status == 403
    assert other.ask("POST", "/v1/images", {**forged, **meta(is_public="True")}).status in (401, 403)


def test_o_07_the_log_contains_no_token(server: Server, people: dict[str, Person]) -> None:
    answer = people["member"].get("/v1/images")
    assert server.log_lines(answer.headers["x-openstack-request-id"])
    assert " DEBUG " in server.log
    assert [user for user, person in people.items() if person.token in server.log] == []


@pytest.mark.parametrize("forged", [{}, *SPELLINGS], ids=["none", "-", "_", "upper", "lower"])
def test_without_the_filter_every_request_is_401(
    unfiltered: Server, keystone: Mapping[str, str], forged: dict[str, str]
) -> None:
    for token in (None, token_of(keystone, "admin")):
        nobody = Person(unfiltered, None, token)
        for method, path in (("GET", "/v1/images"), ("POST", "/images"), ("GET", "/v2/images")):
            assert nobody.ask(method, path, forged).status == 401


@pytest.fixture(scope="module")
def unfiltered(keystone: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose operator has forgotten the filter."""
    running = serve(tmp_path_factory.mktemp("keystone") / "unfiltered", keystone, with_filter=False)
    yield running
    running.stop()


def test_anonymous_callers_see_only_public_images(
    keystone: Mapping[str, str], tmp_path: Path, people: dict[str, Person]
) -> None:
    running = serve(tmp_path / "open", keystone, with_filter=True, delay=True)
    try:
        admin, member = (replace(people[user], server=running) for user in ("admin", "member"))
        public = admin.upload(b"public", is_public="True")["id"]
        private = member.upload(b"private")["id"]
        for forged in ({}, *SPELLINGS):
            nobody = Person(running, None, None)
            assert nobody.ask("GET", f"/v1/images/{public}", forged).body == b"public"
            assert nobody.ask("GET", f"/v1/images/{private}", forged).status == 404
            assert nobody.ask("POST", "/v1/images", forged).status in (401, 403)
    finally:
        running.stop()


def test_r1_c2_a_token_revoked_after_the_head_changes_nothing(
    people: dict[str, Person], keystone: Mapping[str, str]
) -> None:
    """r1-C2: Keystone itself is asked, because the filter has the token in its cache."""
    member = replace(people["member"], token=token_of(keystone, "member"))
    path = f"/v2/images/{member.reserve(name='before')['id']}"
    write = Write(("", "", ""), "PATCH", path, policy.UPDATE, PATCH, RENAMED)
    headers = {**PATCH, "X-Auth-Token": str(member.token)}
    assert Spoken(member.server.port, write, path, headers).finish(RENAMED) == 200
    spoken = Spoken(member.server.port, write, path, headers)
    assert spoken.held
    revoke_token(keystone, str(member.token))
    assert spoken.finish(RENAMED.replace(b"changed", b"too late")) == 401
    assert people["admin"].get(path).json["name"] == "changed"
    # The filter's cache still has the token, so only the second check prevents the change.
    assert member.get(path).status == 200


#: The request that makes an image in each dialect, and its status on success.
CREATIONS = (
    ("/images", {}, b"", 200),
    ("/v1/images", {}, b"", 201),
    ("/v1/images", {"Content-Type": "application/json"}, b'{"name": "n"}', 201),
    ("/v2/images", {"Content-Type": "application/json"}, b'{"name": "n"}', 201),
)


def test_r1_g4_a_token_scoped_to_the_system_or_a_domain_gives_no_right_over_images(
    people: dict[str, Person], keystone: Mapping[str, str]
) -> None:
    """r1-G4: such an administrator must neither make images without an owner nor see all images."""
    admin = Admin(keystone["KEYSTONE_URL"], keystone["KEYSTONE_PASSWORD"])
    user, role = admin.ids("user")["other"], admin.ids("role")["admin"]
    admin.call("PUT", f"/domains/default/users/{user}/roles/{role}")
    private = people["member"].upload(b"bytes")["id"]
    public = people["admin"].upload(b"bytes", is_public="True")["id"]
    for path, headers, body, made in CREATIONS:
        assert people["admin"].ask("POST", path, headers, body).status == made
    for name, scope in (("admin", {"system": {"all": True}}), ("other", {"domain": {"id": "default"}})):
        person = replace(people[name], token=token_of(keystone, name, scope))
        for path, headers, body, _ in CREATIONS:
            refused = person.ask("POST", path, headers, body)
            assert (refused.status, b"scoped to a project" in refused.body) == (403, True)
        for image_id in (private, public):
            asked = [
                *(person.ask("HEAD", f"{dialect}/{image_id}") for dialect in ("/images", "/v1/images")),
                person.get(f"/v2/images/{image_id}"),
                person.get(f"/v2/images/{image_id}/file"),
                person.ask("PATCH", f"/v2/images/{image_id}", PATCH, RENAMED),
                person.delete(f"/v2/images/{image_id}"),
            ]
            assert [answer.status for answer in asked] == [404] * 6
        lists = [person.get(path) for path in ("/images", "/v1/images/detail", "/v2/images", "/v2/tasks")]
        assert [answer.status for answer in lists] == [403] * 4


def test_r1_g4_an_unscoped_token_cannot_make_images(
    people: dict[str, Person], keystone: Mapping[str, str]
) -> None:
    """r1-G4: such a token has no roles, so its caller sees only what every caller sees."""
    public = people["admin"].upload(b"bytes", is_public="True")["id"]
    person = replace(people["other"], token=token_of(keystone, "other", "unscoped"))
    for path, headers, body, _ in CREATIONS:
        assert person.ask("POST", path, headers, body).status == 403
    assert person.get(f"/v2/images/{public}/file").body == b"bytes"
    assert person.delete(f"/v2/images/{public}").status == 403
