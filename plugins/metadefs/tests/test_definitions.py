"""Metadata definitions: the rules for namespaces, concurrent requests for a name, protection and lists."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from calotype.model.errors import Conflict, NotFound, Protected
from calotype.model.fields import InvalidRequest, RequestTooLarge
from calotype.model.images import Visibility
from calotype.model.queries import Scope, SortKey
from calotype_metadefs import MIGRATIONS, verbs
from calotype_metadefs.database import Definition, Definitions, Kind, Namespace, NamespaceQuery, ResourceType
from calotype_metadefs.errors import DuplicateDefinition, NamespaceNotFound
from calotype_metadefs.tables import NamespaceRow, ResourceTypeRow
from calotype_metadefs.verbs import DefinitionDraft, Metadefs, NamespaceDraft, is_name, prefix_for
from tests.support.workbench import CALLER, Bench, make_bench, make_database

PUBLIC = Visibility.PUBLIC


@pytest.fixture
def metadefs(bench: Bench) -> Metadefs:
    return Metadefs(bench.database)


def tag(name: str) -> DefinitionDraft:
    return DefinitionDraft(Kind.TAG, name)


def thing(name: str, **body: Any) -> DefinitionDraft:
    return DefinitionDraft(Kind.OBJECT, name, body)


def about(name: str, **body: Any) -> DefinitionDraft:
    return DefinitionDraft(Kind.ASSOCIATION, name, body)


def make(metadefs: Metadefs, name: str = "NS", *contents: DefinitionDraft, **fields: Any) -> Namespace:
    return metadefs.create(NamespaceDraft(name, contents=contents, **fields), CALLER)


def there(bench: Bench, namespace: Namespace) -> set[tuple[str, str]]:
    contents = Definitions(bench.database.reading).contents([namespace])[namespace.id]
    return {(one.kind, one.name) for one in contents}


def rows(bench: Bench, table: str) -> int:
    with bench.database.engine.connect() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM {table}"))


def test_a_namespace_belongs_to_its_creators_project_unless_it_names_an_owner(metadefs: Metadefs) -> None:
    assert make(metadefs, "a").owner == CALLER.project
    given = make(metadefs, "b", owner="other")
    assert given.owner == "other"
    assert metadefs.update(given, NamespaceDraft("b"), CALLER).owner == "other"  # it keeps its owner
    assert metadefs.update(given, NamespaceDraft("b", owner="third"), CALLER).owner == "third"


def test_a_refused_draft_leaves_no_row(bench: Bench, metadefs: Metadefs) -> None:
    for wrong, error in (
        ((tag("a"), tag("a")), Conflict),
        ((tag("a"), tag("")), InvalidRequest),
        ((tag("x" * 256),), InvalidRequest),
        ((about("x" * 81),), InvalidRequest),
        ((thing("a", description="\ud800"),), InvalidRequest),
        ((thing("a", enum=[{"\0": 1}]),), InvalidRequest),
        ((thing("a", description="x" * verbs.BYTES_MAX),), RequestTooLarge),
    ):
        with pytest.raises(error):
            make(metadefs, "NS", *wrong)
        assert rows(bench, "metadef_namespaces") == rows(bench, "metadef_definitions") == 0
    for fields in (
        {"visibility": Visibility.SHARED},
        {"owner": ""},
        {"owner": "x" * 256},
        {"description": "\0"},
    ):
        with pytest.raises(InvalidRequest):
            make(metadefs, "NS", **fields)


@pytest.mark.parametrize("name", ["", ".", "..", "@@x", "a/b", "a\0", "\x1b[1m", "a\nb", "\ud800", "x" * 81])
def test_text_that_cannot_be_a_path_segment_is_refused_as_a_name(metadefs: Metadefs, name: str) -> None:
    assert not is_name(name, 80)
    with pytest.raises(InvalidRequest):
        make(metadefs, name)


@pytest.mark.parametrize(
    "name", ["OS::Compute::Hypervisor", "CPU Limits", "hw:cpu", "ü \N{GRINNING FACE}", "...", "@"]
)
def test_text_that_can_be_a_path_segment_is_accepted_as_a_name(metadefs: Metadefs, name: str) -> None:
    assert make(metadefs, name).name == name


def test_a_name_is_taken_until_its_namespace_is_deleted(bench: Bench, metadefs: Metadefs) -> None:
    first, other = make(metadefs, "NS", tag("t")), make(metadefs, "other")
    with pytest.raises(DuplicateDefinition):
        make(metadefs, "NS")
    with pytest.raises(DuplicateDefinition):
        metadefs.update(other, NamespaceDraft("NS"), CALLER)
    metadefs.delete(first, CALLER)
    assert there(bench, make(metadefs, "NS")) == set()
    for verb in (
        lambda: metadefs.delete(first, CALLER),
        lambda: metadefs.update(first, NamespaceDraft("x"), CALLER),
        lambda: metadefs.add(first, tag("t"), CALLER),
        lambda: metadefs.remove(first, Kind.TAG, "t", CALLER),
        lambda: metadefs.tag(first, ["t"], CALLER, keep=True),
        lambda: metadefs.replace(first, "t", tag("u"), CALLER),
    ):
        with pytest.raises(NamespaceNotFound):
            verb()


def test_definitions_of_different_kinds_can_have_the_same_name(bench: Bench, metadefs: Metadefs) -> None:
    namespace = make(metadefs, "NS", tag("a"), thing("a"), about("a"))
    metadefs.add(namespace, DefinitionDraft(Kind.PROPERTY, "a"), CALLER)
    assert {name for _, name in there(bench, namespace)} == {"a"}
    assert {kind for kind, _ in there(bench, namespace)} == set(Kind)
    metadefs.clear(namespace, Kind.TAG, CALLER)
    assert {kind for kind, _ in there(bench, namespace)} == set(Kind) - {Kind.TAG}
    metadefs.remove(namespace, Kind.OBJECT, "a", CALLER)
    with pytest.raises(NotFound):
        metadefs.remove(namespace, Kind.OBJECT, "a", CALLER)


def test_a_definition_can_be_replaced_and_renamed(metadefs: Metadefs) -> None:
    namespace = make(metadefs, "NS", thing("a", description="x"), thing("b"))
    assert metadefs.replace(namespace, "a", thing("c", required=["r"]), CALLER).body == {"required": ["r"]}
    with pytest.raises(NotFound):
        metadefs.find(namespace, Kind.OBJECT, "a")
    with pytest.raises(DuplicateDefinition):
        metadefs.replace(namespace, "c", thing("b"), CALLER)
    assert [one.name for one in metadefs.listed(namespace, Kind.OBJECT)] == ["b", "c"]


def test_nothing_is_removed_from_a_protected_namespace(bench: Bench, metadefs: Metadefs) -> None:
    contents = (tag("t"), thing("o"), about("R"))
    namespace = make(metadefs, "NS", *contents, protected=True)
    before = there(bench, namespace)
    for verb in (
        lambda: metadefs.delete(namespace, CALLER),
        *(lambda kind=kind: metadefs.clear(namespace, kind, CALLER) for kind in Kind),
        *(lambda one=one: metadefs.remove(namespace, one.kind, one.name, CALLER) for one in contents),
        lambda: metadefs.tag(namespace, ["u"], CALLER, keep=False),
    ):
        with pytest.raises(Protected):
            verb()
        assert there(bench, namespace) == before
    metadefs.tag(namespace, ["u"], CALLER, keep=True)
    assert there(bench, namespace) == before | {(Kind.TAG, "u")}


def test_protection_is_checked_in_the_unit_of_work(metadefs: Metadefs) -> None:
    stale = make(metadefs)
    metadefs.update(stale, NamespaceDraft("NS", protected=True), CALLER)
    with pytest.raises(Protected):
        metadefs.delete(stale, CALLER)


def test_the_number_of_definitions_of_a_kind_is_limited(
    metadefs: Metadefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "ITEMS_MAX", 3)
    namespace = make(metadefs, "NS", tag("a"), tag("b"))
    metadefs.add(namespace, tag("c"), CALLER)
    metadefs.add(namespace, thing("a"), CALLER)
    for verb in (
        lambda: metadefs.add(namespace, tag("d"), CALLER),
        lambda: metadefs.tag(namespace, ["d"], CALLER, keep=True),
        lambda: metadefs.tag(namespace, list("wxyz"), CALLER, keep=False),
    ):
        with pytest.raises(RequestTooLarge):
            verb()
    assert metadefs.replace(namespace, "c", tag("d"), CALLER).name == "d"
    metadefs.tag(namespace, list("xyz"), CALLER, keep=False)
    assert [one.name for one in metadefs.listed(namespace, Kind.TAG)] == ["x", "y", "z"]


def test_the_bytes_of_a_namespace_are_limited(metadefs: Metadefs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "BYTES_MAX", 200)
    namespace = make(metadefs, "NS", thing("a", description="x" * 100))
    with pytest.raises(RequestTooLarge):
        metadefs.add(namespace, thing("b", description="x" * 100), CALLER)
    metadefs.replace(namespace, "a", thing("a", description="y" * 150), CALLER)
    with pytest.raises(RequestTooLarge):
        metadefs.replace(namespace, "a", thing("a", description="y" * 250), CALLER)


def test_the_number_of_resource_types_is_limited(
    bench: Bench, metadefs: Metadefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = len(Definitions(bench.database.reading).resource_types())
    monkeypatch.setattr(verbs, "ITEMS_MAX", known + 1)
    make(metadefs, "a", about("one more"))
    with pytest.raises(RequestTooLarge):
        make(metadefs, "b", about("yet another"))
    make(metadefs, "b", about("one more"))


@pytest.mark.parametrize(
    ("resource_type", "prefix"), [("R", "hw_"), ("S", ""), ("T", "")], ids=["one", "without one", "other"]
)
def test_properties_have_the_prefix_of_the_resource_type(
    metadefs: Metadefs, resource_type: str, prefix: str
) -> None:
    contents = (about("R", prefix="hw_"), about("S"), DefinitionDraft(Kind.PROPERTY, "p"))
    namespace = make(metadefs, "NS", *contents)
    assert prefix_for(metadefs.listed(namespace, Kind.ASSOCIATION), resource_type) == prefix
    assert metadefs.find_property(namespace, f"{prefix}p", resource_type).name == "p"
    if prefix:
        with pytest.raises(NotFound):
            metadefs.find_property(namespace, "p", resource_type)


def test_one_of_many_concurrent_requests_gets_a_name(bench: Bench, metadefs: Metadefs) -> None:
    namespace = make(metadefs)

    def attempt(number: int) -> list[bool]:
        got = []
        for draft in (tag("t"), about("New::Type")):
            try:
                metadefs.add(namespace, draft, CALLER)
                got.append(True)
            except DuplicateDefinition:
                got.append(False)
        try:
            got.append(bool(make(metadefs, "other", about(f"Type::{number % 2}"))))
        except DuplicateDefinition:
            got.append(False)
        return got

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(attempt, range(6)))
    assert [sum(got[which] for got in outcomes) for which in range(3)] == [1, 1, 1]
    assert there(bench, namespace) == {(Kind.TAG, "t"), (Kind.ASSOCIATION, "New::Type")}


def test_a_resource_type_that_another_request_has_added_meanwhile_is_used(
    bench: Bench, metadefs: Metadefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, answers = Definitions.resource_types, [[]]
    monkeypatch.setattr(Definitions, "resource_types", lambda self: answers.pop() if answers else read(self))
    namespace = make(metadefs, "NS", about("OS::Glance::Image"))
    assert there(bench, namespace) == {(Kind.ASSOCIATION, "OS::Glance::Image")}


@pytest.mark.parametrize("field", ["namespace", "created_at", "updated_at"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_show_each_namespace_once_and_in_order(
    bench: Bench, metadefs: Metadefs, field: str, descending: bool
) -> None:
    for name in "cabed":
        make(metadefs, name)
    # All have the same times, so that the name decides.
    same = text("UPDATE metadef_namespaces SET created_at = :at, updated_at = :at")
    with bench.database.engine.begin() as connection:
        connection.execute(same, {"at": "2026-01-01 00:00:00.000000"})

    sort = tuple(SortKey(name, descending) for name in dict.fromkeys((field, "namespace")))
    found: list[Namespace] = []
    for more in (True, True, False):
        listing = NamespaceQuery(Scope.ALL, sort=sort, limit=2)
        if found:
            listing = replace(listing, after=listing.position(found[-1]))
        page = Definitions(bench.database.reading).page(listing)
        found += page.records
        assert page.more is more
    assert [one.name for one in found] == sorted("abcde", reverse=descending)


@pytest.mark.parametrize(
    ("scope", "project", "seen"),
    [
        (Scope.ALL, None, "abc"),
        (Scope.PUBLIC, "mine", "a"),
        (Scope.VISIBLE, "mine", "ab"),
        (Scope.VISIBLE, "theirs", "ac"),
        (Scope.VISIBLE, None, "a"),
    ],
)
def test_a_list_has_the_namespaces_of_its_scope(
    bench: Bench, metadefs: Metadefs, scope: Scope, project: str | None, seen: str
) -> None:
    make(metadefs, "a", visibility=PUBLIC)
    make(metadefs, "b", owner="mine")
    make(metadefs, "c", owner="theirs")
    page = Definitions(bench.database.reading).page(NamespaceQuery(scope, project))
    assert "".join(one.name for one in page.records) == seen


def test_a_new_database_has_resource_types(tmp_path) -> None:
    with make_bench(make_database(tmp_path / "new.sqlite", MIGRATIONS)) as bench:
        names = [one.name for one in Definitions(bench.database.reading).resource_types()]
    assert "OS::Glance::Image" in names
    assert names == sorted(names)


@pytest.mark.parametrize(("record", "row"), [(Namespace, NamespaceRow), (ResourceType, ResourceTypeRow)])
def test_the_fields_of_a_record_are_the_columns_of_its_table_in_their_order(record: Any, row: Any) -> None:
    columns = [column.name for column in row.__table__.c]
    given = [field.name for field in dataclasses.fields(record)]
    assert given == ["name" if name == "namespace" else name for name in columns]


def test_bodies_are_read_back_as_they_were_written(metadefs: Metadefs) -> None:
    body = {
        "enum": [None, True, 1, 2.5, "ü\N{GRINNING FACE}", {"a": []}],
        "default": 2**70,
        "minimum": -1e300,
    }
    namespace = make(metadefs, "NS", DefinitionDraft(Kind.PROPERTY, "p", body))
    found: Definition = metadefs.find(namespace, Kind.PROPERTY, "p")
    assert found.body == body
