"""GET /images and GET /images/detail."""

from __future__ import annotations

import re

import pytest

from tests.support.server import Server

BOTH = pytest.mark.parametrize("path", ["/images", "/images/detail"])


def ids(server: Server, path: str = "/images?limit=1000") -> list[str]:
    return [image["id"] for image in server.get(path).json["images"]]


def test_check_9_an_empty_server_lists_nothing(fresh_server: Server) -> None:
    for path in ("/images", "/images/detail", "/images/", "/images/detail/"):
        answer = fresh_server.get(path)
        assert (answer.status, answer.json) == (200, {"images": []}), path


def test_check_14_a_brief_entry_has_four_keys(server: Server) -> None:
    image_id = server.upload(b"four", name="brief", type="raw", is_public="True")["id"]
    entry = next(i for i in server.get("/images?limit=1000").json["images"] if i["id"] == image_id)
    assert entry == {"id": image_id, "name": "brief", "type": "raw", "size": 4}


def test_check_14_a_private_image_is_not_listed_but_can_be_read(server: Server) -> None:
    image_id = server.reserve(name="private")["id"]
    assert image_id not in ids(server)
    assert server.head(f"/images/{image_id}").status == 200


@pytest.mark.parametrize("word", ["True", "true", "on", "1", "ON"])
def test_check_15_a_word_for_true_makes_an_image_public(server: Server, word: str) -> None:
    image = server.reserve(is_public=word)
    assert image["is_public"] is True
    assert image["id"] in ids(server)


@pytest.mark.parametrize("word", ["False", "false", "0", "off", "None", "junk", ""])
def test_check_15_any_word_that_does_not_mean_true_leaves_an_image_private(server: Server, word: str) -> None:
    image = server.reserve(is_public=word)
    assert image["is_public"] is False
    assert image["id"] not in ids(server)


def test_check_16_a_detailed_entry_is_the_whole_record(server: Server) -> None:
    image = server.upload(b"detail", name="detailed", is_public="True", property_os="linux")
    entry = next(i for i in server.get("/images/detail?limit=1000").json["images"] if i["id"] == image["id"])
    assert entry == image
    assert entry["status"] == "active"
    assert entry["is_public"] is True
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", entry["created_at"])
    assert entry["deleted_at"] is None
    assert entry["deleted"] is False
    assert entry["properties"] == {"os": "linux"}
    assert "location" not in entry


def test_a_public_image_is_listed_whatever_its_status(server: Server) -> None:
    queued = server.reserve(is_public="True")["id"]
    killed = server.reserve(is_public="True", size="5")["id"]
    server.put(f"/images/{killed}", {"Content-Type": "application/octet-stream"}, b"four")
    assert server.head(f"/images/{killed}").meta["status"] == "killed"
    assert {queued, killed} <= set(ids(server))


@BOTH
def test_each_page_of_a_list_links_to_the_next_one(fresh_server: Server, path: str) -> None:
    made = [fresh_server.reserve(name=str(number), is_public="True")["id"] for number in range(5)]
    seen, page = [], f"{path}?limit=2"
    lengths = []
    while page:
        document = fresh_server.get(page).json
        seen += [image["id"] for image in document["images"]]
        lengths.append(len(document["images"]))
        page = document.get("next")
    assert seen == made
    assert lengths == [2, 2, 1]


def test_a_marker_selects_the_images_after_it(fresh_server: Server) -> None:
    made = [fresh_server.reserve(is_public="True")["id"] for _ in range(3)]
    assert ids(fresh_server, f"/images?marker={made[0]}") == made[1:]
    assert ids(fresh_server, f"/images?marker={made[0].upper()}") == made[1:]
    assert ids(fresh_server, f"/images?marker={made[-1]}") == []


def test_a_page_has_at_most_list_limit_images(start_server) -> None:
    server = start_server({"calotype.list_limit": "2"})
    made = [server.reserve(is_public="True")["id"] for _ in range(3)]
    for path in ("/images", "/images?limit=1000"):
        page = server.get(path).json
        assert [image["id"] for image in page["images"]] == made[:2]
        assert ids(server, page["next"]) == made[2:]


def test_a_limit_of_zero_lists_nothing_and_has_no_next(server: Server) -> None:
    server.reserve(is_public="True")
    assert server.get("/images?limit=0").json == {"images": []}


@BOTH
@pytest.mark.parametrize(
    "query",
    [
        "limit=abc",
        "limit=-1",
        "limit=",
        "limit=1.5",
        "limit=%D9%A3",
        "limit=" + "9" * 5000,
        "marker=zz",
        "marker=",
        "marker=00000000-0000-0000-0000-000000000000",
        "marker=%ff",
    ],
)
def test_an_invalid_limit_or_marker_is_400(server: Server, path: str, query: str) -> None:
    answer = server.get(f"{path}?{query}")
    assert answer.status == 400
    assert answer.headers.get_content_type() == "text/plain"


def test_an_unknown_parameter_of_the_classic_list_is_ignored(server: Server) -> None:
    assert server.get("/images?colour=blue&is_public=False&sort_key=name").status == 200


def test_one_image_with_an_odd_name_never_breaks_a_listing(server: Server) -> None:
    name = "日本 🪦 \u202eodd"
    image_id = server.request(
        "POST", "/images", {"x-image-meta-name": name.encode(), "x-image-meta-is_public": "True"}
    ).image["id"]
    listed = {image["id"]: image["name"] for image in server.get("/images?limit=1000").json["images"]}
    assert listed[image_id] == name
