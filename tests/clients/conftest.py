"""The clients, and a server for each identity method."""

from __future__ import annotations

from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path

import pytest

from tests.clients.clients import HERE, Clients, environment
from tests.servers.identity import Admin
from tests.support.server import Server, write_ini
from tests.support.v2 import start, stores
from tests.support.web import Web

#: Clients take seconds to start, and Keystone longer: two of the modes run with `make campaigns`.
MODES = ("none", *(pytest.param(mode, marks=pytest.mark.campaign) for mode in ("tokens", "keystone")))


@pytest.fixture(scope="session")
def client_bin() -> Path:
    """The folder with the installed clients."""
    return environment("clients", HERE / "requirements.txt")


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web server from which images are imported."""
    with Web(folder=tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture(scope="session")
def three_stores(web: Web) -> dict[str, str]:
    """Settings of two file stores, and of a store that reads from the web server."""
    return stores(web)


def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def without_identities(
    tmp_path_factory: pytest.TempPathFactory, client_bin: Path, three_stores: dict[str, str]
) -> Iterator[Clients]:
    """Clients of a server without authentication, which need only an endpoint."""
    folder = tmp_path_factory.mktemp("none")
    server = Server(folder, write_ini(folder, three_stores))
    yield Clients(
        server,
        client_bin,
        _home(tmp_path_factory),
        {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": server.base},
        {"OS_IMAGE_URL": server.base, "OS_AUTH_TOKEN": "notused"},
    )
    server.stop()


@pytest.fixture(scope="module")
def with_tokens(tmp_path_factory: pytest.TempPathFactory, client_bin: Path) -> Iterator[Clients]:
    """Clients of a server with static tokens, which need an endpoint and a token."""
    with Web(folder=tmp_path_factory.mktemp("web")) as web:
        people = start(tmp_path_factory.mktemp("tokens"), web)
        server, token = people.server, people.u1.token
        yield Clients(
            server,
            client_bin,
            _home(tmp_path_factory),
            {"OS_AUTH_TYPE": "admin_token", "OS_ENDPOINT": f"{server.base}/v2", "OS_TOKEN": token},
            {"OS_IMAGE_URL": server.base, "OS_AUTH_TOKEN": token},
        )
        server.stop()


def write_keystone_ini(folder: Path, app: dict[str, str], keystone: dict[str, str]) -> Path:
    """Write an ini file with keystonemiddleware in front of the service, as docs/clients.md shows it."""
    ini = RawConfigParser()
    ini.optionxform = str
    ini.read(write_ini(folder, {**app, "calotype.identity": "keystone"}))
    ini["app:calotype"] = dict(ini["app:main"])
    ini.remove_section("app:main")
    ini["pipeline:main"] = {"pipeline": "authtoken calotype"}
    ini["filter:authtoken"] = {
        "paste.filter_factory": "keystonemiddleware.auth_token:filter_factory",
        "delay_auth_decision": "true",
        "www_authenticate_uri": keystone["KEYSTONE_URL"],
        "auth_url": keystone["KEYSTONE_URL"],
        "auth_type": "password",
        "username": "service",
        "password": keystone["KEYSTONE_PASSWORD"],
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
        "service_token_roles_required": "true",
    }
    path = folder / "keystone.ini"
    with path.open("w") as file:
        ini.write(file)
    return path


@pytest.fixture(scope="module")
def with_keystone(
    tmp_path_factory: pytest.TempPathFactory,
    client_bin: Path,
    three_stores: dict[str, str],
    keystone: dict[str, str],
) -> Iterator[Clients]:
    """Clients of a server behind keystonemiddleware, which get endpoint and token from Keystone."""
    folder = tmp_path_factory.mktemp("keystone")
    server = Server(folder, write_keystone_ini(folder, three_stores, keystone))
    admin = Admin(keystone["KEYSTONE_URL"], keystone["KEYSTONE_PASSWORD"])
    admin.endpoint("glance", "image", server.base, keystone["KEYSTONE_REGION"])
    env = {
        "OS_AUTH_URL": keystone["KEYSTONE_URL"],
        "OS_USERNAME": "member",
        "OS_PASSWORD": keystone["KEYSTONE_PASSWORD"],
        "OS_PROJECT_NAME": "demo",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": keystone["KEYSTONE_REGION"],
        "OS_IDENTITY_API_VERSION": "3",
    }
    yield Clients(server, client_bin, _home(tmp_path_factory), env, env)
    server.stop()


@pytest.fixture(params=MODES)
def clients(request: pytest.FixtureRequest) -> Clients:
    """The clients, with each identity method."""
    names = {"none": "without_identities", "tokens": "with_tokens", "keystone": "with_keystone"}
    return request.getfixturevalue(names[request.param])
