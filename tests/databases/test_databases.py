"""The service on PostgreSQL and MariaDB, where it does the same as on SQLite."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.engine import build_engine
from calotype.database.errors import SchemaMismatch
from calotype_metadefs import MIGRATIONS
from calotype_metadefs.database import Kind
from calotype_metadefs.verbs import DefinitionDraft, Metadefs, NamespaceDraft
from tests.conftest import StartServer
from tests.support.answers import Answer
from tests.support.rights import CALLERS
from tests.support.server import OCTETS, Server, meta

BOTH = ("postgresql", "mariadb")
BRANCHES = [migrate.CORE, MIGRATIONS]


@pytest.fixture
def served(database: str, start_server: StartServer) -> Server:
    return start_server({"sqlalchemy.url": database, "calotype.project_bytes": "100000"})


def differences(engine: Engine) -> list[object]:
    return [one for branch in BRANCHES for one in migrate.differences(engine, branch)]


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_migrations_agree_with_the_models(database: str) -> None:
    engine = build_engine(database)
    migrate.upgrade(engine, BRANCHES)

    assert differences(engine) == []
    engine.dispose()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_user_who_does_not_own_the_database_is_told_how_to_own_it(database: str) -> None:
    owner = build_engine(database)
    with owner.begin() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN PASSWORD 'hunter2'"))
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))  # as PostgreSQL 15 does
    url = owner.url.set(username="guest", password="hunter2")
    engine = build_engine(url)
    try:
        with pytest.raises(SchemaMismatch) as caught:
            migrate.upgrade(engine)
    finally:
        engine.dispose()
        with owner.begin() as connection:
            connection.execute(text("DROP ROLE guest"))
        owner.dispose()

    assert str(caught.value) == (
        f"the database {url.render_as_string()} cannot be used: permission denied for schema public: the "
        f"user of the URL must own the database: make it with `createdb -O guest {url.database}`, or run "
        f"ALTER DATABASE {url.database} OWNER TO guest"
    )


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_user_who_may_not_create_tables_is_told_which_right_is_missing(database: str) -> None:
    owner = build_engine(database)
    with owner.begin() as connection:
        connection.execute(text("CREATE USER guest IDENTIFIED BY 'hunter2'"))
        connection.execute(text(f"GRANT SELECT ON {owner.url.database}.* TO guest"))
    engine = build_engine(owner.url.set(username="guest", password="hunter2"))
    try:
        with pytest.raises(SchemaMismatch) as caught:
            migrate.upgrade(engine)
    finally:
        engine.dispose()
        with owner.begin() as connection:
            connection.execute(text("DROP USER guest"))
        owner.dispose()

    assert "CREATE command denied to user" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).endswith(
        f": run GRANT ALL PRIVILEGES ON {owner.url.database}.* TO guest as an administrator of the "
        "database server"
    )


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_a_database_from_before_the_first_release_keeps_every_row(database: str) -> None:
    """The definitions of such a database belonged to the core, so they have no branch yet."""
    engine = build_engine(database)
    migrate.upgrade(engine, BRANCHES)
    metadefs = Metadefs(Database(engine))
    namespace = metadefs.create(
        NamespaceDraft("NS", contents=(DefinitionDraft(Kind.TAG, "old"),)), CALLERS["admin"]
    )
    migrate.downgrade(engine, "core_1")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0010'"))
        connection.execute(text("DROP TABLE alembic_version_metadefs"))

    migrate.upgrade(engine, BRANCHES)

    migrate.require_newest(engine, BRANCHES)
    assert differences(engine) == []
    assert metadefs.find(metadefs.definitions.namespace("NS"), Kind.TAG, "old").name == "old"
    assert metadefs.definitions.namespace("NS") == namespace
    engine.dispose()


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_an_interrupted_upgrade_can_be_repeated(database: str) -> None:
    engine = build_engine(database)
    migrate.upgrade(engine, BRANCHES)
    known = "SELECT count(*) FROM metadef_resource_types"
    with engine.begin() as connection:
        before = connection.scalar(text(known))
        identity = connection.scalar(text("SELECT id FROM registry_identity"))
        # The state that an interrupted upgrade leaves.
        connection.execute(text("DELETE FROM alembic_version"))
        connection.execute(text("DELETE FROM alembic_version_metadefs"))
        connection.execute(text("DROP TABLE audit"))
        connection.execute(text("DROP TABLE upload_parts"))
        connection.execute(text("ALTER TABLE upload_sessions DROP INDEX ix_upload_sessions_expiry"))
        connection.execute(text("ALTER TABLE jobs DROP INDEX ix_jobs_open"))
        connection.execute(text("ALTER TABLE images DROP INDEX ix_images_name"))
        connection.execute(text("DROP TABLE metadef_definitions"))
        connection.execute(text("DELETE FROM metadef_resource_types WHERE name = 'OS::Glance::Image'"))

    migrate.upgrade(engine, BRANCHES)

    assert differences(engine) == []
    with engine.connect() as connection:
        assert connection.scalar(text(known)) == before > 1
        assert connection.scalars(text("SELECT id FROM registry_identity")).all() == [identity]
    engine.dispose()


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_an_image_can_be_created_read_changed_and_deleted(served: Server) -> None:
    headers = meta(
        name="Käse \N{SNOWMAN} \N{GRINNING FACE}", is_public="True", property_a="1", property_b="ü"
    )
    encoded = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    made = served.post("/images", {**OCTETS, **encoded}, b"bytes of an image").json["image"]
    assert (made["status"], made["size"], made["name"]) == ("active", 17, headers["x-image-meta-name"])
    assert made["properties"] == {"a": "1", "b": "ü"}
    assert served.get(f"/images/{made['id']}").body == b"bytes of an image"

    changed = served.put(f"/images/{made['id']}", meta(property_a="2", name="new")).json["image"]

    assert changed["properties"] == {"a": "2", "b": "ü"}
    assert served.delete(f"/images/{made['id']}").status == 200
    assert served.get(f"/images/{made['id']}").status == 404
    assert served.post("/images", meta(id=made["id"])).status == 409
    verbs, path = [], f"/v2/audit?image={made['id']}&since=2020-01-01T00:00:00Z&project=default&limit=3"
    while path:
        page = served.get(path).json
        verbs += [record["verb"] for record in page["audit"]]
        path = page.get("next")
    assert verbs == ["delete", "update", "upload", "create"]


@pytest.mark.parametrize("database", ["sqlite", *BOTH], indirect=True)
def test_the_stores_that_hold_images_are_found_by_their_names(database: str, served: Server) -> None:
    names = ["a", "a-b", "a2", "a_b", "ab", "empty"]
    engine = build_engine(database)
    images = [served.upload(b"bytes")["id"] for _ in names]
    with engine.begin() as connection:
        for name, image in zip(names, images, strict=True):
            moved = text("UPDATE image_locations SET store = :name, state = :state WHERE image_id = :image")
            state = "doomed" if name == "empty" else "stored"
            connection.execute(moved, {"name": name, "state": state, "image": image})
    assert Database(engine).stores_with_images() == sorted(names[:-1])
    engine.dispose()


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_a_property_has_64_kib_in_every_database(served: Server) -> None:
    """r1-G2: MariaDB's TEXT holds one byte less."""
    properties = {"a": "v" * 65_536, "b": "\N{SNOWMAN}" * 21_845}
    json_type = {"Content-Type": "application/json"}
    made = served.post("/v2/images", json_type, json.dumps(properties).encode())
    assert made.status == 201
    shown = served.get(f"/v2/images/{made.json['id']}").json
    assert {name: shown[name] == value for name, value in properties.items()} == {"a": True, "b": True}


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_sizes_have_64_bits_and_times_have_microseconds(served: Server) -> None:
    made = served.post("/images", meta(size=str(2**40))).json["image"]

    assert made["size"] == 2**40
    shown = served.head(f"/images/{made['id']}").headers
    assert shown["x-image-meta-created_at"] == made["created_at"]


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_pages_by_a_key_that_may_be_null_show_each_image_once(served: Server) -> None:
    for number in range(9):
        named = meta(name=f"n{number % 2}") if number % 3 else {}
        assert served.post("/images", {**named, **meta(is_public="True")}).status == 200
    seen: list[str] = []
    path = "/v1/images?sort_key=name&sort_dir=asc&limit=2"
    marker = ""
    while True:
        page = served.get(path + marker).json["images"]
        if not page:
            break
        seen += [image["id"] for image in page]
        marker = f"&marker={seen[-1]}"

    assert len(seen) == len(set(seen)) == 9
    followed: list[str] = []
    while path:
        page = served.get(path).json
        followed += [image["id"] for image in page["images"]]
        path = page.get("next", "")
    assert followed == seen


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_one_of_eight_concurrent_uploads_to_an_image_succeeds(served: Server) -> None:
    image_id = served.post("/images").json["image"]["id"]

    with ThreadPoolExecutor(8) as pool:
        bodies = [bytes([number]) * 5000 for number in range(8)]
        answers = list(pool.map(lambda body: served.put(f"/images/{image_id}", OCTETS, body), bodies))

    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    winner = next(i for i, answer in enumerate(answers) if answer.status == 200)
    assert served.get(f"/images/{image_id}").body == bodies[winner]


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_a_projects_bytes_are_never_exceeded(served: Server) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: served.post("/images", OCTETS, bytes(9000)), range(20)))

    assert sorted({answer.status for answer in answers}) == [200, 413]
    assert sum(answer.status == 200 for answer in answers) == 11  # of 9,000 bytes, below 100,000


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_filters_match_exactly_and_accept_any_value(served: Server) -> None:
    image_id = served.reserve(name="My Image", is_public="True", min_ram="5")["id"]

    def listed(path: str) -> list[str]:
        return [image["id"] for image in served.get(path).json["images"]]

    for dialect in ("/v1/images/detail", "/v2/images"):
        assert listed(f"{dialect}?name=My%20Image") == [image_id]
        assert listed(f"{dialect}?min_ram=5") == [image_id]
        for nothing in (
            "name=%00",
            "name=my%20image",
            "name=My%20Image%20",
            "name=%F0%9F%98%80",
            "min_ram=99999999999",
        ):
            assert listed(f"{dialect}?{nothing}") == [], (dialect, nothing)
        assert listed(f"{dialect}?sort_key=name&limit=1&marker={image_id}") == []


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_names_of_properties_are_case_sensitive(served: Server) -> None:
    document = b'{"name": "cases", "Key": "1", "key": "2"}'
    made = served.post("/v2/images", {"Content-Type": "application/json"}, document)
    assert (made.status, made.json["Key"], made.json["key"]) == (201, "1", "2")


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_definitions_are_kept_renamed_listed_and_removed(served: Server) -> None:
    json_type = {"Content-Type": "application/json"}
    root = "/v2/metadefs/namespaces"

    def send(method: str, path: str, **document: object) -> Answer:
        body = json.dumps(document).encode() if document else None
        return served.request(method, path, json_type if document else {}, body)

    body = {"title": "T", "type": "number", "enum": [None, 2**70, -1e300, "\N{GRINNING FACE}", {"k": [True]}]}
    contents = {"tags": [{"name": name} for name in ("a", "A", "a ")], "properties": {"p": body}}
    association = {"name": "My::Type", "prefix": "m:"}
    made = send(
        "POST", root, namespace="Käse", **contents, resource_type_associations=[association], protected=False
    )
    assert made.status == 201, made.text
    assert made.json["properties"] == {"p": body}
    assert send("POST", root, namespace="käse").status == 201
    assert send("POST", root, namespace="Käse").status == 409
    there = f"{root}/K%C3%A4se"
    assert sorted(tag["name"] for tag in send("GET", f"{there}/tags").json["tags"]) == ["A", "a", "a "]
    assert send("POST", f"{there}/tags/a").status == 409
    assert send("POST", f"{there}/objects", name="o", description="x" * 100_000).status == 201
    assert send("PUT", f"{there}/objects/o", name="O", description="\n").json["description"] == "\n"
    assert send("GET", f"{there}/objects/o").status == 404
    assert send("PUT", there, namespace="Other", visibility="public").json["namespace"] == "Other"
    assert send("PUT", f"{root}/Other", namespace="käse").status == 409

    for query, found in (
        ("sort_key=namespace&limit=1", ["käse"]),
        ("sort_key=created_at&sort_dir=asc&limit=5", ["Other", "käse"]),
        ("sort_key=namespace&sort_dir=asc&marker=Other", ["käse"]),
        ("resource_types=My::Type,x", ["Other"]),
        ("visibility=private", ["käse"]),
    ):
        listed = send("GET", f"{root}?{query}").json["namespaces"]
        assert [one["namespace"] for one in listed] == found, query
    assert send("GET", f"{root}/a%00b").status == 404
    assert send("GET", f"{root}/Other/tags/%00").status == 404
    with ThreadPoolExecutor(8) as pool:
        path = f"{root}/Other/resource_types"
        answers = list(pool.map(lambda _: send("POST", path, name="New::Type").status, range(8)))
    assert sorted(answers) == [201, *[409] * 7]

    assert send("DELETE", f"{root}/Other").status == 204
    types = [one["name"] for one in send("GET", "/v2/metadefs/resource_types").json["resource_types"]]
    assert {"My::Type", "New::Type", "OS::Glance::Image"} <= set(types)
