"""The options of an S3 store. Only `bucket` is required."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ByteSize, Field, FilePath, SecretStr, field_validator, model_validator

from calotype.stores import Seconds, Size, StoreOptions

#: S3's own limits on one part of a multipart upload, in bytes.
PART_MIN, PART_MAX = 5 << 20, 5 << 30

Part = Annotated[Size, Field(ge=PART_MIN, le=PART_MAX)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+/?$")]


class S3Options(StoreOptions):
    """The options `store.NAME.*` of the driver s3."""

    bucket: str = Field(
        pattern=r"^[A-Za-z0-9._-]{3,255}$",
        examples=["images-1"],
        description="The bucket that holds the images.",
    )
    prefix: str = Field(
        "",
        pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/?)*$",
        examples=["calotype/images"],
        max_length=256,
        description="A folder in the bucket: object names begin with it and a slash.",
    )
    endpoint_url: Url | None = Field(
        None,
        examples=["https://s3.example.com:9000, without a path"],
        description="The server, http(s)://host[:port]; unset: AWS_ENDPOINT_URL, or else AWS.",
    )
    region: str | None = Field(
        None,
        pattern=r"^[a-z0-9-]{1,63}$",
        examples=["eu-central-1"],
        description="The region to sign for; unset: the region of the AWS environment.",
    )
    access_key: str | None = Field(
        None,
        description="Access key (signed URLs show it); unset: AWS's default credential chain, such "
        "as an instance role.",
    )
    secret_key: SecretStr | None = Field(None, description="The access key's secret; set both or neither.")
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto",
        description="Bucket in the path or in the host name; auto: in the path if endpoint_url is set.",
    )
    public_endpoint: Url | None = Field(
        None,
        examples=["https://s3.example.com:9000, without a path"],
        description="The server's URL as clients reach it, for direct URLs; unset: endpoint_url.",
    )
    ca_bundle: FilePath | None = Field(None, description="A PEM file of CA certificates for the server.")
    verify: bool = Field(True, description="Check the server's certificate; false is for tests.")
    proxy: SecretStr | None = Field(
        None, description="An HTTP proxy to go through: http://[user:key@]host:port."
    )
    checksums: Literal["when_required", "when_supported"] = Field(
        "when_required",
        description="when_supported adds boto3's CRC to each request; many servers refuse it.",
    )
    multipart_threshold: Size = Field(
        ByteSize(32 << 20),
        le=PART_MAX,
        description="Images of a known length from this size on are uploaded in parts.",
    )
    part_size: Part | None = Field(
        None, description="Bytes in a part; unset: 12 MiB. It grows if 10,000 such parts are not enough."
    )
    memory: Size = Field(
        ByteSize(36 << 20),
        ge=PART_MIN,
        description="Bytes of parts that one upload holds in memory; at least one part is held.",
    )
    max_concurrency: int = Field(8, ge=1, le=256, description="Parts of one upload sent at a time.")
    storage_class: str | None = Field(None, description="Storage class of new objects, such as STANDARD_IA.")
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        None, description="Encryption by the server; unset: the bucket's default."
    )
    kms_key_id: str | None = Field(None, description="The KMS key for sse = aws:kms.")
    connect_timeout: Seconds = Field(5, gt=0, description="Seconds to wait for a connection.")
    read_timeout: Seconds = Field(60, gt=0, description="Seconds to wait for the next bytes.")
    retries: int = Field(4, ge=0, le=20, description="How often a failed request or read is retried.")

    @field_validator("prefix")
    @classmethod
    def _as_folder(cls, prefix: str) -> str:
        return prefix.rstrip("/") + "/" if prefix else ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together: set both or neither")
        if self.kms_key_id and not (self.sse or "").startswith("aws:kms"):
            raise ValueError("kms_key_id needs sse = aws:kms")
        if self.ca_bundle and not self.verify:
            raise ValueError("ca_bundle has no effect with verify = false")
        return self

    @property
    def path_style(self) -> bool:
        """True if the bucket is in the path of URLs, False if it is in the host name."""
        return self.addressing == "path" or (self.addressing == "auto" and self.endpoint_url is not None)

    @property
    def part_memory(self) -> int:
        """Maximum bytes of parts that one upload holds: half of `memory` if botocore copies each part."""
        tls = not (self.endpoint_url or "").startswith("http://")
        return self.memory // 2 if tls and self.checksums == "when_supported" else self.memory
