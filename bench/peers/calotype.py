"""Calotype with calotype.ini, processes as in production.ini, and no access log."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from catalogue import populate
from figures import US
from testservers import common

from client import Client
from peers.peer import LISTED, Content, Peer, Refused
from server import PSERVE, change_ini

BIN = Path(sys.executable).parent


class Calotype(Peer):
    """Calotype with the classic dialect, in which one request creates an image with its bytes."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        name: str = US,
        server: Mapping[str, str] | None = None,
    ):
        """Create the peer. `settings` and `server` replace values in two sections of calotype.ini."""
        super().__init__(folder)
        self.name = name
        self._settings = settings or {}
        self._server = {"processes": "auto", **(server or {})}
        self._ini = folder / "calotype.ini"

    @property
    def data_dir(self) -> Path:
        """The folder of the database and the images."""
        return self.folder

    def prepare(self) -> None:
        changes = {
            "app:main": {"calotype.migrate": "false", **self._settings},
            "server:main": self.server_section(),
            "logger_calotype": {"level": "WARNING"},
            "logger_server": {"level": "WARNING"},
        }
        change_ini(self._ini, changes)
        common.call([BIN / "calotype-manage", "db", "upgrade", self._ini, *self._variables()])

    def server_section(self) -> Mapping[str, str]:
        """Return the changes to `[server:main]` of calotype.ini."""
        return self._server

    def spawn(self) -> None:
        # This environment has the drivers of other databases, because tests need them.
        pserve = BIN / "pserve" if "sqlalchemy.url" in self._settings else PSERVE
        self._spawn(pserve, self._ini, *self._variables())

    def _variables(self) -> list[str]:
        return [f"http_port={self.port}", f"data_dir={self.folder}"]

    def store(self, client: Client, content: Content) -> str:
        fields = {
            "Content_Type": "application/octet-stream",
            "x_image_meta_name": "bench",
            "x_image_meta_is_public": "true",
        }
        return json.loads(client.ask("POST", "/images", content.body, **fields).body)["image"]["id"]

    def show(self, client: Client, image_id: str) -> None:
        client.ask("HEAD", f"/images/{image_id}")

    def address(self, image_id: str) -> str:
        return f"/images/{image_id}"

    def remove(self, client: Client, image_id: str) -> None:
        client.ask("DELETE", f"/images/{image_id}")

    def refused(self) -> Refused:
        headers = {
            "Content_Type": "application/octet-stream",
            "x_image_meta_name": "refused",
            "x_image_meta_store": "nowhere",
        }
        return Refused("POST", "/images", headers)

    def list(self, client: Client) -> None:
        found = json.loads(client.ask("GET", f"/images?limit={LISTED}").body)["images"]
        if len(found) != LISTED:
            raise SystemExit(f"{self.name} lists {len(found)} images")

    def populate(self, count: int) -> None:
        populate(self, count, count)


class CalotypeV2(Calotype):
    """Calotype with Images v2, which needs two requests to create an image with its bytes, as Glance does."""

    def store(self, client: Client, content: Content) -> str:
        return store_v2(client, content)

    def show(self, client: Client, image_id: str) -> None:
        client.ask("GET", f"/v2/images/{image_id}")


def store_v2(client: Client, content: Content) -> str:
    """Create an image and upload its bytes, like every client of Images v2."""
    fields = {"name": "bench", "disk_format": "raw", "container_format": "bare", "visibility": "public"}
    made = client.ask("POST", "/v2/images", json.dumps(fields).encode(), Content_Type="application/json")
    image_id = json.loads(made.body)["id"]
    client.ask("PUT", f"/v2/images/{image_id}/file", content.body, Content_Type="application/octet-stream")
    return image_id
