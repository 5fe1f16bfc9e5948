"""The keys `store.NAME.*` that the core reads itself, for every store. No driver sees them."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from calotype.config.quantities import Size
from calotype.stores.bulkhead import Bounds

_ACCEL = re.compile(r"/(?:[A-Za-z0-9._-]+/)*", re.ASCII)


class CoreOptions(Bounds):
    """The options of a store that do not depend on its driver."""

    driver: str | None = Field(None, description="the driver of the store; unset: the store's own name")
    read_only: bool = Field(False, description="accept no uploads and delete nothing")
    create: bool = Field(
        False,
        description="create its place (directory, bucket, container) at the start, and mark it if empty",
    )
    description: str | None = Field(None, description="the description in `/v2/info/stores`")
    weight: int = Field(
        0, description="v2's `stores` lists the stores of an image by weight, the greatest first"
    )
    scrub: bool = Field(True, description="let the scrubber read its images")
    scrub_rate: Size | None = Field(
        None, gt=0, description="bytes per second that the scrubber reads; unset: `calotype.scrub_rate`"
    )
    redirect: bool = Field(
        False,
        description="redirect downloads to the store itself, with a URL that is valid for five minutes, "
        "if the driver can make one: S3, Swift with `temp_url_key`, and public sources of the http driver",
    )
    accel: str | None = Field(
        None,
        description="the internal path at which nginx serves the files of a file store, such as "
        "`/internal/file/`; nginx then sends the downloads",
    )

    @field_validator("accel")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value and not _ACCEL.fullmatch(value):
            raise ValueError("must be an internal path of the proxy, such as /internal/")
        return value or None
