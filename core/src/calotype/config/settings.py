"""Every setting of the core, once: its ini key, type, default, and why it has that default.

An unknown key is an error with a hint. Any value may hold variables: see `calotype.config.interpolation`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    SkipValidation,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from calotype.config import former_name
from calotype.config.interpolation import (
    ARGUMENTS,
    SettingsError,
    expand,
    files_read,
    place_of,
    told_sources,
)
from calotype.config.messages import did_you_mean, located, problem_told, quoted
from calotype.config.quantities import Seconds, Size

_STORE_KEY = re.compile(r"store\.([^.]+)\.(.+)")
_ADDRESS = re.compile(r"unix:/\S+|(\[[0-9A-Fa-f:.%]+\]|[^\s:/]+):[0-9]{1,5}")
_LAST_PORT = 65535
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@,]+")


class Settings(BaseModel):
    """The core's settings; an ini key is `calotype.` and the field's name, or the field's alias."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)

    stores: tuple[str, ...] | None = Field(
        None,
        description="Names of the stores, in order. Unset: every installed driver with complete options.",
    )
    default_store: str | None = Field(
        None, description="The store for uploads that name none. Unset: file, or the only writable one."
    )
    identity: Literal["none", "tokens", "keystone"] = Field(
        "none",
        description="How callers are identified. none: every caller is an administrator of project default, "
        "on loopback only. tokens: by a file that `calotype-manage token` writes. keystone: by "
        "keystonemiddleware in the pipeline.",
    )
    allow_anonymous: bool = Field(
        False, description="Let callers without a token list and read public images; otherwise 401."
    )
    tokens_file: Path | None = Field(
        None, description="The file of `identity = tokens`. Unset: tokens.json in the variable data_dir."
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
        description="Seconds after a request's head from which its token is checked again, in the file or by "
        "Keystone, before the body changes anything.",
    )

    external_sources: Literal["admin", "everyone"] = Field(
        "admin",
        description="Who may name an external source: a location, a copy-from, or a download to import. "
        "admin is the default because a URL makes this server send requests from inside its own network.",
    )

    public_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$",
        description="The service's URL as clients see it, such as https://images.example.com, for links. "
        "Unset: the scheme and host of the request.",
    )
    cors_origins: tuple[str, ...] = Field(
        (),
        description="Origins whose web pages may use the service from a browser, such as "
        "https://dashboard.example.com. *: any origin, which `identity = none` refuses. Unset: none.",
    )
    cors_methods: tuple[str, ...] = Field(
        ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), description="Methods that those pages may use."
    )
    cors_headers: tuple[str, ...] = Field(
        (
            "accept",
            "content-type",
            "if-*",
            "openstack-*",
            "range",
            "x-auth-token",
            "x-glance-*",
            "x-image-meta-*",
            "x-openstack-*",
        ),
        description="Headers that those pages may send; NAME* stands for all that begin with NAME.",
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
        description="Database connections kept open; about one per worker thread.",
    )
    pool_timeout: Seconds = Field(
        10, gt=0, alias="sqlalchemy.pool_timeout", description="Seconds to wait for a connection before 503."
    )
    busy_timeout: Seconds = Field(
        5, ge=0, description="Seconds that a write waits for a lock held by another write before 503."
    )
    database_timeout: Seconds = Field(
        15,
        gt=0,
        description="How long a database server may take to answer before the request gets 503, in seconds. "
        "A statement normally takes milliseconds; a server that hangs would otherwise block its callers.",
    )
    disk_reserve: Size = Field(
        ByteSize(8 << 20),
        description="Bytes reserved beside an SQLite database, so that images can be deleted when its disk "
        "is full; on a small disk, a sixteenth of it. 0: none.",
    )
    migrate: bool = Field(
        False,
        description="Upgrade the database to the newest schema at start. Off: run `calotype-manage db "
        "upgrade`.",
    )

    metrics: bool = Field(
        False,
        description="Serve /metrics, to everybody who can reach it: set `calotype.admin_listen`, too.",
    )
    admin_listen: str | None = Field(
        None,
        description="A separate address for /metrics, /healthz and /readyz: HOST:PORT or unix:/PATH. When it "
        "is set, /metrics is 404 everywhere else; health is served at both.",
    )

    image_size_cap: Size = Field(
        ByteSize(1 << 40),
        ge=1,
        description="Maximum bytes of an image: 1 TiB, so that one upload cannot fill a store unnoticed.",
    )
    inspection: Literal["enforce", "record", "off"] = Field(
        "enforce",
        description="What happens to uploads that are unsafe, or not in the declared format. enforce: refuse "
        "them. record: only record what they are.",
    )
    virtual_size_cap: Size | None = Field(
        ByteSize(64 << 40),
        ge=1,
        description="Maximum bytes of the disk in an image: a few KiB can claim exabytes.",
    )
    project_bytes: Size | None = Field(
        None, ge=0, description="Maximum bytes of all images of a project together. Unset: no limit."
    )
    project_images: int | None = Field(
        None, ge=0, description="Maximum number of images of a project. Unset: no limit."
    )
    staging_store: str | None = Field(
        None,
        description="The store for bytes that a client stages before an import. Unset: the default store.",
    )
    max_tags: int = Field(128, ge=0, description="Maximum number of tags of an image.")
    max_members: int = Field(128, ge=0, description="Maximum number of projects an image is shared with.")
    max_properties: int = Field(
        70,
        ge=0,
        description="Maximum properties of an image. The classic API and v1 show at most 70 in headers.",
    )
    max_property_bytes: Size = Field(
        ByteSize(65536),
        ge=1,
        description="Maximum bytes of a property's value: 64 KiB, as for nova's `block_device_mapping` of "
        "many volumes. The classic API and v1 show up to 8,000 in a header.",
    )
    max_metadata_bytes: Size = Field(
        ByteSize(262144),
        ge=1,
        description="Maximum bytes of all properties of an image together, names included: 256 KiB. The "
        "classic API and v1 show up to 32 KiB in headers, and report how many properties they omit.",
    )
    list_limit: int = Field(
        1000, ge=1, description="Maximum images in one page of a list; `marker` gets the next page."
    )
    list_bytes: Size = Field(
        ByteSize(1 << 20),
        ge=1,
        description="Maximum bytes of documents in one page of a v2 list. A longer page ends early with a "
        "`next` link, but has at least one document. Most clients ask for 25 images: 25 KiB.",
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
        description="Seconds between sweeps for abandoned uploads. 0: run `calotype-manage sweep` instead.",
    )
    job_threads: int = Field(
        2, ge=0, description="Maximum concurrent jobs (copies, imports) of a process. 0: it runs none."
    )
    job_patience: Seconds = Field(
        3600,
        ge=0,
        description="How long a job retries while a store is unreachable before it fails, in seconds; an "
        "external source is retried for a minute at most. 0: it fails at once.",
    )
    probe_interval: Seconds = Field(
        10,
        gt=0,
        description="Seconds between probes of a store, for `/readyz` and metrics; the database is probed "
        "every 2 seconds, or as often.",
    )
    probe_timeout: Seconds = Field(
        5,
        gt=0,
        description="Seconds that a store or the database may take to answer a probe before it counts as "
        "unavailable. Requests have timeouts of their own, see `store.NAME.call_timeout`.",
    )
    proxied_downloads: int = Field(
        48,
        ge=1,
        description="Maximum concurrent downloads proxied from remote stores. Further ones get 503. Keep it "
        "below the server's blocked_threads, so that other requests always find a worker.",
    )
    scrub_rate: Size = Field(
        ByteSize(4 << 20),
        ge=0,
        description="Bytes per second at which the scrubber reads each store to find damaged copies: 4 MiB/s "
        "is about 1 % of a core. 0: no scrubber.",
    )
    scrub_period: Seconds = Field(
        30 * 86400,
        gt=0,
        description="Seconds within which the scrubber checks each copy once: 30 days. If the rate does not "
        "allow that, the rate has precedence.",
    )
    delete_grace: Seconds = Field(
        0,
        ge=0,
        description="Grace period in seconds: how long a deleted image's bytes are kept for undelete.",
    )
    audit_retention: Seconds = Field(
        90 * 86400,
        ge=0,
        description="How long the database keeps audit records, in seconds: 90 days. The sweeper removes "
        "older ones. 0: only the log `calotype.audit` has them.",
    )
    disk_formats: tuple[str, ...] = Field(
        ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"),
        description="Disk formats that an image may declare.",
    )
    container_formats: tuple[str, ...] = Field(
        ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"),
        description="Container formats that an image may declare.",
    )
    md5: bool = Field(
        True,
        description="Also compute MD5 (`checksum`, ETag), which today's clients compare. SHA-256 is always "
        "computed.",
    )

    data_dir: Path | None = Field(
        None, exclude=True, description="The ini file's variable of that name: where files lie by default."
    )
    ini_file: Path | None = Field(None, exclude=True, description="The file that these settings stand in.")
    secret_files: tuple[Path, ...] = Field(
        (), exclude=True, description="The files that `${file:PATH}` reads values from."
    )
    arguments: str | None = Field(
        None,
        exclude=True,
        description="The ini file and the variables of the command line, as a shell reads them: for hints.",
    )
    # Not validated, which would make plain text of an Indirect.
    store_options: Annotated[dict[str, dict[str, str]], SkipValidation] = Field(
        default_factory=dict, exclude=True, description="The text of all `store.NAME.OPTION` keys."
    )

    @field_validator(
        "stores",
        "disk_formats",
        "container_formats",
        "cors_origins",
        "cors_methods",
        "cors_headers",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("admin_listen")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError("it must be HOST:PORT, as 127.0.0.1:9393, or unix:/PATH")
        if value is not None and not value.startswith("unix:") and int(value.rpartition(":")[2]) > _LAST_PORT:
            raise ValueError(f"its port must be a number from 1 to {_LAST_PORT}")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"'{origin}' is not an origin: it must be a scheme and a host, such as "
                    "https://dashboard.example.com, and nothing behind them"
                )
        if "*" in value and info.data.get("identity") == "none":
            raise ValueError(
                "* with calotype.identity = none would let every web page in as an administrator: "
                "name the origins"
            )
        return tuple(origin.lower() for origin in value)

    def tokens_path(self) -> Path:
        """The file of static tokens.

        Raises:
            SettingsError: neither `calotype.tokens_file` nor the variable `data_dir` is set.
        """
        if self.tokens_file is not None:
            return self.tokens_file
        if self.data_dir is None:
            raise SettingsError("calotype.tokens_file: it is needed by calotype.identity = tokens")
        return self.data_dir / "tokens.json"

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests computed for each upload."""
        return ("sha256", "md5") if self.md5 else ("sha256",)


def read_settings(global_config: Mapping[str, str], given: Mapping[str, str]) -> Settings:
    """Build the settings from an ini section and its variables.

    Raises:
        SettingsError: a key is unknown, a value has the wrong type, or a variable is missing. It names the
            file and the line where they are known.
    """
    keys, ini = _keys(), global_config.get("__file__")
    texts: dict[str, str] = {}
    for key, text in given.items():
        former_name.check_key(key)
        try:
            texts[key] = expand(key, text, global_config)
        except SettingsError as error:
            raise SettingsError(f"{place_of(error, key, global_config)}{error}") from None
        ours = key.partition(".")[0] in ("calotype", "store", "sqlalchemy") or "." not in key
        if ours and key not in keys and not _STORE_KEY.fullmatch(key):
            meant = _meant(key) or did_you_mean(key, keys)
            raise SettingsError(f"{located(ini, key)}unknown setting {key}{meant}")
    try:
        data_dir = expand("data_dir", "${data_dir}", global_config) if "data_dir" in global_config else None
    except SettingsError as error:
        raise SettingsError(f"{place_of(error, 'data_dir', global_config)}{error}") from None
    try:
        return Settings(
            **{keys[key]: str(text) for key, text in texts.items() if key in keys},
            store_options=_store_options(texts),
            data_dir=data_dir,
            ini_file=ini,
            arguments=global_config[ARGUMENTS].replace("%%", "%") if ARGUMENTS in global_config else ini,
            secret_files=files_read(*given.values(), *global_config.values()),
        )
    except ValidationError as error:
        sources = {key: told_sources(text, global_config) for key, text in given.items()}
        raise SettingsError(_problems(error, texts, sources, ini)) from None


def _store_options(texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    stores: dict[str, dict[str, str]] = {}
    for key, text in texts.items():
        if match := _STORE_KEY.fullmatch(key):
            stores.setdefault(match[1], {})[match[2]] = text
    return stores


def _problems(
    error: ValidationError, texts: Mapping[str, str], sources: Mapping[str, str], ini: str | None
) -> str:
    """Return all that is wrong, in one sentence, which begins with the place of the first.

    `sources` says of each key which variables its value comes from.
    """
    names = {field: key for key, field in _keys().items()}
    problems = error.errors(include_input=False)
    found = [names.get(str(problem["loc"][0]), str(problem["loc"][0])) for problem in problems]
    told = (_problem(key, problem, texts, sources) for key, problem in zip(found, problems, strict=True))
    return located(ini, *found[:1]) + "; ".join(told)


def _problem(
    key: str, problem: Mapping[str, Any], texts: Mapping[str, str], sources: Mapping[str, str]
) -> str:
    if problem["type"] == "missing":
        return f"{key}: it must be set"
    message = problem_told(problem)
    is_secret = Settings.model_fields[_keys()[key]].annotation is SecretStr
    if is_secret or key not in texts:
        return f"{key}: {message}"
    return f"{key}: {message}, not {quoted(texts[key])}{sources.get(key, '')}"


def _meant(key: str) -> str:
    """Return a hint for a key that would be right if its field had no name of its own in the ini file."""
    field = Settings.model_fields.get(key.removeprefix("calotype."))
    return f" (did you mean {field.alias}?)" if field is not None and field.alias else ""


def _keys() -> dict[str, str]:
    """The ini key of each field."""
    return {
        field.alias or f"calotype.{name}": name
        for name, field in Settings.model_fields.items()
        if not field.exclude
    }
