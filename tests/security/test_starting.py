"""Configurations that start or are refused, and servers without tokens or with a damaged file of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from calotype.identity.token_file import TokenFile
from tests.conftest import StartServer
from tests.security.conftest import StartGuarded
from tests.security.people import Person
from tests.support.forked import run_manage
from tests.support.server import ROOT, Server, StartFailed, meta, write_ini
from tests.support.web import Web

PRODUCTION = (ROOT / "production.ini").read_text()


def prepare(folder: Path, text: str) -> tuple[Path, dict[str, str]]:
    """Write an ini file, and return it with an environment that has its database."""
    ini = folder / "production.ini"
    ini.write_text(text)
    (folder / "data").mkdir()
    env = {"CALOTYPE_DATABASE_URL": f"sqlite:///{folder}/data/calotype.sqlite"}
    for command in (["db", "upgrade", ini], ["stores", ini, "--create", "file"]):
        done = run_manage([*command, f"data_dir={folder}/data"], env)
        assert done.returncode == 0, done.stderr
    return ini, env


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "*"])
def test_identity_none_is_refused_on_a_public_address_in_one_sentence(tmp_path: Path, address: str) -> None:
    text = PRODUCTION.replace("identity = tokens", "identity = none").replace(
        "listen = 127.0.0.1:", f"listen = {address}:"
    )
    ini, env = prepare(tmp_path, text)
    with pytest.raises(StartFailed) as caught:
        Server(tmp_path, ini, tmp_path / "data", env)
    lines = str(caught.value).strip().splitlines()
    said = [line for line in lines if "identity" in line and " INFO " not in line]
    assert len(said) == 1
    assert "set calotype.identity to tokens or keystone" in said[0]
    assert not any("Traceback" in line for line in lines)


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Server]:
    """A server with production.ini as it ships, an empty database and no token."""
    ini, env = prepare(tmp_path, PRODUCTION)
    running = Server(tmp_path, ini, tmp_path / "data", env)
    yield running
    running.stop()


def test_r_17_production_ini_admits_nobody_until_a_token_exists(production: Server) -> None:
    for token in (None, "", "admin", "0" * 12 + "." + "x" * 43):
        nobody = Person(production, None, token)
        for path in ("/images", "/v1/images", "/v2/images"):
            assert nobody.get(path).status == 401
            assert nobody.ask("POST", path).status == 401
    assert production.get("/healthz").status == 200
    tokens = TokenFile(production.data_dir / "tokens.json")
    member = Person(production, "P", tokens.add("u", "P", ("member",)))
    assert member.get("/v1/images").status == 200


def test_a_damaged_file_of_tokens_is_503_for_everybody(production: Server) -> None:
    tokens = TokenFile(production.data_dir / "tokens.json")
    member = Person(production, "P", tokens.add("u", "P", ("member",)))
    whole = tokens.path.read_bytes()
    tokens.path.write_bytes(whole[:-9])
    for path in ("/images", "/v1/images", "/v2/images"):
        answer = member.get(path)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert str(tokens.path) not in answer.text
        assert Person(production, None, None).get(path).status == 401
    tokens.path.write_bytes(whole)
    assert member.get("/v1/images").status == 200


@pytest.mark.parametrize("sources", ["admin", "everyone"])
def test_g_38_g_48_the_operator_decides_who_may_name_external_sources(
    start_guarded: StartGuarded, sources: str
) -> None:
    """Egress refuses the source in any case: nothing is sent, and all ports get the same response."""
    with Web() as inside:
        settings = {
            "calotype.external_sources": sources,
            "calotype.stores": "file vault http",
            "store.http.ports": f"{inside.port} {inside.closed}",
        }
        guarded = start_guarded(settings, level="WARNING")
        urls = [f"http://127.0.0.1:{port}/x" for port in (inside.port, inside.closed)]
        for who, allowed in ((guarded.attacker, sources == "everyone"), (guarded.admin, True)):
            wanted = 400 if allowed else 403
            queued = who.reserve(disk_format="raw", container_format="bare")["id"]
            for ways in zip(*(ways_to_name(url, queued) for url in urls), strict=True):
                answers = [who.ask(*way) for way in ways]
                assert [answer.status for answer in answers] == [wanted] * 2, (ways, answers[0].text)
                assert answers[0].body == answers[1].body
            assert who.get(f"/v2/images/{queued}").json["status"] == "queued"
        assert inside.connections == 0


def ways_to_name(url: str, queued: str) -> list[tuple[str, str, dict[str, str], bytes | None]]:
    """Return the requests that name a source: method, path, headers and body. `queued` is a queued image."""
    formats = meta(disk_format="raw", container_format="bare")
    by_header: list[tuple[str, str, dict[str, str], bytes | None]] = [
        (method, path, {**formats, header: url}, None)
        for method, path, header in (
            ("POST", "/images", "x-image-meta-location"),
            ("PUT", f"/images/{queued}", "x-image-meta-location"),
            ("POST", "/v1/images", "x-image-meta-location"),
            ("PUT", f"/v1/images/{queued}", "x-image-meta-location"),
            ("POST", "/v1/images", "x-glance-api-copy-from"),
            ("PUT", f"/v1/images/{queued}", "x-glance-api-copy-from"),
        )
    ]
    body = b'{"method": {"name": "web-download", "uri": "%s"}}' % url.encode()
    return [*by_header, ("POST", f"/v2/images/{queued}/import", {"Content-Type": "application/json"}, body)]


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        ({}, "127.0.0.1"),
        ({"trusted_proxy": "192.0.2.77"}, "127.0.0.1"),
        ({"trusted_proxy": "127.0.0.1"}, "192.0.2.9"),
    ],
    ids=["none", "another", "ours"],
)
def test_w_10_forwarding_headers_are_believed_only_from_trusted_proxies(
    start_server: StartServer, trusted: dict[str, str], seen: str
) -> None:
    headers = {"trusted_proxy_headers": "x-forwarded-for"} if trusted else {}
    server = start_server({"calotype.identity": "tokens"}, {**trusted, **headers})
    answer = server.get("/images", {"X-Forwarded-For": "198.51.100.6, 192.0.2.9"})
    (line,) = server.log_lines(answer.headers["x-openstack-request-id"])
    assert f" addr={seen} " in line


def test_a_start_warns_of_secrets_and_databases_that_others_could_read_or_change(tmp_path: Path) -> None:
    """r1-C8: each file has a line, and its permissions stay unchanged."""
    tokens, database = tmp_path / "data" / "tokens.json", tmp_path / "data" / "calotype.sqlite"
    TokenFile(tokens).add("u", "P", ("member",))
    database.touch()
    for path in (tokens, database):
        path.chmod(0o666)
    server = Server(tmp_path, write_ini(tmp_path, {"calotype.identity": "tokens"}))
    server.stop()
    for path in (tokens, database):
        (line,) = [line for line in server.log.splitlines() if f" {path} can be" in line]
        assert " WARNING " in line
        assert path.stat().st_mode & 0o777 == 0o666
