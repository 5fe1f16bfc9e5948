"""A server with tokens, and browsers without a screen, which keep the cookie and follow no link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest

from tests.support.answers import Answer
from tests.support.callers import Tokens
from tests.support.server import Server, write_ini

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Browser:
    """A person's browser. `own` are the headers that it adds to forms of the console's own pages."""

    server: Server
    token: str
    own: dict[str, str] = field(default_factory=lambda: {"Sec-Fetch-Site": "same-origin"})
    cookie: str = ""

    def sign_in(self, token: str | None = None) -> Answer:
        """Sign in, and keep the cookie."""
        answer = self.send("/console/sign-in", token=token or self.token)
        jar = SimpleCookie(answer.headers.get("Set-Cookie", ""))
        self.cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """Read a page."""
        return self.server.get(path, {"Cookie": self.cookie, **headers})

    def send(self, path: str, **fields: str) -> Answer:
        """Send a form."""
        headers = {"Cookie": self.cookie, **FORM, **self.own}
        return self.server.post(path, headers, urlencode(fields).encode())

    def upload(self, name: str, body: bytes = b"bytes", **more: str) -> str:
        """Upload an image through the API, and return its id."""
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/octet-stream"}
        fields = {"x-image-meta-name": name, "x-image-meta-type": "raw", **more}
        return str(self.server.post("/images", {**headers, **fields}, body).image["id"])

    def reserve(self, name: str, **fields: str) -> str:
        """Reserve an image by the form, and return its id."""
        answer = self.send("/console/images/new", name=name, **fields)
        assert answer.status == 303, answer.text
        return answer.headers["Location"].rpartition("/")[2]


@dataclass
class House:
    """The server, and its tokens."""

    server: Server
    tokens: Tokens

    def browser(self, user: str, project: str, *roles: str) -> Browser:
        """Return a browser that has signed in as a new person."""
        browser = Browser(self.server, self.tokens.add(user, project, roles or ("member",)))
        assert browser.sign_in().status == 303
        return browser


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("console")
    tokens = Tokens(folder)
    server = Server(folder, write_ini(folder, {**tokens.settings, "calotype.delete_grace": "3600"}))
    yield House(server, tokens)
    server.stop()


@pytest.fixture(scope="module")
def admin(house: House) -> Browser:
    return house.browser("ada", "atelier", "admin")


@pytest.fixture(scope="module")
def person(house: House) -> Browser:
    return house.browser("bob", "lab")
