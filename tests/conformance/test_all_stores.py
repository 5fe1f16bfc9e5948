"""One server with all four kinds of stores, file, S3, Swift and the web, and with stores that fail.

S3 and Swift are two APIs of one real Swift; the web server is nginx.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import boto3
import pytest
import swiftclient

from calotype.stores import Store
from calotype.stores.options import read_options
from calotype_store_s3 import S3Options, S3Store
from calotype_store_swift import SwiftOptions, SwiftStore
from tests.servers.common import free_ports
from tests.support.forked import run_pserve
from tests.support.server import OCTETS, Server, meta, write_ini

BYTES = bytes(range(256)) * 30_000  # more than one part, and more than one segment
WRITABLE = ("near", "s3", "swift")
CANARY = "canary-3e8d71"
S3 = {"part_size": "5MiB", "multipart_threshold": "5MiB", "memory": "10MiB", "retries": "1"}
SWIFT = {"auth_version": "1", "segment_size": "1048576", "upload_memory": "4194304", "retries": "1"}
#: Stores that fail, by name: the options in which each differs from a working one, and a part of the message.
#: Their places exist when the server starts, and are removed then.
BROKEN = {
    "s3-place": ({"bucket": "gone-{place}", "create": "true"}, "bucket"),
    "s3-away": ({"endpoint_url": "http://127.0.0.1:{closed}"}, "connected to"),
    "s3-name": ({"endpoint_url": "http://store.invalid"}, "connected to"),
    "swift-place": ({"container": "gone-swift-{place}", "create": "true"}, "container"),
    "swift-away": ({"auth_url": "http://127.0.0.1:{closed}/auth/v1.0"}, "reached"),
    "swift-name": ({"auth_url": "http://store.invalid/auth/v1.0"}, "reached"),
}
#: The same for stores with which no server starts.
WRONG = {
    "s3-place": ({"bucket": "missing"}, "bucket"),
    "s3-key": ({"secret_key": CANARY}, "credentials"),
    "swift-place": ({"container": "missing"}, "container"),
    "swift-key": ({"key": CANARY}, "credentials"),
}


@pytest.fixture(scope="module")
def options(swift: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The options of a store that works, by the driver, in a place that no other run has marked."""
    place = uuid.uuid4().hex
    return {
        "s3": {
            "endpoint_url": swift["S3_ENDPOINT"],
            "region": swift["S3_REGION"],
            "access_key": swift["S3_ACCESS_KEY"],
            "secret_key": swift["S3_SECRET_KEY"],
            "bucket": f"all-stores-s3-{place}",
            **S3,
        },
        "swift": {
            "auth_url": swift["SWIFT_AUTH_URL"],
            "user": swift["SWIFT_USER"],
            "key": swift["SWIFT_KEY"],
            "container": f"all-stores-{place}",
            **SWIFT,
        },
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that nginx serves."""
    return tmp_path_factory.mktemp("source")


@pytest.fixture(scope="module")
def web(nginx: Callable[..., Mapping[str, str]], source: Path) -> str:
    """The URL of the folder that nginx serves."""
    return f"{nginx('http://127.0.0.1:9', source)['NGINX_URL']}/static"


@pytest.fixture(scope="module")
def server(
    options: dict[str, dict[str, str]], web: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with all stores, those that work and those that fail, and every logger at DEBUG."""
    folder = tmp_path_factory.mktemp("all-stores")
    port, closed = web.split("/")[2].partition(":")[2], str(free_ports(1)[0])
    place = uuid.uuid4().hex
    stores = {
        "near": {"driver": "file", "path": "${data_dir}/near", "create": "true"},
        "s3": {**options["s3"], "create": "true"},
        "swift": {**options["swift"], "create": "true"},
        "web": {"driver": "http", "allowed_networks": "127.0.0.1/32", "ports": port, "retries": "0"},
    }
    for name, (other, _) in BROKEN.items():
        driver = name.partition("-")[0]
        changed = {option: value.format(closed=closed, place=place) for option, value in other.items()}
        stores[name] = {"driver": driver, **options[driver], **changed}
    settings = {
        "calotype.stores": " ".join(stores),
        "calotype.default_store": "near",
        "store.file.path": "",
        "store.file.create": "",
        **{f"store.{name}.{key}": value for name, given in stores.items() for key, value in given.items()},
    }
    ini = write_ini(folder, settings)
    ini.write_text(re.sub(r"^level = .*$", "level = DEBUG", ini.read_text(), flags=re.M))
    running = Server(folder, ini)
    remove_bucket(options["s3"], f"gone-{place}")
    remove_container(options["swift"], f"gone-swift-{place}")
    yield running
    running.stop()


def remove_bucket(options: Mapping[str, str], name: str) -> None:
    """Remove a bucket and its objects."""
    keys = {"aws_access_key_id": options["access_key"], "aws_secret_access_key": options["secret_key"]}
    s3 = boto3.client("s3", endpoint_url=options["endpoint_url"], region_name=options["region"], **keys)
    for held in s3.list_objects_v2(Bucket=name)["Contents"]:
        s3.delete_object(Bucket=name, Key=held["Key"])
    s3.delete_bucket(Bucket=name)


def remove_container(options: Mapping[str, str], name: str) -> None:
    """Remove a container and its objects."""
    with closing(swiftclient.Connection(options["auth_url"], options["user"], options["key"])) as swift:
        for held in swift.get_container(name)[1]:
            swift.delete_object(name, held["name"])
        swift.delete_container(name)


@pytest.fixture
def backends(options: dict[str, dict[str, str]]) -> Iterator[dict[str, Store]]:
    """The S3 and the Swift store as another process opens them, to see their content."""
    opened = {
        "s3": S3Store("s3", read_options("s3", S3Options, options["s3"])),
        "swift": SwiftStore("swift", read_options("swift", SwiftOptions, options["swift"])),
    }
    yield opened
    for store in opened.values():
        store.close()


def bring(server: Server, store: str, source: Path, web: str) -> str:
    """Bring the bytes into a store, by upload or from the web, and return the image's id."""
    if store == "web":
        name = uuid.uuid4().hex
        (source / name).write_bytes(BYTES)
        image = server.post("/images", meta(location=f"{web}/{name}", is_public="True")).image
    else:
        fields = meta(store=store, is_public="True")
        image = server.post("/images", {**OCTETS, **fields}, BYTES).image
        assert image["checksum"] == hashlib.md5(BYTES).hexdigest()
    assert (image["status"], image["store"], image["size"]) == ("active", store, len(BYTES))
    return image["id"]


def keys_of(backend: Store, image_id: str) -> list[str]:
    """Return the locations and attempts in a backend that belong to an image."""
    return [found.location for found in (*backend.blobs(), *backend.attempts()) if image_id in found.location]


@pytest.mark.parametrize("store", [*WRITABLE, "web"])
def test_an_image_can_be_stored_read_in_part_and_deleted_in_every_store(
    server: Server, source: Path, web: str, store: str
) -> None:
    path = f"/images/{bring(server, store, source, web)}"
    got = server.get(path)
    assert (got.status, got.body == BYTES) == (200, True)
    assert got.headers["Content-Length"] == str(len(BYTES))
    for first, last in ((0, 0), (5_242_870, 5_242_889), (1_048_570, 3_145_740), (len(BYTES) - 1, len(BYTES))):
        part = server.get(path, {"Range": f"bytes={first}-{last}"})
        assert (part.status, part.body == BYTES[first : last + 1]) == (206, True)
    assert server.get(path, {"Range": f"bytes={len(BYTES)}-"}).status == 416
    assert server.delete(path).status == 200
    assert server.get(path).status == 404


@pytest.mark.parametrize("store", WRITABLE)
def test_an_image_of_unknown_length_can_be_stored_in_every_store(server: Server, store: str) -> None:
    blocks = (BYTES[at : at + 100_003] for at in range(0, len(BYTES), 100_003))
    image = server.post("/images", {**OCTETS, **meta(store=store)}, blocks).image
    assert (image["store"], image["size"]) == (store, len(BYTES))
    assert server.get(f"/images/{image['id']}").body == BYTES
    assert server.delete(f"/images/{image['id']}").status == 200


def test_the_list_shows_the_store_of_each_image_and_never_its_location(
    server: Server, source: Path, web: str
) -> None:
    made = {bring(server, store, source, web): store for store in (*WRITABLE, "web")}
    answer = server.get("/images/detail?limit=1000")
    assert {i["id"]: i["store"] for i in answer.json["images"] if i["id"] in made} == made
    for location in (web, "s3:", "swift:", "file:"):
        assert location not in answer.text
    for image_id in made:
        assert server.delete(f"/images/{image_id}").status == 200


@pytest.mark.parametrize("store", ["s3", "swift"])
def test_bytes_are_in_the_named_store_and_are_removed_with_the_image(
    server: Server, backends: dict[str, Store], source: Path, web: str, store: str
) -> None:
    image_id = bring(server, store, source, web)
    assert {name: len(keys_of(backend, image_id)) for name, backend in backends.items()} == {
        "s3": int(store == "s3"),
        "swift": int(store == "swift"),
    }
    assert server.delete(f"/images/{image_id}").status == 200
    assert [keys_of(backend, image_id) for backend in backends.values()] == [[], []]


def test_deleting_an_image_on_the_web_keeps_its_source(server: Server, source: Path, web: str) -> None:
    image_id = bring(server, "web", source, web)
    before = sorted(source.iterdir())
    assert server.delete(f"/images/{image_id}").status == 200
    assert sorted(source.iterdir()) == before


@pytest.mark.parametrize("store", ["s3", "swift"])
def test_a_client_that_disconnects_leaves_nothing_in_the_store(
    server: Server, backends: dict[str, Store], store: str
) -> None:
    image_id = str(uuid.uuid4())
    head = (
        f"POST /images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        f"x-image-meta-id: {image_id}\r\nx-image-meta-store: {store}\r\nContent-Length: {len(BYTES)}\r\n\r\n"
    )
    server.speak(head.encode() + BYTES[:6_000_000], hang_up=True, seconds=60)
    end = time.monotonic() + 60
    while server.head(f"/images/{image_id}").meta["status"] != "killed":
        assert time.monotonic() < end, "the server did not notice that the client was gone"
        time.sleep(0.05)
    assert keys_of(backends[store], image_id) == []


@pytest.mark.parametrize("store", BROKEN)
def test_a_failing_store_is_named_and_the_image_is_killed_with_the_reason(server: Server, store: str) -> None:
    image_id = str(uuid.uuid4())
    answer = server.post("/images", {**OCTETS, **meta(id=image_id, store=store)}, BYTES)
    assert answer.status == 503, answer.text
    assert f"store '{store}'" in answer.text
    assert BROKEN[store][1] in answer.text
    assert int(answer.headers["Retry-After"]) > 0
    told = server.head(f"/images/{image_id}").meta
    assert (told["status"], told["status_reason"]) == ("killed", answer.text)
    for inside in (CANARY, "127.0.0.1", "Traceback", "http://", ".invalid", image_id):
        assert inside not in answer.text
    assert server.upload(b"the other stores work")["store"] == "near"


@pytest.mark.parametrize("store", WRONG)
def test_a_misconfigured_store_stops_the_start_and_its_secrets_are_not_shown(
    options: dict[str, dict[str, str]], store: str, tmp_path: Path
) -> None:
    """r1-E2"""
    driver = store.partition("-")[0]
    given = {"driver": driver, **options[driver], **WRONG[store][0]}
    settings = {f"store.{store}.{key}": value for key, value in given.items()}
    ini = write_ini(tmp_path, {"calotype.stores": f"file {store}", **settings})
    ended = run_pserve([ini, f"data_dir={tmp_path}", "http_port=0"])

    assert ended.returncode == 1
    assert f"store '{store}'" in ended.stdout
    assert WRONG[store][1] in ended.stdout
    assert CANARY not in ended.stdout


def test_a_missing_source_is_reported_and_no_image_is_made(server: Server, web: str) -> None:
    answer = server.post("/images", meta(location=f"{web}/missing"))
    assert answer.status == 404
    assert "store 'web': the source at 127.0.0.1 answers 404" in answer.text
    assert "missing" not in answer.text


def test_the_log_has_no_secret_and_no_token_even_at_debug(server: Server, source: Path, web: str) -> None:
    for store in ("s3", "swift"):
        server.get(f"/images/{bring(server, store, source, web)}")
    (source / "signed").write_bytes(BYTES)
    signed = server.post("/images", meta(location=f"{web}/signed?signature={CANARY}")).image["id"]
    assert server.get(f"/images/{signed}").body == BYTES
    log = server.log
    assert "DEBUG" in log
    assert [line for line in log.splitlines() if CANARY in line] == []
    assert [line for line in log.splitlines() if "AUTH_tk" in line] == []
    assert [line for line in log.splitlines() if "'testing'" in line or "=testing" in line] == []
