"""The log has one access line for each request, each error once, and no secret or location."""

from __future__ import annotations

import re

import pytest

from tests.conftest import StartServer
from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta

CANARY = "canary-5f2c9e"
ACCESS = re.compile(
    r"INFO calotype\.access id=(?P<id>req-[0-9a-f-]{36}) addr=127\.0\.0\.1 user=(?P<user>\S+) "
    r'project=(?P<project>\S+) method=(?P<method>\S+) path="(?P<path>[^"]*)" status=(?P<status>\d{3}) '
    r"in=(?P<in>\d+) out=(?P<out>\d+) ms=(?P<ms>\d+\.\d)"
)


def access_line(server: Server, answer: Answer) -> re.Match[str]:
    """Return the only access line of a request."""
    lines = [line for line in server.log_lines(request_id(answer)) if "calotype.access" in line]
    assert len(lines) == 1
    match = ACCESS.search(lines[0])
    assert match, lines[0]
    return match


def request_id(answer: Answer) -> str:
    return answer.headers["x-openstack-request-id"]


def test_each_request_has_one_access_line_with_id_status_bytes_and_time(server: Server) -> None:
    uploaded = server.post("/images", OCTETS, b"eleven byte")
    path = f"/images/{uploaded.image['id']}"
    line = access_line(server, uploaded)
    assert (line["method"], line["path"], line["status"]) == ("POST", "/images", "200")
    assert (line["in"], line["out"]) == ("11", str(len(uploaded.body)))
    line = access_line(server, server.get(path))
    assert (line["method"], line["path"], line["status"], line["out"]) == ("GET", path, "200", "11")
    line = access_line(server, server.get(path, {"Range": "bytes=0-3"}))
    assert (line["status"], line["out"]) == ("206", "4")
    line = access_line(server, server.head(path))
    assert (line["method"], line["out"]) == ("HEAD", "0")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", "404"), ("PUT", "/images", "405"), ("GET", "/images?limit=x", "400")],
)
def test_a_refused_request_has_an_access_line_and_no_error(
    server: Server, method: str, path: str, status: str
) -> None:
    answer = server.request(method, path)
    assert access_line(server, answer)["status"] == status
    assert len(server.log_lines(request_id(answer))) == 1


def test_an_error_is_logged_once_with_the_requests_id(start_server: StartServer) -> None:
    server = start_server()
    image_id = server.upload(b"bytes")["id"]
    images = server.data_dir / "images"
    images.rename(images.with_name("aside"))
    answer = server.get(f"/images/{image_id}")
    assert answer.status == 503
    errors = [line for line in server.log_lines(request_id(answer)) if " ERROR " in line]
    assert len(errors) == 1
    assert "its directory does not exist: is its disk mounted?" in errors[0]
    assert "Traceback" not in server.log
    assert access_line(server, answer)["status"] == "503"


def test_tokens_that_cannot_be_read_are_logged_in_one_line_that_names_the_file(
    start_server: StartServer,
) -> None:
    server = start_server({"calotype.identity": "tokens"})
    tokens = server.data_dir / "tokens.json"
    tokens.write_text("{")
    answer = server.get("/images", {"X-Auth-Token": f"{'a' * 12}.{'b' * 43}"})
    assert answer.status == 503
    assert str(tokens) not in answer.text
    (error,) = [line for line in server.log_lines(request_id(answer)) if " ERROR " in line]
    assert f"the file of tokens {tokens} is damaged" in error
    assert "Traceback" not in server.log


def test_a_fault_of_ours_is_500_in_one_sentence_and_a_traceback_in_the_log(
    start_server: StartServer,
) -> None:
    server = start_server()
    image_id = server.reserve()["id"]
    server.execute("UPDATE images SET status = 'no such status' WHERE id = ?", image_id)
    answer = server.head(f"/images/{image_id}")
    assert answer.status == 500
    got = server.get(f"/images/{image_id}")
    assert got.status == 500
    assert "no such status" not in got.text
    assert "Traceback" not in got.text
    lines = server.log_lines(request_id(got))
    assert len([line for line in lines if " ERROR " in line]) == 1
    assert server.log.count("Traceback") == 2  # one for each of the two requests


def test_neither_the_log_nor_the_responses_contain_locations_or_secrets(start_server: StartServer) -> None:
    """The whole log is searched, at the level DEBUG."""
    server = start_server(
        {
            "store.s3.bucket": "images",
            "store.s3.endpoint_url": "http://127.0.0.1:9",
            "store.s3.access_key": "someone",
            "store.s3.secret_key": CANARY,
            "store.s3.retries": "0",
        }
    )
    server.stop()
    server.ini.write_text(re.sub(r"level = (WARNING|INFO)", "level = DEBUG", server.ini.read_text()))
    server.start()
    stored = server.post("/images", {**OCTETS, "X-Auth-Token": CANARY, "Cookie": f"a={CANARY}"}, b"bytes")
    path = f"/images/{stored.image['id']}"
    (blob,) = server.blobs()
    answers = [
        stored,
        server.get(f"{path}?token={CANARY}"),
        server.head(path),
        server.post("/images", {**OCTETS, **meta(store="s3")}, b"bytes"),
        server.post("/images", meta(location=f"http://user:{CANARY}@example.org/disk?sig={CANARY}")),
        server.post("/images", meta(store=CANARY.upper())),
        server.get("/images/detail"),
    ]
    assert answers[3].status in (502, 503)
    for answer in answers:
        everything = str(answer.headers) + answer.text
        for secret in (CANARY, blob.name, str(server.data_dir), "127.0.0.1:9"):
            assert secret not in everything
    server.delete(path)
    server.log_lines(request_id(answers[-1]))
    assert " DEBUG " in server.log
    assert CANARY not in server.log
    assert blob.name not in server.log
