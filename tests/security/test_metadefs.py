"""Rights over metadata definitions: only administrators write them, hidden ones seem missing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.security.people import Guarded, Person
from tests.support.answers import Answer

ROOT = "/v2/metadefs/namespaces"
JSON = {"Content-Type": "application/json"}
PROPERTY = {"title": "t", "type": "string"}
#: Every request that changes a namespace or its contents: method, path below it, document.
WRITES = (
    ("PUT", "", {"namespace": "NS"}),
    ("DELETE", "", None),
    *(("DELETE", f"/{kind}", None) for kind in ("objects", "properties", "tags")),
    ("POST", "/objects", {"name": "new"}),
    ("PUT", "/objects/o", {"name": "o"}),
    ("DELETE", "/objects/o", None),
    ("POST", "/properties", {"name": "new", **PROPERTY}),
    ("PUT", "/properties/p", {"name": "p", **PROPERTY}),
    ("DELETE", "/properties/p", None),
    ("POST", "/tags", {"tags": [{"name": "new"}]}),
    ("POST", "/tags/new", None),
    ("PUT", "/tags/t", {"name": "new"}),
    ("DELETE", "/tags/t", None),
    ("POST", "/resource_types", {"name": "New::Type"}),
    ("DELETE", "/resource_types/R", None),
)
READS = ("", "/objects", "/properties", "/tags", "/resource_types", "/objects/o", "/properties/p", "/tags/t")


def send(person: Person, method: str, path: str, document: object = None) -> Answer:
    body = None if document is None else json.dumps(document).encode()
    return person.ask(method, path, JSON if body else {}, body)


def make(guarded: Guarded, visibility: str) -> str:
    """Make a namespace of the victim's project with one definition of each kind, and return its name."""
    document = {
        "namespace": f"NS-{uuid.uuid4()}",
        "visibility": visibility,
        "owner": guarded.victim.project,
        "objects": [{"name": "o"}],
        "properties": {"p": PROPERTY},
        "tags": [{"name": "t"}],
        "resource_type_associations": [{"name": "R"}],
    }
    answer = send(guarded.admin, "POST", ROOT, document)
    assert answer.status == 201, answer.text
    return answer.json["namespace"]


@pytest.fixture
def private(guarded: Guarded) -> Iterator[str]:
    name = make(guarded, "private")
    yield name
    assert guarded.admin.delete(f"{ROOT}/{name}").status == 204


@pytest.fixture
def public(guarded: Guarded) -> Iterator[str]:
    name = make(guarded, "public")
    yield name
    assert guarded.admin.delete(f"{ROOT}/{name}").status == 204


def test_g_41_only_an_admin_can_change_definitions(guarded: Guarded, public: str, private: str) -> None:
    before = [guarded.admin.get(f"{ROOT}/{name}").json for name in (public, private)]
    types = guarded.admin.get("/v2/metadefs/resource_types").json
    for person, on_public, on_private in (
        (guarded.victim, 403, 403),  # its owner, who sees it
        (guarded.attacker, 403, 404),
        (guarded.reader, 403, 404),
        (guarded.friend, 403, 404),
        (guarded.anonymous, 401, 401),
    ):
        for method, path, document in WRITES:
            for name, refused in ((public, on_public), (private, on_private)):
                answer = send(person, method, f"{ROOT}/{name}{path}", document)
                assert answer.status == refused, (person.project, method, path)
        made = send(person, "POST", ROOT, {"namespace": str(uuid.uuid4()), "visibility": "public"})
        assert made.status == (401 if person is guarded.anonymous else 403)

    assert [guarded.admin.get(f"{ROOT}/{name}").json for name in (public, private)] == before
    assert guarded.admin.get("/v2/metadefs/resource_types").json == types


def test_g_41_a_hidden_namespace_gets_the_same_response_as_a_missing_one(
    guarded: Guarded, private: str
) -> None:
    missing = f"NS-{uuid.uuid4()}"
    for person in (guarded.attacker, guarded.reader, guarded.friend):
        for path in READS:
            answers = [person.get(f"{ROOT}/{name}{path}") for name in (private, missing)]
            assert [answer.status for answer in answers] == [404, 404], path
            assert answers[0].body == answers[1].body
        for query in ("marker={}", "limit=1&marker={}"):
            answers = [person.get(f"{ROOT}?{query.format(name)}") for name in (private, missing)]
            assert [answer.status for answer in answers] == [400, 400]
            assert answers[0].body == answers[1].body
        # Callers who may not create namespaces must not learn which names are taken.
        answers = [send(person, "POST", ROOT, {"namespace": name}) for name in (private, missing)]
        assert [answer.status for answer in answers] == [403, 403]
        assert answers[0].body == answers[1].body
        for query in ("limit=1000", "limit=1000&visibility=private", "limit=1000&resource_types=R"):
            assert private not in person.get(f"{ROOT}?{query}").text
    for path in READS:
        assert guarded.victim.get(f"{ROOT}/{private}{path}").status == 200


def test_g_41_anonymous_callers_see_only_public_namespaces_and_change_nothing(
    start_guarded,
) -> None:
    guarded = start_guarded({"calotype.allow_anonymous": "true"})
    public, private = make(guarded, "public"), make(guarded, "private")
    nobody = guarded.anonymous
    assert [one["namespace"] for one in nobody.get(ROOT).json["namespaces"]] == [public]
    for path in READS:
        assert nobody.get(f"{ROOT}/{public}{path}").status == 200
        assert nobody.get(f"{ROOT}/{private}{path}").status == 404
    for method, path, document in WRITES:
        assert send(nobody, method, f"{ROOT}/{public}{path}", document).status == 403
        assert send(nobody, method, f"{ROOT}/{private}{path}", document).status == 404
