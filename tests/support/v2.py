"""A client of Images v2, and a server with three stores and four callers with tokens."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.answers import Answer
from tests.support.callers import Caller, Tokens
from tests.support.server import Server, write_ini
from tests.support.waiting import wait_for
from tests.support.web import Web

V20 = "application/openstack-images-v2.0-json-patch"
V21 = "application/openstack-images-v2.1-json-patch"
OCTETS = "application/octet-stream"
RAW = {"disk_format": "raw", "container_format": "bare"}

#: The settings of two file stores, and of a third store that reads from the web.
STORES = {
    "calotype.stores": "fast cold web",
    "calotype.default_store": "fast",
    "store.file.path": "",
    "store.file.create": "",
    "store.fast.driver": "file",
    "store.fast.path": "${data_dir}/fast",
    "store.fast.create": "true",
    "store.cold.driver": "file",
    "store.cold.path": "${data_dir}/cold",
    "store.cold.create": "true",
    "store.web.driver": "http",
    "calotype.external_sources": "everyone",
    "store.web.retries": "0",
    "calotype.job_patience": "2",  # a job fails soon if its source cannot be reached
}

Body = bytes | Iterable[bytes] | None


@dataclass(frozen=True)
class Person(Caller):
    """A client of Images v2 with a token for a project. It checks that every error is a JSON document."""

    server: Server
    project: str
    token: str

    def ask(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request for a path below /v2, or for any path that begins with a version."""
        path = path if path.startswith("/v") else f"/v2{path}"
        answer = self.request_as(method, path, headers, body)
        if answer.status in (202, 204):
            assert answer.body == b""
        elif answer.status >= 400:
            error = answer.json["error"]
            assert error["code"] == answer.status
            assert error["message"]
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """Send a GET request; `Range="bytes=0-1"` adds a header."""
        return self.ask("GET", path, headers=headers)

    def delete(self, path: str) -> Answer:
        """Send a DELETE request."""
        return self.ask("DELETE", path)

    def send(self, method: str, path: str, document: Any, **headers: str) -> Answer:
        """Send a request with a JSON document."""
        given = {"Content-Type": "application/json", **headers}
        return self.ask(method, path, json.dumps(document).encode(), given)

    def create(self, /, **document: Any) -> Answer:
        """Send a POST request to /v2/images with this document."""
        return self.send("POST", "/images", document)

    def make(self, /, **document: Any) -> str:
        """Make a raw image and return its id."""
        answer = self.create(**{**RAW, **document})
        assert answer.status == 201, answer.text
        return answer.json["id"]

    def show(self, image_id: str) -> dict[str, Any]:
        """Return the image."""
        answer = self.get(f"/images/{image_id}")
        assert answer.status == 200, answer.text
        return answer.json

    def patch(self, image_id: str, *changes: Any, media_type: str = V21) -> Answer:
        """Send a PATCH request with these operations."""
        return self.ask(
            "PATCH", f"/images/{image_id}", json.dumps(changes).encode(), {"Content-Type": media_type}
        )

    def put(self, image_id: str, body: Body, *, part: str = "file", **headers: str) -> Answer:
        """Send a PUT request with bytes; `_` in a header's name stands for `-`."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.ask("PUT", f"/images/{image_id}/{part}", body, {"Content-Type": OCTETS, **named})

    def active(self, data: bytes = b"bytes of an image", **document: Any) -> str:
        """Make an active image and return its id."""
        image_id = self.make(**document)
        answer = self.put(image_id, data)
        assert answer.status == 204, answer.text
        return image_id

    def ids(self, query: str = "") -> list[str]:
        """Return the ids of the images on all pages of a list."""
        found, path = [], f"/images{query}"
        while path:
            answer = self.get(path)
            assert answer.status == 200, answer.text
            found += [image["id"] for image in answer.json["images"]]
            path = answer.json.get("next")
        return found

    def settled(self, image_id: str) -> dict[str, Any]:
        """Wait until no import is running, and return the image."""
        return wait_for(
            lambda: self.show(image_id), lambda image: "os_glance_import_task" not in image, pause=0.05
        )

    def done(self, image_id: str) -> dict[str, Any]:
        """Wait until no job of the image is waiting or running, and return the image."""
        wait_for(
            lambda: self.tasks(image_id),
            lambda tasks: all(one["status"] not in ("pending", "processing") for one in tasks),
            pause=0.05,
        )
        return self.show(image_id)

    def tasks(self, image_id: str) -> list[dict[str, Any]]:
        """Return the tasks of the image."""
        return self.get(f"/images/{image_id}/tasks").json["tasks"]


@dataclass(frozen=True)
class People:
    """Two members of different projects, a reader of the first project, and an administrator of a third."""

    server: Server
    u1: Person
    u2: Person
    r1: Person
    adm: Person


#: An id that no image has. It is constant, because it is part of the names of parametrized tests.
NOBODY = "00000000-0000-4000-8000-00000000dead"


def fresh() -> str:
    """Return a new UUID, for use as an id or a unique word."""
    return str(uuid.uuid4())


def op(op: str, path: str, *value: Any) -> dict[str, Any]:
    """Return one operation of a patch."""
    return {"op": op, "path": path, **({"value": value[0]} if value else {})}


def stores(web: Web) -> dict[str, str]:
    """Return the settings of the three stores. The third store may fetch from `web`."""
    return {
        **STORES,
        "store.web.ports": f"80 443 {web.port} {web.closed}",
        "store.web.allowed_networks": "127.0.0.1/32",
    }


def start(folder: Path, web: Web, **settings: str) -> People:
    """Start a server in the folder with four callers who have tokens."""
    who = {"u1": ("P1", "member"), "u2": ("P2", "member"), "r1": ("P1", "reader"), "adm": ("P0", "admin")}
    tokens = Tokens(folder)
    given = {name: tokens.add(name, project, (role,)) for name, (project, role) in who.items()}
    running = Server(folder, write_ini(folder, {**stores(web), **tokens.settings, **settings}))
    return People(running, **{name: Person(running, who[name][0], token) for name, token in given.items()})
