"""Upload by one request of Images v2, which every server has."""

from __future__ import annotations

from collections.abc import Iterator

from calotype_client.errors import Unavailable
from calotype_client.images import Image
from calotype_client.transfers.pacing import Patience
from calotype_client.transfers.uploads import Upload, settled_status
from calotype_client.transport.transport import path_of


def send(upload: Upload, image: Image) -> None:
    """Send the file in one request, and again from its beginning if the connection breaks.

    Raises:
        CalotypeError: the server refused, or the connection kept breaking.
    """
    patience = Patience(upload.progress)
    path = path_of("images", image.id, "file")
    size = f"{upload.source.size}"
    headers = {"Content-Length": size, "X-OpenStack-Image-Size": size}
    if upload.options.store:
        headers["X-Image-Meta-Store"] = upload.options.store
    while True:
        body = _Body(upload)
        try:
            if settled_status(upload.service, image) != "active":
                upload.service.transport.send("PUT", path, iter(body), headers)
            return
        except Unavailable as error:
            upload.advance(-body.sent)
            patience.wait(error)


class _Body:
    """The blocks of the whole file, and how many bytes of them were sent."""

    def __init__(self, upload: Upload):
        self._upload = upload
        self.sent = 0

    def __iter__(self) -> Iterator[memoryview]:
        for block in self._upload.blocks(0, self._upload.source.size):
            yield block
            self.sent += len(block)
            self._upload.advance(len(block))
