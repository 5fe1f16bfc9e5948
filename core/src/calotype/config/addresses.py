"""Types of settings that are addresses: where to listen, and the origins of web pages, with their headers."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_PLACE = re.compile(r"unix:/\S+|(\[[0-9A-Fa-f:.%]+\]|[^\s:/]+):([0-9]{1,5})")
_LAST_PORT = 65535
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@,]+|\*")


def _check_place(text: str) -> str:
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:9393, or unix:/PATH")
    if int(match[2] or 0) > _LAST_PORT:
        raise ValueError(f"must have a port from 1 to {_LAST_PORT}")
    return text


def _check_origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError(
            f"'{text}' is not an origin: write a scheme and a host, such as https://dashboard.example.com, "
            "and nothing after them"
        )
    return text.lower()


#: An address to listen on: HOST:PORT or unix:/PATH.
Place = Annotated[str, AfterValidator(_check_place)]
#: The origin of web pages, or * for any.
Origin = Annotated[str, AfterValidator(_check_origin)]
#: The headers that pages of other origins may send by default. NAME* stands for each header with this prefix.
CORS_HEADERS = (
    "accept",
    "content-digest",
    "content-type",
    "if-*",
    "last-event-id",
    "openstack-*",
    "range",
    "repr-digest",
    "tus-resumable",
    "upload-*",
    "want-*",
    "x-auth-token",
    "x-glance-*",
    "x-http-method-override",
    "x-image-meta-*",
    "x-openstack-*",
    "x-request-id",
)
