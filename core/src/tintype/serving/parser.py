"""A request parser that keeps meta headers whose names have `_`, and refuses what could be read in two ways.

Stock waitress drops every header with `_` in its name, and with it most of what image
clients send. Here `_` is taken for `-` in names that begin `x-image-meta-` or
`x-glance-`; all other names with `_` are dropped as before, for they could pass for
another header. A meta header that comes twice, in one spelling or in two, is refused,
and so is a second one of those that say where the request ends and whom it is for.
"""

from __future__ import annotations

from waitress.parser import HTTPRequestParser, ParsingError

_META = (b"x-image-meta-", b"x-glance-")
_SINGLE = frozenset(
    {b"host", b"content-length", b"content-type", b"transfer-encoding", b"x-auth-token", b"expect"}
)


class RequestParser(HTTPRequestParser):
    """waitress's parser behind a look at each header's name."""

    def parse_header(self, header_plus: bytes) -> None:
        """Fold meta headers' names, then parse.

        Raises:
            ParsingError: a header that must be alone is not; becomes a 400.
        """
        first_line, *lines = header_plus.split(b"\r\n")
        seen: set[bytes] = set()
        folded = [self._fold(line, seen) for line in lines]
        super().parse_header(b"\r\n".join([first_line, *folded]))

    def _fold(self, line: bytes, seen: set[bytes]) -> bytes:
        name, colon, value = line.partition(b":")
        lowered = name.lower().replace(b"_", b"-")
        is_meta = lowered.startswith(_META)
        if is_meta or (lowered in _SINGLE and b"_" not in name):
            if lowered in seen:
                raise ParsingError(f"Header {lowered[:80].decode('latin-1')} came twice")
            seen.add(lowered)
        return lowered + colon + value if is_meta else line
