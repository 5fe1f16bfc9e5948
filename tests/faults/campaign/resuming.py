"""A client of resumable uploads that may be killed at any moment: it knows only what is in its files.

`python resuming.py URL FOLDER WAY NAME` uploads the file FOLDER/body, or continues where an earlier run has
stopped. NAME is the name of the new image, or in the IETF's draft the id of the queued image.

FOLDER/uploadN has the path of the upload with the number N, and FOLDER/sent a line for each block that was
sent. The exit status is `BUSY` if the client must be run again, because the connection broke or the server
asked it to try again.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

#: The bytes of one request, and of one line of FOLDER/sent.
PART, BLOCK = 1 << 20, 1 << 14
#: The ways to upload: one tus upload, several that are concatenated, and the IETF's draft.
WAYS = ("tus", "parallel", "draft")
#: The number of uploads that are concatenated.
PARALLEL = 3
#: Exit statuses: run it again; the image has an upload whose path did not arrive.
BUSY, UNKNOWN = 75, 76
_AGAIN = (423, 503)
_TUS = {"Tus-Resumable": "1.0.0"}
_FORMATS = {"disk_format": "raw", "container_format": "bare"}


class Busy(Exception):
    """The connection broke, or the server asked the client to try again."""


class Conflict(Busy):
    """The upload has changed meanwhile."""


class Refused(Exception):
    """The server refused a request."""


class Client:
    """The connection to a service, and the files of this client."""

    def __init__(self, url: str, folder: Path, headers: Mapping[str, str]):
        self._address = (urlsplit(url).hostname or "", urlsplit(url).port or 80)
        self._headers = headers
        self.folder = folder
        self._sent = os.open(folder / "sent", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], blocks: Iterable[bytes] = ()
    ) -> Mapping[str, str]:
        """Send a request, and return the headers of the answer."""
        try:
            with contextlib.closing(http.client.HTTPConnection(*self._address, timeout=60)) as connection:
                connection.putrequest(method, path)
                for name, value in {**self._headers, **headers}.items():
                    connection.putheader(name, value)
                connection.endheaders()
                for block in blocks:
                    connection.send(block)
                    os.write(self._sent, b"%d\n" % len(block))
                answer = connection.getresponse()
                text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise Busy(f"{method} {path}: {error!r}") from error
        said = f"{method} {path}: {answer.status} {text}"
        if answer.status == 409:
            raise Conflict(said)
        if answer.status in _AGAIN:
            raise Busy(said)
        if not 200 <= answer.status < 300:
            raise Refused(said)
        return answer.headers

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield these bytes of the file in blocks."""
        with (self.folder / "body").open("rb") as file:
            for at in range(start, end, BLOCK):
                file.seek(at)
                yield file.read(min(BLOCK, end - at))


class Upload:
    """A tus upload of the file's bytes from `start` to `end`."""

    def __init__(self, client: Client, number: int, start: int, end: int, headers: Mapping[str, str]):
        """`headers` belong to the request that creates the upload."""
        self._client = client
        self._known = client.folder / f"upload{number}"
        self._start = start
        self._length = end - start
        self._headers = headers

    def run(self) -> str:
        """Send the bytes that the server lacks, and return the path of the upload."""
        if not self._known.exists():
            path = urlsplit(self._create()["Location"]).path
            # A client that is killed while it writes must not find half a path later.
            self._known.with_suffix(".new").write_text(path)
            self._known.with_suffix(".new").rename(self._known)
        path = self._known.read_text()
        state = self._client.ask("HEAD", path, self._common())
        while not self._is_complete(state):
            state = self._send(path, int(state["Upload-Offset"]))
        return path

    def _send(self, path: str, offset: int) -> Mapping[str, str]:
        end = min(offset + PART, self._length)
        headers = {**self._about(end), "Upload-Offset": f"{offset}", "Content-Length": f"{end - offset}"}
        blocks = self._client.blocks(self._start + offset, self._start + end)
        return self._client.ask("PATCH", path, headers, blocks)

    def _create(self) -> Mapping[str, str]:
        headers = {**_TUS, **self._headers, "Upload-Length": f"{self._length}", "Content-Length": "0"}
        return self._client.ask("POST", "/uploads", headers)

    def _common(self) -> Mapping[str, str]:
        return _TUS

    def _about(self, end: int) -> Mapping[str, str]:
        """Return the headers of a request whose bytes end there."""
        return {**_TUS, "Content-Type": "application/offset+octet-stream"}

    def _is_complete(self, state: Mapping[str, str]) -> bool:
        return int(state["Upload-Offset"]) == self._length


class DraftUpload(Upload):
    """An upload of the whole file to a queued image as the IETF's draft defines it."""

    def _create(self) -> Mapping[str, str]:
        about = {"Upload-Complete": "?0", "Upload-Length": f"{self._length}", "Content-Length": "0"}
        headers = {**about, "Content-Type": "application/octet-stream"}
        path = f"/v2/images/{self._headers['image']}/file"
        try:
            return self._client.ask("PUT", path, headers)
        except Conflict as conflict:
            raise SystemExit(UNKNOWN) from conflict

    def _common(self) -> Mapping[str, str]:
        return {}

    def _about(self, end: int) -> Mapping[str, str]:
        last = "?1" if end == self._length else "?0"
        return {"Content-Type": "application/partial-upload", "Upload-Complete": last}

    def _is_complete(self, state: Mapping[str, str]) -> bool:
        return state["Upload-Complete"] == "?1"


def _metadata(name: str) -> dict[str, str]:
    fields = {"name": name, **_FORMATS}
    pairs = [f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items()]
    return {"Upload-Metadata": ",".join(pairs)}


def _upload_in_parallel(client: Client, size: int, name: str) -> None:
    """Upload slices of the file at the same time, and concatenate them."""
    bounds = [size * number // PARALLEL for number in range(PARALLEL + 1)]
    partial = {"Upload-Concat": "partial"}
    uploads = [Upload(client, n, bounds[n], bounds[n + 1], partial) for n in range(PARALLEL)]
    paths = client.folder / "paths"
    is_new = not paths.exists()
    if is_new:
        with ThreadPoolExecutor(PARALLEL) as threads:
            paths.write_text(" ".join(threads.map(Upload.run, uploads)))
    final = {"Upload-Concat": f"final;{paths.read_text()}", "Content-Length": "0"}
    try:
        client.ask("POST", "/uploads", {**_TUS, **_metadata(name), **final})
    except Refused:
        # An earlier request, whose answer did not arrive, may have used the slices.
        if is_new:
            raise


def main(url: str, folder: Path, way: str, name: str, *headers: str) -> None:
    """Upload the file, or continue."""
    client = Client(url, folder, dict(header.split("=", 1) for header in headers))
    size = (folder / "body").stat().st_size
    try:
        if way == "parallel":
            _upload_in_parallel(client, size, name)
        elif way == "tus":
            Upload(client, 0, 0, size, _metadata(name)).run()
        else:
            DraftUpload(client, 0, 0, size, {"image": name}).run()
    except Busy as busy:
        print(busy, file=sys.stderr)
        raise SystemExit(BUSY) from busy


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
