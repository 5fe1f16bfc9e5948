"""Programs that transfer images to and from S3 and Swift without a service between: boto3 and swiftclient."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import swiftclient
from botocore.config import Config
from stores import BUCKET, CONTAINER
from swiftclient.service import SwiftService, SwiftUploadObject

#: The bucket or container of the programs' own objects.
OWN = "rivals"


@dataclass(frozen=True)
class Direct:
    """An object of our store as a plain HTTP client reads it from the backend."""

    url: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def connect(self) -> socket.socket:
        """Return a new connection to the backend, which the caller closes."""
        target = urlsplit(self.url)
        connection = socket.create_connection((target.hostname, target.port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


class Rival(ABC):
    """A program with its default settings, at the backend that `settings` describe.

    Forked processes use it, so its connections are made at the first use.
    """

    #: The name of the program, and that of our store for the same backend.
    name: str
    store: str

    def __init__(self, settings: Mapping[str, str]):
        self.settings = settings

    @abstractmethod
    def prepare(self) -> None:
        """Make the place for the objects."""

    @abstractmethod
    def upload(self, path: Path) -> str:
        """Store a file, and return the name of the object, which is the file's name."""

    @abstractmethod
    def download(self, name: str, path: Path) -> None:
        """Write an object to a file."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove an object."""

    @abstractmethod
    def direct(self, image_id: str) -> Direct:
        """Return the object that our store holds for an image."""


class Boto3(Rival):
    """boto3's transfers, with 10 threads and parts of 8 MiB."""

    name, store = "boto3", "s3"

    def __init__(self, settings: Mapping[str, str]):
        super().__init__(settings)
        self._client = self._connected(settings["S3_ENDPOINT"])

    def prepare(self) -> None:
        self._connected(self.settings["S3_ENDPOINT"]).create_bucket(Bucket=OWN)

    def upload(self, path: Path) -> str:
        self._client.upload_file(str(path), OWN, path.name)
        return path.name

    def download(self, name: str, path: Path) -> None:
        self._client.download_file(OWN, name, str(path))

    def remove(self, name: str) -> None:
        self._client.delete_object(Bucket=OWN, Key=name)

    def direct(self, image_id: str) -> Direct:
        client = self._connected(self.settings["S3_ENDPOINT"])
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=image_id)["Contents"][0]["Key"]
        # The signature covers the header Host, which `client.py` sends as "localhost".
        signer = self._connected("http://localhost", Config(signature_version="s3v4"))
        signed = urlsplit(
            signer.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": found})
        )
        return Direct(self.settings["S3_ENDPOINT"], f"{signed.path}?{signed.query}")

    def _connected(self, endpoint: str, config: Config | None = None) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=self.settings["S3_REGION"],
            aws_access_key_id=self.settings["S3_ACCESS_KEY"],
            aws_secret_access_key=self.settings["S3_SECRET_KEY"],
            config=config,
        )


class SwiftClient(Rival):
    """swiftclient's SwiftService, which the command `swift` uses. It compares MD5 in both directions."""

    name, store = "swiftclient", "swift"

    def prepare(self) -> None:
        """Do nothing: an upload makes the container."""

    def upload(self, path: Path) -> str:
        self._do("upload", OWN, [SwiftUploadObject(str(path), object_name=path.name)])
        return path.name

    def download(self, name: str, path: Path) -> None:
        self._do("download", OWN, [name], options={"out_file": str(path)})

    def remove(self, name: str) -> None:
        self._do("delete", OWN, [name])

    def direct(self, image_id: str) -> Direct:
        settings = self.settings
        url, token = swiftclient.client.get_auth_1_0(
            settings["SWIFT_AUTH_URL"], settings["SWIFT_USER"], settings["SWIFT_KEY"]
        )
        (found,) = swiftclient.client.get_container(url, token, CONTAINER, prefix=image_id)[1]
        target = urlsplit(url)
        return Direct(url, f"{target.path}/{CONTAINER}/{found['name']}", {"X_Auth_Token": token})

    def _do(self, verb: str, *arguments: Any, **options: Any) -> None:
        login = {
            "auth_version": "1.0",
            "auth": self.settings["SWIFT_AUTH_URL"],
            "user": self.settings["SWIFT_USER"],
            "key": self.settings["SWIFT_KEY"],
        }
        with SwiftService(options=login) as service:
            for result in getattr(service, verb)(*arguments, **options):
                if not result["success"]:
                    raise SystemExit(f"swiftclient: {verb}: {result}")
