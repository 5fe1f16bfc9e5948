"""Debian's docker-registry, which computes SHA-256 and stores equal contents once."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from testservers import common

from client import Client
from peers.peer import LISTED, Content, Peer, Refused

CONF = """
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {folder}/blobs
  delete:
    enabled: true
http:
  addr: {host}:{port}
"""
REPOSITORY = "bench"


class Registry(Peer):
    """docker-registry with blobs as images and lists of repositories. One process uses all cores."""

    name = "registry"
    lists_most = False  # each repository has two folders, and a list visits all of them

    def __init__(self, folder: Path):
        super().__init__(folder)
        self._conf = folder / "config.yml"

    def prepare(self) -> None:
        if not shutil.which("docker-registry"):
            common.apt("docker-registry")
        self._conf.write_text(CONF.format(folder=self.folder, host=common.HOST, port=self.port))

    def spawn(self) -> None:
        self._spawn("docker-registry", "serve", self._conf)

    def store(self, client: Client, content: Content) -> str:
        begun = client.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        place = urlsplit(begun.head.field("location"))
        digest = f"sha256:{content.sha256}"
        path = f"{place.path}?{place.query}&digest={digest}"
        client.ask("PUT", path, content.body, Content_Type="application/octet-stream")
        return digest

    def show(self, client: Client, image_id: str) -> None:
        client.ask("HEAD", self.address(image_id))

    def address(self, image_id: str) -> str:
        return f"/v2/{REPOSITORY}/blobs/{image_id}"

    def remove(self, client: Client, image_id: str) -> None:
        client.ask("DELETE", self.address(image_id))

    def refused(self) -> Refused:
        path = f"/v2/{REPOSITORY}/blobs/uploads/{uuid.uuid4()}?digest=sha256:{'0' * 64}"
        return Refused("PUT", path, {"Content_Type": "application/octet-stream"})

    def list(self, client: Client) -> None:
        found = json.loads(client.ask("GET", f"/v2/_catalog?n={LISTED}").body)["repositories"]
        if len(found) != LISTED:
            raise SystemExit(f"{self.name} lists {len(found)} repositories")

    def populate(self, count: int) -> None:
        repositories = self.folder / "blobs" / "docker" / "registry" / "v2" / "repositories"
        for _ in range(count):
            (repositories / f"image-{uuid.uuid4()}" / "_layers").mkdir(parents=True)
