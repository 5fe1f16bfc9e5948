"""Pages of a web server: a correct one, and one with a connection that breaks."""

from __future__ import annotations

import re

from calotype.testing import pattern
from tests.support.web import reply

DATA = pattern(300_000)


DATE = "Tue, 01 Sep 2026 10:00:00 GMT"


def serve(data: bytes = DATA, etag: str | None = '"v1"', modified: str | None = None, ranges: bool = True):
    """Return a page with ranges and a strong ETag, which the server sends but does not enforce."""

    def page(handler):
        headers = {"ETag": etag, "Last-Modified": modified}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", "")) if ranges else None
        if wanted is None:
            return reply(200, data, **headers)(handler)
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if first >= len(data):
            return reply(416, Content_Range=f"bytes */{len(data)}")(handler)
        shown = f"bytes {first}-{last}/{len(data)}"
        return reply(206, data[first : last + 1], Content_Range=shown, **headers)(handler)

    return page


def cut(page, after: int):
    """Return the page whose connection ends after this number of bytes of the body."""

    class Short:
        def __init__(self, file):
            self.file, self.left = file, after

        def write(self, data):
            if not data.startswith(b"HTTP/"):
                data, self.left = data[: self.left], self.left - len(data)
            self.file.write(data)

    def short(handler):
        file, handler.close_connection = handler.wfile, True
        handler.wfile = Short(file)
        try:
            page(handler)
        finally:
            handler.wfile = file

    return short
