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
        None, description="The store of an upload that names none. Unset: file, or the only writable one."
    )
    identity: Literal["none", "tokens", "keystone"] = Field(
        "none",
        description="How callers are known. none: everyone is admin of project default, on loopback only. "
        "tokens: by a file that `calotype-manage token` writes. "
        "keystone: by keystonemiddleware in the pipeline.",
    )
    allow_anonymous: bool = Field(
        False, description="Let callers without any token list and read public images; otherwise 401."
    )
    tokens_file: Path | None = Field(
        None, description="The file of `identity = tokens`. Unset: tokens.json in the variable data_dir."
    )
    system_scope: bool = Field(
        False,
        description="Give tokens with Keystone's system scope the rights of their roles, and let "
        "administrators without a project make images that nobody owns. Off: such tokens have no rights, and "
        "such images are refused.",
    )
    confirm_after: Seconds = Field(
        5,
        ge=0,
        description="Seconds after a request's head from which its token is checked again, in the file or by "
        "Keystone, before a body that was so long in coming changes anything.",
    )

    external_sources: Literal["admin", "everyone"] = Field(
        "admin",
        description="Who may name a place outside from which bytes are read: a location, copy-from, a "
        "download to import. admin: a URL makes this server ask for it, inside of its own network.",
    )

    public_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$",
        description="Where clients find the service, as https://images.example.com: links begin with it. "
        "Unset: the scheme and host that the client itself used.",
    )
    cors_origins: tuple[str, ...] = Field(
        (),
        description="Origins whose web pages may use the service from a browser, such as "
        "https://dashboard.example.com. *: any, which `identity = none` refuses. Unset: none.",
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
        description="Database connections kept; about one a worker thread.",
    )
    pool_timeout: Seconds = Field(
        10, gt=0, alias="sqlalchemy.pool_timeout", description="Seconds to wait for a connection before 503."
    )
    busy_timeout: Seconds = Field(
        5, ge=0, description="Seconds that who changes something waits for another who does, before 503."
    )
    database_timeout: Seconds = Field(
        15,
        gt=0,
        description="Seconds that a database server may take to answer before 503. A statement takes "
        "milliseconds; a server that hangs says nothing, and nobody else would end the waiting.",
    )
    disk_reserve: Size = Field(
        ByteSize(8 << 20),
        description="Bytes kept back beside an SQLite database, so that images can be deleted when its disk "
        "is full; a sixteenth of a disk that is small. 0: none.",
    )
    migrate: bool = Field(
        False,
        description="Bring the database to the newest schema at start. "
        "Off: `calotype-manage db upgrade INI`.",
    )

    metrics: bool = Field(
        False,
        description="Answer /metrics, to anybody who can reach it: set `calotype.admin_listen`, too.",
    )
    admin_listen: str | None = Field(
        None,
        description="An address of its own for /metrics, /healthz and /readyz: HOST:PORT or unix:/PATH. "
        "When it is set, /metrics is 404 everywhere else; health is answered on both.",
    )

    image_size_cap: Size = Field(
        ByteSize(1 << 40),
        ge=1,
        description="Bytes an image may have: 1 TiB, so that one upload cannot fill a store unnoticed.",
    )
    inspection: Literal["enforce", "record", "off"] = Field(
        "enforce",
        description="What is done about uploads that are unsafe, or not what they are declared to be. "
        "enforce: refuse them. record: write down what they are.",
    )
    virtual_size_cap: Size | None = Field(
        ByteSize(64 << 40),
        ge=1,
        description="Bytes the disk in an image may have: a few KiB can claim exabytes.",
    )
    project_bytes: Size | None = Field(
        None, ge=0, description="Bytes that all images of a project may have together. Unset: no limit."
    )
    project_images: int | None = Field(
        None, ge=0, description="Images that a project may have. Unset: no limit."
    )
    staging_store: str | None = Field(
        None,
        description="The store where bytes wait that a client stages before it imports them. "
        "Unset: the default store.",
    )
    max_tags: int = Field(128, ge=0, description="Tags an image may have: what other services allow.")
    max_members: int = Field(128, ge=0, description="Projects an image may be shared with.")
    max_properties: int = Field(
        70,
        ge=0,
        description="Properties an image may have. The classic API and v1 show 70 in headers.",
    )
    max_property_bytes: Size = Field(
        ByteSize(65536),
        ge=1,
        description="Bytes a property's value may have: 64 KiB, as for nova's `block_device_mapping` of many "
        "volumes. The classic API and v1 show up to 8,000 in a header.",
    )
    max_metadata_bytes: Size = Field(
        ByteSize(262144),
        ge=1,
        description="Bytes all properties of an image may have together, names included: 256 KiB. The "
        "classic API and v1 show up to 32 KiB in headers, and say how many properties they leave out.",
    )
    list_limit: int = Field(
        1000, ge=1, description="Images in one answer to a list; the rest is behind `marker`."
    )
    list_bytes: Size = Field(
        ByteSize(1 << 20),
        ge=1,
        description="Bytes of documents in one page of a v2 list. A page that would have more ends early and "
        "has a `next` link; it has one document at least. Most clients ask for 25 images: 25 KiB.",
    )
    lease: Seconds = Field(
        60, ge=1, description="Seconds after which an upload counts as dead whose process says nothing."
    )
    sweep_interval: Seconds = Field(
        10,
        ge=0,
        description="Seconds between two looks for what died half way. 0: `calotype-manage sweep` does it.",
    )
    job_threads: int = Field(
        2, ge=0, description="Jobs (copies, imports) that one process does at a time. 0: others do them."
    )
    job_patience: Seconds = Field(
        3600,
        ge=0,
        description="Seconds for which a job waits for a store that is away, with tries in between, before "
        "it fails; a source outside is waited for a minute at most. 0: it fails at once.",
    )
    probe_interval: Seconds = Field(
        10,
        gt=0,
        description="Seconds between two looks whether a store is there, for `/readyz` and metrics; the "
        "database is asked every 2 seconds, or as often.",
    )
    probe_timeout: Seconds = Field(
        5,
        gt=0,
        description="Seconds after which a store, or the database, that does not answer such a look is "
        "unavailable. Requests have deadlines of their own, see `store.NAME.call_timeout`.",
    )
    scrub_rate: Size = Field(
        ByteSize(4 << 20),
        ge=0,
        description="Bytes a second at which the scrubber reads each store to find damaged copies: "
        "4 MiB/s is about 1 % of a core. 0: it does not.",
    )
    scrub_period: Seconds = Field(
        30 * 86400,
        gt=0,
        description="Seconds within which the scrubber checks each copy once: 30 days. "
        "Where the rate does not allow that, the rate wins.",
    )
    delete_grace: Seconds = Field(
        0, ge=0, description="Seconds for which a deleted image's bytes are kept, and it can be undeleted."
    )
    audit_retention: Seconds = Field(
        90 * 86400,
        ge=0,
        description="Seconds for which the database keeps who changed which image: 90 days. The sweeper "
        "removes what is older. 0: only the log `calotype.audit` tells it.",
    )
    disk_formats: tuple[str, ...] = Field(
        ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"),
        description="Disk formats that an image may be said to have.",
    )
    container_formats: tuple[str, ...] = Field(
        ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"),
        description="Container formats that an image may be said to have.",
    )
    md5: bool = Field(
        True,
        description="Compute MD5 too (`checksum`, ETag), which today's clients compare; SHA-256 always is.",
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
