"""aiotus, an asyncio client of tus: `URL TOKEN FILE FOLDER`.

The name of a check that begins with "upload" is the name of the image that it makes.
"""

import asyncio
import io
import sys
from pathlib import Path

import aiohttp
import aiotus
import yarl
from aiotus import core, creation
from report import Report

url, token, file, _ = sys.argv[1:]
BODY = Path(file).read_bytes()
#: Three parts, the last of which is the smallest.
PART = len(BODY) * 2 // 5
ENDPOINT = f"{url}/uploads"
HEADERS = {"X-Auth-Token": token}
report = Report("aiotus")


def metadata(name: str) -> dict[str, bytes]:
    """Return the metadata of an image with this name."""
    return {"name": name.encode(), "disk_format": b"raw", "container_format": b"bare"}


async def judge() -> None:
    """Make all checks that use the library."""
    once = aiotus.RetryConfiguration(retry_attempts=1)
    own = {"config": once, "headers": HEADERS}
    async with aiohttp.ClientSession() as session:
        with report.check("configuration: the extensions"):
            found = await core.configuration(session, yarl.URL(ENDPOINT))
            assert found.protocol_versions == ["1.0.0"]
            assert {"creation", "checksum", "termination", "concatenation"} <= set(found.protocol_extensions)
    for name, part in (("upload in one request", len(BODY)), ("upload in parts", PART)):
        with report.check(name):
            done = await aiotus.upload(ENDPOINT, io.BytesIO(BODY), metadata(name), chunksize=part, **own)
            assert done is not None
    with report.check(name := "upload in parallel, in three partial uploads"):
        parts = [io.BytesIO(BODY[at : at + PART]) for at in range(0, len(BODY), PART)]
        assert await aiotus.upload_multiple(ENDPOINT, parts, metadata(name), **own) is not None
    async with aiohttp.ClientSession() as session:
        with report.check(name := "upload that is continued after its client was cut off"):
            given = metadata(name)
            location = await creation.create(
                session, yarl.URL(ENDPOINT), io.BytesIO(BODY), given, headers=HEADERS
            )
            await cut_off(location)
            await core.upload_buffer(session, location, io.BytesIO(BODY), chunksize=PART, headers=HEADERS)
        with report.check("metadata: as it was sent"):
            given = {**metadata("only metadata"), "os_distro": b"debian"}
            location = await creation.create(
                session, yarl.URL(ENDPOINT), io.BytesIO(BODY), given, headers=HEADERS
            )
            assert await aiotus.metadata(location, **own) == given


async def cut_off(location: yarl.URL) -> None:
    """Send a part, of which the client sends only half before it goes away."""

    async def half() -> object:
        yield BODY[: PART // 2]
        raise ConnectionAbortedError

    headers = {
        **HEADERS,
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "Content-Length": str(PART),
        "Content-Type": "application/offset+octet-stream",
    }
    async with aiohttp.ClientSession() as session:
        try:
            await session.patch(location, headers=headers, data=half())
        except (aiohttp.ClientError, ConnectionError):
            return
    raise AssertionError("half of a part was accepted")


asyncio.run(judge())
report.skipped["python -m aiotus"] = "it cannot send a token"
report.print()
