"""Every setting of the core: its ini key, type, default, and the reason for that default.

An unknown key is an error with a hint. Any value may contain variables: see `calotype.config.interpolation`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ByteSize, Field, SecretStr, ValidationInfo, field_validator

from calotype.config.addresses import CORS_HEADERS, Origin, Place
from calotype.config.event_settings import EventSettings
from calotype.config.format_lists import chosen_formats
from calotype.config.interpolation import SettingsError
from calotype.config.messages import located
from calotype.config.quantities import Seconds, Size


class Settings(EventSettings):
    """The core's settings. A field's ini key is `calotype.` and its name, or its alias."""

    stores: tuple[str, ...] | None = Field(
        None,
        description="Names of the stores, in order. Unset: those with a `store.NAME.` key, and the default.",
    )
    default_store: str | None = Field(
        None, description="The store for uploads that name none. Unset: file, or the only writable one."
    )
    identity: Literal["none", "tokens", "keystone"] = Field(
        "none",
        description="How callers are identified. none: every caller is an administrator of the project "
        "default, and the server listens on loopback only. tokens: by the file of tokens that "
        "`calotype-manage token` writes. keystone: by keystonemiddleware in the pipeline.",
    )
    allow_anonymous: bool = Field(
        False, description="Let callers without a token list and read public images. Off: they get 401."
    )
    tokens_file: Path | None = Field(
        None,
        description="Absolute path of the file of tokens for `identity = tokens`. Unset: tokens.json in the "
        "variable data_dir.",
    )
    system_scope: bool = Field(
        False,
        description="Give tokens with Keystone's system scope the rights of their roles, and let "
        "administrators without a project create images without an owner. Off: such tokens have no rights, "
        "and such images are refused.",
    )
    confirm_after: Seconds = Field(
        5,
        ge=0,
        description="If a body arrives more than this many seconds after its request's head, the token is "
        "checked again, in the file or by Keystone, before anything is changed.",
    )

    external_sources: Literal["admin", "everyone"] = Field(
        "admin",
        description="Who may name an external source of bytes: a location, or a URL to copy or import from. "
        "The default is admin, because a URL makes this server send a request inside its own network.",
    )

    dialects: tuple[str, ...] = Field(
        ("v1", "v2", "uploads"),
        description="APIs to serve beside the classic one at /images. v1: Images v1. v2: Images v2. uploads: "
        "resumable uploads (tus 1.0, and those of the IETF's draft).",
    )
    extensions: tuple[str, ...] = Field(
        (),
        description="Names of extensions to switch on. An extension with an `extension.NAME.` key is on too, "
        "and so are metadefs and console if they are installed. `extension.NAME.enabled = false` switches an "
        "extension off.",
    )

    public_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$",
        examples=["https://images.example.com, without a slash at the end"],
        description="The service's URL as clients see it, such as https://images.example.com, for links. "
        "Unset: the scheme and host of the request.",
    )
    cors_origins: tuple[Origin, ...] = Field(
        (),
        description="Origins whose web pages may use the service from a browser, such as "
        "https://dashboard.example.com. *: any origin, which `identity = none` refuses. Unset: none.",
    )
    cors_methods: tuple[str, ...] = Field(
        ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), description="Methods that these pages may use."
    )
    cors_headers: tuple[str, ...] = Field(
        CORS_HEADERS,
        description="Headers that these pages may send. NAME* stands for every header with this prefix.",
    )
    database_url: SecretStr = Field(
        ...,
        alias="sqlalchemy.url",
        description="The database, as an SQLAlchemy URL: sqlite:////PATH, "
        "postgresql+psycopg://USER:PASSWORD@HOST/NAME or mysql+pymysql://USER:PASSWORD@HOST/NAME.",
    )
    pool_size: int = Field(
        10,
        ge=1,
        alias="sqlalchemy.pool_size",
        description="Database connections that each process keeps open; about one for each worker thread.",
    )
    pool_timeout: Seconds = Field(
        10,
        gt=0,
        alias="sqlalchemy.pool_timeout",
        description="Seconds that a request waits for a connection, or to write to SQLite; then it gets 503.",
    )
    busy_timeout: Seconds = Field(
        5, ge=0, description="Seconds that a write waits for a lock held by another write before it gets 503."
    )
    database_timeout: Seconds = Field(
        15,
        gt=0,
        description="Seconds that a request waits for an answer of the database server before it gets 503. A "
        "statement takes milliseconds, but a server that hangs never answers.",
    )
    disk_reserve: Size = Field(
        ByteSize(8 << 20),
        description="Bytes reserved beside an SQLite database, at most a sixteenth of the disk, so that "
        "images can be deleted when the disk is full. 0: none.",
    )
    migrate: bool = Field(
        False,
        description="Upgrade the database to the newest schema at start. Off: run `calotype-manage db "
        "upgrade`.",
    )

    metrics: bool = Field(
        False, description="Serve /metrics. No token is needed there, so set `calotype.admin_listen`, too."
    )
    admin_listen: Place | None = Field(
        None,
        description="A separate address for /metrics, /healthz and /readyz: HOST:PORT or unix:/PATH. If it "
        "is set, /metrics gets 404 at every other address. Health is served at all addresses.",
    )

    image_size_cap: Size = Field(
        ByteSize(1 << 40),
        ge=1,
        description="Maximum size of an image, so that one upload cannot fill a store unnoticed.",
    )
    inspection: Literal["enforce", "record", "off"] = Field(
        "enforce",
        description="Treatment of uploads that are unsafe, or not of their declared format. enforce: refuse "
        "them. record: accept them, and store the detected format. off: do not inspect uploads.",
    )
    virtual_size_cap: Size | None = Field(
        ByteSize(64 << 40),
        ge=1,
        description="Maximum virtual size of an image's disk. A file of a few KiB can declare exabytes.",
    )
    project_bytes: Size | None = Field(
        None, ge=0, description="Maximum bytes of all images of a project together. Unset: no limit."
    )
    project_images: int | None = Field(
        None, ge=0, description="Maximum number of images of a project. Unset: no limit."
    )
    project_uploads: int = Field(
        1000, ge=0, description="Maximum number of open upload sessions of a project. 0: none are possible."
    )
    upload_expiry: Seconds = Field(
        86400,
        gt=0,
        description="Seconds after which an upload session without new bytes expires. Its bytes are removed.",
    )
    staging_store: str | None = Field(
        None,
        description="The store for bytes that a client stages before an import, and for parts of upload "
        "sessions that the image's store does not take. Unset: the default store.",
    )
    max_tags: int = Field(128, ge=0, description="Maximum number of tags of an image.")
    max_members: int = Field(
        128, ge=0, description="Maximum number of projects that an image is shared with."
    )
    max_properties: int = Field(
        70,
        ge=0,
        description="Maximum properties of an image. The classic API and v1 show up to 70 in headers.",
    )
    max_property_bytes: Size = Field(
        ByteSize(65536),
        ge=1,
        description="Maximum bytes of a property's value. The default has room for nova's "
        "`block_device_mapping` of many volumes. The classic API and v1 show up to 8,000 bytes in a header.",
    )
    max_metadata_bytes: Size = Field(
        ByteSize(262144),
        ge=1,
        description="Maximum bytes of all properties of an image together, including their names. The "
        "classic API and v1 show up to 32 KiB in headers, and report how many properties they omit.",
    )
    list_limit: int = Field(
        1000, ge=1, description="Maximum number of images in one page of a list; `marker` continues the list."
    )
    list_bytes: Size = Field(
        ByteSize(1 << 20),
        ge=1,
        description="Maximum bytes of documents in one page of a v2 list. A larger page ends early, after at "
        "least one document, and has a `next` link. Most clients ask for pages of 25 images, about 25 KiB.",
    )
    lease: Seconds = Field(
        60,
        ge=1,
        description="Lease duration in seconds. An upload whose process does not renew its lease for this "
        "long is considered dead.",
    )
    sweep_interval: Seconds = Field(
        10,
        ge=0,
        description="Seconds between two sweeps for dead uploads and jobs. 0: this process never sweeps; run "
        "`calotype-manage sweep`.",
    )
    job_threads: int = Field(
        2,
        ge=0,
        description="Maximum concurrent jobs (copies, imports) of a process. 0: other processes run them.",
    )
    job_patience: Seconds = Field(
        3600,
        ge=0,
        description="Seconds for which a job retries a store that is unavailable, before it fails. An "
        "external source is retried for a minute at most. 0: the job fails at once.",
    )
    probe_interval: Seconds = Field(
        10,
        gt=0,
        description="Seconds between two probes of a store, for `/readyz` and metrics. The database is "
        "probed every 2 seconds, or at this interval if it is shorter.",
    )
    probe_timeout: Seconds = Field(
        5,
        gt=0,
        description="Seconds after which a store, or the database, that does not answer a probe counts as "
        "unavailable. Requests have timeouts of their own: see `store.NAME.call_timeout`.",
    )
    scrub_rate: Size = Field(
        ByteSize(4 << 20),
        ge=0,
        description="Bytes per second at which the scrubber reads each store to find damaged copies. 4 MiB/s "
        "need about 1 % of a core. 0: no scrubber.",
    )
    scrub_period: Seconds = Field(
        30 * 86400,
        gt=0,
        description="Seconds within which the scrubber checks each copy once. If the rate is too low for "
        "that, the rate takes precedence.",
    )
    delete_grace: Seconds = Field(
        0,
        ge=0,
        description="Grace period: seconds for which a deleted image keeps its bytes and can be undeleted.",
    )
    audit_retention: Seconds = Field(
        90 * 86400,
        ge=0,
        description="Seconds for which the database keeps audit records of changes to images. The sweeper "
        "removes older records. 0: records are written to the log `calotype.audit` only.",
    )
    download_retention: Seconds = Field(
        400 * 86400,
        ge=0,
        description="Seconds for which the database keeps how often each image was downloaded on each day. "
        "The sweeper removes older counts. 0: downloads are not counted.",
    )
    disk_formats: tuple[str, ...] = Field(
        ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"),
        description="Disk formats that an image may be declared as. A list selects from the default formats. "
        "+NAME adds a format of your own.",
    )
    container_formats: tuple[str, ...] = Field(
        ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"),
        description="Container formats that an image may be declared as, in the syntax of the disk formats.",
    )
    md5: bool = Field(
        True, description="Compute MD5 (`checksum`, ETag) beside SHA-256, because today's clients compare it."
    )

    # These are not settings: `calotype.config.section` fills them.
    data_dir: Path | None = Field(None, exclude=True, description="The ini file's variable data_dir.")
    database_place: str = Field("sqlalchemy.url", exclude=True, description="Where the URL is written.")
    database_variables: tuple[str, ...] = Field((), exclude=True, description="The variables in the URL.")
    ini_file: Path | None = Field(None, exclude=True, description="The file that these settings come from.")
    secret_files: tuple[Path, ...] = Field(
        (), exclude=True, description="The files that `${file:PATH}` reads values from."
    )
    arguments: str | None = Field(
        None,
        exclude=True,
        description="The ini file and the command line's variables, quoted for a shell. Hints show them.",
    )
    store_options: dict[str, dict[str, str]] = Field(
        default_factory=dict, exclude=True, description="The text of all `store.NAME.OPTION` keys."
    )
    extension_options: dict[str, dict[str, str]] = Field(
        default_factory=dict, exclude=True, description="The text of all `extension.NAME.OPTION` keys."
    )

    @field_validator("cors_origins")
    @classmethod
    def _are_safe(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "*" in value and info.data.get("identity") == "none":
            raise ValueError(
                "* with calotype.identity = none would make every web page an administrator: name the origins"
            )
        return value

    @field_validator("disk_formats", "container_formats")
    @classmethod
    def _are_known(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return chosen_formats(value, cls.model_fields[str(info.field_name)].default)

    def tokens_path(self) -> Path:
        """Return the path of the file of static tokens.

        Raises:
            SettingsError: neither `calotype.tokens_file` nor `data_dir` is set, or the path is relative.
        """
        if self.tokens_file is None and self.data_dir is None:
            raise SettingsError(
                "calotype.identity = tokens has no file of tokens: set calotype.tokens_file or data_dir"
            )
        path = self.tokens_file or Path(self.data_dir or "") / "tokens.json"
        if not path.is_absolute():
            raise SettingsError(
                f"{located(self.ini_file, 'calotype.tokens_file', 'calotype.identity')}calotype.tokens_file: "
                f"{path} is relative, so it depends on the directory in which a command is started: set it, "
                "or data_dir if it is unset, to an absolute path"
            )
        return path

    @property
    def digests(self) -> tuple[str, ...]:
        """The algorithms of the digests that are computed for each upload."""
        return ("sha256", "md5") if self.md5 else ("sha256",)
