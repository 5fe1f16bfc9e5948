"""The keys of `store.NAME.*` that the core reads itself, for every store. They never reach a driver."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from calotype.config.quantities import Size
from calotype.stores.bulkhead import Bounds

_ACCEL = re.compile(r"/(?:[A-Za-z0-9._-]+/)*", re.ASCII)


class CoreOptions(Bounds):
    """What an operator decides about a store, whichever driver it uses."""

    driver: str | None = Field(None, description="the driver of the store; unset: the store's own name")
    read_only: bool = Field(False, description="take no uploads and delete nothing")
    create: bool = Field(
        False,
        description="make its place (directory, bucket, container) at start, and mark an empty one",
    )
    description: str | None = Field(None, description="what `/v2/info/stores` tells clients about it")
    weight: int = Field(
        0, description="of two stores that hold an image, v2's `stores` names the one with more weight first"
    )
    scrub: bool = Field(True, description="let the scrubber read it")
    scrub_rate: Size | None = Field(
        None, gt=0, description="bytes a second at which the scrubber reads it; unset: `calotype.scrub_rate`"
    )
    redirect: bool = Field(
        False,
        description="send clients who download to the store itself, by a URL that is good for five minutes, "
        "where the driver can make one: S3, Swift with `temp_url_key`, and public sources of the http driver",
    )
    accel: str | None = Field(
        None,
        description="the internal path at which nginx has the files of a file store, as `/internal/file/`; "
        "nginx then sends the downloads",
    )

    @field_validator("accel")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value and not _ACCEL.fullmatch(value):
            raise ValueError("must be a proxy's internal path, as /internal/")
        return value or None
