"""The settings of a Swift store."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ByteSize, Field, SecretStr, model_validator

from calotype.stores import Seconds, Size, StoreOptions

#: The largest object that Swift accepts in one PUT, unless its operator changed that.
OBJECT_MAX = 5 << 30
MISSING = "its container is missing (option container; `create = true` makes it)"


class SwiftOptions(StoreOptions):
    """The options `store.NAME.*` of the driver swift."""

    auth_url: str = Field(
        pattern=r"^https?://",
        examples=["https://keystone.example.com/v3"],
        description="Keystone's address, or for version 1 the full URL, .../auth/v1.0.",
    )
    auth_version: Literal["1", "3"] = Field("3", description="3: Keystone. 1: tempauth and similar.")
    user: str | None = Field(None, description="Version 1: the user, account:name.")
    key: SecretStr | None = Field(None, description="Version 1: the user's key.")
    username: str | None = Field(None, description="Version 3: the user's name.")
    password: SecretStr | None = Field(None, description="Version 3: the user's password.")
    project_name: str | None = Field(None, description="Version 3: the project that owns the images.")
    project_id: str | None = Field(None, description="Version 3: the same project by its id.")
    user_domain_name: str = Field("Default", description="Version 3: the domain of the user.")
    project_domain_name: str = Field("Default", description="Version 3: the domain of project_name.")
    application_credential_id: str | None = Field(
        None, description="Version 3: an application credential, instead of user and project."
    )
    application_credential_secret: SecretStr | None = Field(None, description="Version 3: its secret.")
    region: str | None = Field(None, description="The region whose object-store endpoint is used.")
    interface: Literal["public", "internal", "admin"] = Field(
        "public", description="The interface whose endpoint is used."
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        examples=["https://swift.example.com/v1/AUTH_images"],
        description="The storage URL with its account, instead of the catalogue's.",
    )
    ca_bundle: Path | None = Field(
        None,
        description="A file of CA certificates for Swift and the identity service; default: certifi's.",
    )
    verify: bool = Field(True, description="Verify TLS certificates; false is for tests.")
    container: str = Field(
        "calotype",
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="The container; the names of further containers begin with it.",
    )
    shards: int = Field(
        0,
        ge=0,
        le=2,
        description="Hex digits of the key's hash that select one of 1, 16 or 256 containers. Never change "
        "it once there are images.",
    )
    single_object_max: Size = Field(
        ByteSize(1 << 30),
        ge=0,
        le=OBJECT_MAX,
        description="Images of a known length up to this size are one object, sent as the bytes arrive; "
        "others are segments, of which only one is sent again if a connection breaks. 0: always segments.",
    )
    segment_size: Size | None = Field(
        None,
        ge=1,
        le=OBJECT_MAX,
        description="Bytes in a segment; default 16 MiB. It grows if the manifest would be too long.",
    )
    segment_concurrency: int = Field(4, ge=1, le=64, description="Segments of one upload sent at a time.")
    upload_memory: Size = Field(
        ByteSize(48 << 20),
        ge=1,
        description="Bytes of one upload held in memory; if two segments do not fit, segments wait on disk.",
    )
    spool_dir: Path | None = Field(
        None, description="The folder for waiting segments; default: the system's for temporary files."
    )
    segment_ttl: Seconds = Field(
        7 * 86400,
        ge=60,
        description="Seconds after which Swift itself removes the segments of an upload that never finished. "
        "Must be longer than the longest upload.",
    )
    temp_url_key: SecretStr | None = Field(
        None, description="The account's Temp-URL-Key; with it, clients can be redirected to Swift."
    )
    temp_url_digest: Literal["sha256", "sha512", "sha1"] = Field(
        "sha256", description="How TempURLs are signed; one of /info's tempurl.allowed_digests."
    )
    connect_timeout: Seconds = Field(10.0, gt=0, description="Seconds to wait for a connection.")
    read_timeout: Seconds = Field(60.0, gt=0, description="Seconds to wait for the next bytes of an answer.")
    retries: int = Field(
        3, ge=0, le=20, description="How often a request is retried, and an interrupted download continued."
    )

    @model_validator(mode="after")
    def _credentials_are_complete(self) -> SwiftOptions:
        if self.auth_version == "1":
            complete = bool(self.user and self.key)
            needed = "user and key"
        else:
            by_password = self.username and self.password and (self.project_name or self.project_id)
            by_credential = self.application_credential_id and self.application_credential_secret
            complete = bool(by_password or by_credential)
            needed = (
                "username, password and project_name or project_id, "
                "or application_credential_id and application_credential_secret"
            )
        if not complete:
            raise ValueError(f"auth_version {self.auth_version} needs {needed}")
        return self


def text_of(secret: SecretStr | None) -> str:
    """Return the text of a secret; "" if it is not set."""
    return "" if secret is None else secret.get_secret_value()
