"""Callers with tokens, their server, and the secrets that may appear in no response and no log."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from calotype.identity.token_file import TokenFile
from tests.support.answers import Answer
from tests.support.callers import Body, Caller, Headers
from tests.support.server import OCTETS, Server, meta, write_ini

#: Secrets in the configuration of the guarded server, which may appear in no response and no log.
SECRETS = ("CANARY-access-7f3a", "CANARY-secret-7f3a", "CANARY-variable-7f3a")
#: The access key of the S3 client. Each of its requests contains it, and so does the DEBUG log.
ACCESS_KEY = SECRETS[0]
#: Text that may appear in the log, but in no response: where stores and blobs are.
PLACES = ("canary-host-7f3a", "/images/", "Traceback", "sqlite", "SELECT ")

#: The user, project and roles of each caller.
PEOPLE = {
    "admin": ("root", "ops", ("admin",)),
    "attacker": ("mallory", "A", ("member",)),
    "victim": ("alice", "V", ("member",)),
    "reader": ("ray", "A", ("reader",)),
    "friend": ("frank", "F", ("member",)),
}


@dataclass(frozen=True)
class Person(Caller):
    """A caller with or without a token. Every response is searched for secrets."""

    server: Server
    project: str | None
    token: str | None
    secrets: tuple[str, ...] = SECRETS

    def ask(
        self,
        method: str,
        path: str,
        headers: Headers | None = None,
        body: Body | None = None,
    ) -> Answer:
        """Send a request with this caller's token."""
        answer = self.request_as(method, path, headers, body)
        check_answer(answer, self.secrets)
        return answer

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a GET request."""
        return self.ask("GET", path, headers)

    def delete(self, path: str) -> Answer:
        """Send a DELETE request."""
        return self.ask("DELETE", path)

    def reserve(self, **fields: str) -> dict:
        """Reserve an image by v1 and return its record."""
        answer = self.ask("POST", "/v1/images", meta(**fields))
        assert answer.status == 201, answer.text
        return answer.json["image"]

    def upload(self, body: bytes | Iterable[bytes], **fields: str) -> dict:
        """Store a raw image by v1, unless the fields have another format, and return its record."""
        answer = self.try_upload(body, **fields)
        assert answer.status == 201, answer.text
        return answer.json["image"]

    def try_upload(self, body: bytes | Iterable[bytes], **fields: str) -> Answer:
        """Send a request that stores an image by v1, and return the response."""
        formats = {"disk_format": "raw", "container_format": "bare"}
        return self.ask("POST", "/v1/images", {**OCTETS, **meta(**{**formats, **fields})}, body)

    def listed(self, query: str = "", path: str = "/v1/images/detail") -> set[str]:
        """Return the ids in one page of a list."""
        answer = self.get(f"{path}?{query}")
        assert answer.status in (200, 400), answer.text
        return {image["id"] for image in answer.json.get("images", [])}


def check_answer(answer: Answer, secrets: Iterable[str]) -> None:
    """Fail if a response contains a secret or a location."""
    told = str(answer.headers).encode() + answer.body[:65536]
    for text in (*secrets, *PLACES):
        own = text == "/images/" and re.search(rb'(/v[12][.0-9]*|/console|"|\s)/images/', told)
        assert own or text.encode() not in told, (text, told[:500])
    assert not answer.meta.keys() & {"location", "location_data", "locations", "direct_url"}


class Guarded:
    """A server with static tokens whose configuration is full of secrets, and its callers."""

    def __init__(
        self,
        folder: Path,
        app: Mapping[str, str] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        level: str = "DEBUG",
    ):
        settings = {
            "calotype.identity": "tokens",
            "calotype.stores": "file vault",
            "store.vault.driver": "s3",
            "store.vault.bucket": "images",
            "store.vault.endpoint_url": "http://canary-host-7f3a.invalid",
            "store.vault.access_key": SECRETS[0],
            "store.vault.secret_key": SECRETS[1],
            "store.vault.retries": "0",
            **(app or {}),
        }
        ini = write_ini(folder, settings)
        ini.write_text(ini.read_text().replace("level = WARNING", f"level = {level}"))
        self.tokens = TokenFile(folder / "data" / "tokens.json")
        texts = {name: self.tokens.add(*person) for name, person in PEOPLE.items()}
        self.secrets = (*SECRETS, *(text.partition(".")[2] for text in texts.values()))
        self.server = Server(folder, ini, env={"CANARY": SECRETS[2], **(env or {})})
        for name, text in texts.items():
            setattr(self, name, Person(self.server, PEOPLE[name][1], text, self.secrets))
        self.anonymous = Person(self.server, None, None, self.secrets)

    admin: Person
    attacker: Person
    victim: Person
    reader: Person
    friend: Person

    def stop(self) -> None:
        """End the server, and fail if its log contains a secret."""
        self.server.stop()
        log = self.server.log
        assert [secret for secret in self.secrets if secret in log and secret != ACCESS_KEY] == []
