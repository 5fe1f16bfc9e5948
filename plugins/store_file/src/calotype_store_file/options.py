"""The options of a file store. Only `path` is required."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from calotype.stores import Size, StoreOptions


class FileOptions(StoreOptions):
    """The options `store.NAME.*` of the driver file."""

    path: Path = Field(description="absolute path of the directory for the images; each store needs its own")
    file_mode: str = Field("0640", pattern="^0?[46][04][04]$", description="permissions of images, octal")
    dir_mode: str = Field(
        "0750", pattern="^0?7[0145][0145]$", description="permissions of directories, octal"
    )
    fsync: bool = Field(True, description="write an upload to disk before it is acknowledged")
    sparse: bool = Field(True, description="store zeros, in blocks of 64 KiB, without using disk space")
    quota: Size | None = Field(None, description="maximum bytes of all images together")
    min_free: Size | None = Field(
        None,
        description="bytes of the file system to keep free; unset: 256 MiB, or 1 % if that is less",
    )

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError(
                "must be an absolute path, because a relative one depends on the directory in which a "
                "command is started"
            )
        return value
