"""Cuts: end the client, the server or the connection of a resumable upload, at random moments.

Then the upload is resumed. At most the parts that were on their way are sent again, exactly one image is
active, its bytes are those of the client, and neither sessions nor bytes are left over.
"""

from __future__ import annotations

import datetime
import enum
import hashlib
import itertools
import json
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import update

from calotype.database.tables import SessionRow
from tests.faults.campaign import resuming
from tests.faults.campaign.clients import FORMATS, JSON
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.phases import Scene, opened
from tests.faults.campaign.resuming import BUSY, PARALLEL, PART, UNKNOWN, WAYS
from tests.faults.campaign.surroundings import PLAIN, Surroundings
from tests.faults.campaign.victim import Victim, pause
from tests.support.long_line import LongLine

#: Sizes of images: below and above the smallest part of S3.
_SIZES = (2_500_000, 12_000_000)
#: The rate of the line in bytes per second, so that there are moments between the start and the end.
_RATE = 12 << 20
#: Seconds within which a resumed upload must be complete.
_PATIENCE = 60


class Cut(enum.Enum):
    """A way to cut off an upload."""

    CLIENT = "its client is killed"
    SERVER = "its server is killed"
    RESET = "its connection is reset"
    BOTH = "client and server are killed"


def cut(
    how: Cut, databases: Databases, folder: Path, times: int, seed: int, surroundings: Surroundings = PLAIN
) -> Tally:
    """Cut off `times` uploads, in each protocol in turn, at random moments, and resume them."""
    tally = Tally(surroundings.title(f"resumable upload: {how.value}"), databases.name)
    dice = random.Random(f"{seed} {how}")
    with (
        opened(databases, folder, surroundings=surroundings, settle=_expire) as scene,
        LongLine("127.0.0.1", scene.victim.port, rate=_RATE) as line,
    ):
        for number, way in zip(range(times), itertools.cycle(WAYS[seed % len(WAYS) :] + WAYS), strict=False):
            body = dice.randbytes(dice.choice(_SIZES))
            upload = _Upload(scene.victim, folder / f"client{number}", way, body)
            upload.start(line.url)
            moment = dice.uniform(0.02, 0.3 + len(body) / _RATE)
            pause(moment)
            _apply(how, scene, line, upload)
            found = [*upload.finish(line.url), *scene.judge(), *upload.broken()]
            tally.add(found, f"{way}, {len(body)} bytes, {moment:.3f} s")
    return tally


def _apply(how: Cut, scene: Scene, line: LongLine, upload: _Upload) -> None:
    if how in (Cut.CLIENT, Cut.BOTH):
        upload.kill()
    if how in (Cut.SERVER, Cut.BOTH):
        scene.victim.kill()
        scene.victim.start()
        line.target = ("127.0.0.1", scene.victim.port)
    if how is Cut.RESET:
        line.reset()


def _expire(scene: Scene) -> None:
    """Let all sessions expire, as those do whose creation was not answered before the client died."""
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    with scene.victim.service.database.engine.begin() as connection:
        connection.execute(update(SessionRow).values(expires_at=long_ago))


class _Upload:
    """An upload of one image by a client in a process of its own."""

    def __init__(self, victim: Victim, folder: Path, way: str, body: bytes):
        self._victim = victim
        self._way = way
        self._body = body
        self._folder = folder
        folder.mkdir(parents=True)
        (folder / "body").write_bytes(body)
        #: Its name is unique. In the IETF's draft, an image with this name is reserved first.
        self._name = str(uuid.uuid4())
        self._image_id = self._reserve() if way == "draft" else ""

    def _reserve(self) -> str:
        document = {"name": self._name, **FORMATS}
        return self._victim.post("/v2/images", JSON, json.dumps(document).encode()).json["id"]

    def start(self, url: str) -> None:
        """Start the client, or let it continue."""
        headers = [f"{name}={value}" for name, value in self._victim.client_headers.items()]
        words = [url, self._folder, self._way, self._image_id or self._name, *headers]
        program = [sys.executable, "-S", "-E", resuming.__file__]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*program, *words], stdin=subprocess.DEVNULL, stderr=log)

    def kill(self) -> None:
        """Kill the client."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def finish(self, url: str) -> Iterator[str]:
        """Let the client continue until its upload is complete, and yield what is wrong."""
        end = time.monotonic() + _PATIENCE
        while status := self._process.wait(_PATIENCE):
            if time.monotonic() > end:
                yield f"it cannot be resumed: {self._log}"
                return
            if status == UNKNOWN:
                # The image has a session that nobody knows, and that would expire. Take another image.
                self._victim.delete(f"/v2/images/{self._image_id}")
                self._image_id = self._reserve()
            elif status not in (BUSY, -signal.SIGKILL):
                yield f"its client ended with {status}: {self._log}"
                return
            pause(0.1)
            self.start(url)
        again = self._sent - len(self._body)
        most = PART * (PARALLEL if self._way == "parallel" else 1)
        if again > most:
            yield f"{again} bytes were sent again, but at most {most} were on their way: {self._log}"

    @property
    def _sent(self) -> int:
        return sum(map(int, (self._folder / "sent").read_text().split()))

    @property
    def _log(self) -> str:
        return (self._folder / "log").read_text()[-2000:]

    def broken(self) -> Iterator[str]:
        """Yield what is wrong with its image, and delete it."""
        listed = self._victim.get(f"/v2/images?name={self._name}").json["images"]
        active = [image for image in listed if image["status"] == "active"]
        if len(active) != 1:
            statuses = ", ".join(image["status"] for image in listed)
            yield f"{len(active)} images are active, of {statuses or 'none'}: {self._log}"
        for image in active:
            if image["os_hash_value"] != hashlib.sha256(self._body).hexdigest():
                yield "the image's hash is not that of its bytes"
            if self._victim.get(f"/v2/images/{image['id']}/file").body != self._body:
                yield "other bytes came back than were sent"
        for image in listed:
            self._victim.delete(f"/v2/images/{image['id']}")
