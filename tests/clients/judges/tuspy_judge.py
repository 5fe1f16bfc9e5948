"""tuspy, the Python client of tus: `URL TOKEN FILE FOLDER`.

The name of a check that begins with "upload" is the name of the image that it makes.
"""

import asyncio
import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import requests
from report import Report
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.storage.filestorage import FileStorage
from tusclient.uploader import Uploader

url, token, file, folder = sys.argv[1:]
SIZE = Path(file).stat().st_size
#: Three parts, the last of which is the smallest.
PART = SIZE * 2 // 5
FORMATS = {"disk_format": "raw", "container_format": "bare"}
client = TusClient(f"{url}/uploads", headers={"X-Auth-Token": token})
report = Report("tuspy")


def uploader(name: str, **options: object) -> Uploader:
    """Return an uploader of the file to an image with this name."""
    given = {"file_path": file, "chunk_size": PART, "metadata": {"name": name, **FORMATS}}
    return client.uploader(**{**given, **options})


class Sha256Uploader(Uploader):
    """An uploader with a better checksum than SHA-1, as tuspy's documentation suggests."""

    CHECKSUM_ALGORITHM_PAIR = ("sha256", hashlib.sha256)


def refusal(request: Callable[[], object]) -> int | None:
    """Return the status with which a request of the client is refused, or None if it is not."""
    try:
        request()
    except (TusUploadFailed, TusCommunicationError) as error:
        return error.status_code
    return None


def check(name: str, **options: object) -> None:
    """Check that an upload with these options succeeds."""
    with report.check(name):
        uploader(name, **options).upload()


check("upload in one request", chunk_size=SIZE)
check("upload in parts")
check("upload of a stream", file_path=None, file_stream=io.BytesIO(Path(file).read_bytes()))
check("upload with SHA-1 of each part", upload_checksum=True)
with report.check(name := "upload with SHA-256 of each part"):
    Sha256Uploader(
        file_path=file,
        client=client,
        chunk_size=PART,
        metadata={"name": name, **FORMATS},
        upload_checksum=True,
    ).upload()
with report.check(name := "upload by the asynchronous client"):
    metadata = {"name": name, **FORMATS}
    asyncio.run(client.async_uploader(file_path=file, chunk_size=PART, metadata=metadata).upload())
check(name := "upload with a name in UTF-8: фото", metadata={"name": name, **FORMATS})
with report.check(name := "upload that another uploader continues by its URL"):
    first = uploader(name)
    first.upload(stop_at=PART)
    second = client.uploader(file_path=file, chunk_size=PART, url=first.url)
    assert (first.offset, second.offset) == (PART, PART)
    second.upload()
with report.check(name := "upload that a later run continues from its stored URLs"):
    path = f"{folder}/urls.json"
    storage = FileStorage(path)
    uploader(name, store_url=True, url_storage=storage).upload(stop_at=PART)
    storage.close()
    storage = FileStorage(path)
    later = uploader(name, store_url=True, url_storage=storage)
    assert later.offset == PART
    later.upload()
    storage.close()
with report.check(name := "upload that is retried after a wrong offset"):
    wrong = uploader(name, retries=1, retry_delay=0)
    wrong.upload(stop_at=PART)
    wrong.offset = 0
    wrong.upload()
with report.check("a wrong offset without a retry: refused"):
    refused = uploader("refused")
    refused.upload(stop_at=PART)
    refused.offset = 1
    assert refusal(refused.upload) == 409
with report.check("a terminated upload is gone"):
    gone = uploader("terminated")
    gone.upload(stop_at=PART)
    done = requests.delete(gone.url, headers=gone.get_headers(), timeout=60)
    assert done.status_code == 204, done.status_code
    assert refusal(gone.get_offset) in (404, 410)
report.print()
