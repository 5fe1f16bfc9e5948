"""Measure lists, deletes, sweeps and fsck among few and many images."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from urllib.parse import quote

from peers.calotype import BIN, Calotype
from peers.glance import Glance
from peers.postgres import Postgres
from sqlalchemy import create_engine, text

from client import Client
from growing.filling import COMMON, RARE, fill
from growing.plan import DATABASES, READS, Plan, point_name

LISTED = 25
#: The largest number of blobs that a sweep removes.
SWEPT = 1000
#: ext4 allows 65,000 links to a file.
_LINKS = 60_000


class Catalogue:
    """A server and its database, which is filled step by step."""

    def __init__(self, folder: Path, database: Postgres | None):
        """Create the catalogue with one image. Without PostgreSQL, its database is SQLite."""
        self.postgres, self.count = database, 0
        self.kind = "postgresql" if database else "sqlite"
        self.url = f"sqlite:///{folder / 'calotype.sqlite'}"
        if database:
            self.url = database.create("calotype").replace("://", "+psycopg://")
        folder.mkdir()
        self.server = Calotype(folder, {"sqlalchemy.url": self.url} if database else {})
        self.server.prepare()
        with self.running() as client:
            fields = {"Content_Type": "application/octet-stream", "x_image_meta_is_public": "true"}
            made = client.ask("POST", "/images", b"1", x_image_meta_name="image 0", **fields)
            self._pattern = json.loads(made.body)["image"]["id"]

    @contextlib.contextmanager
    def running(self) -> Iterator[Client]:
        """Start the server, and stop it after the block. Yield a connection to it."""
        self.server.start()
        try:
            with Client(self.server) as client:
                yield client
        finally:
            self.server.stop()

    def fill(self, count: int, *, located: bool) -> None:
        """Add images until there are this many. With `located`, each one has a location."""
        fill(self.url, self._pattern, range(self.count + 1, count + 1), located=located)
        self.count = count

    def link_files(self) -> None:
        """Give each location a file, which is a link to the file of the first image."""
        root = self.server.data_dir / "images"
        (source,) = root.glob(f"*/{self._pattern}.*")
        for number in range(256):
            (root / f"{number:02x}").mkdir(mode=0o750, exist_ok=True)
        for number, key in enumerate(self.select("SELECT key FROM image_locations WHERE state = 'stored'")):
            if number % _LINKS == _LINKS - 1:
                source = Path(shutil.copy2(source, root / f".source-{number}"))
            with contextlib.suppress(FileExistsError):
                os.link(source, f"{root}/{key[:2]}/{key}")
        for left in root.glob(".source-*"):
            left.unlink()

    def doom(self, blobs: int) -> None:
        """Delete images, so that a sweep must remove their blobs."""
        chosen = f"FROM image_locations WHERE state = 'stored' ORDER BY key LIMIT {blobs}"
        deleted = "UPDATE images SET status = 'deleted', deleted_at = created_at"
        self.select(f"{deleted} WHERE id IN (SELECT image_id {chosen})")
        self.select(f"UPDATE image_locations SET state = 'doomed' WHERE key IN (SELECT key {chosen})")

    def select(self, statement: str) -> list[str]:
        """Execute a statement; return the first column of its rows."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            done = connection.execute(text(statement))
            found = list(done.scalars()) if done.returns_rows else []
        engine.dispose()
        return found

    def manage(self, *words: str) -> tuple[float, str]:
        """Run a command of calotype-manage; return its duration in seconds and its output."""
        name, *options = words
        command = [BIN / "calotype-manage", name, self.server.folder / "calotype.ini"]
        command += [f"data_dir={self.server.folder}", f"http_port={self.server.port}"]
        began = time.perf_counter()
        done = subprocess.run([*command, *options], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return time.perf_counter() - began, done.stdout


def measure_catalogues(plan: Plan, folder: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, dict]]:
    """Yield the figures of each wanted point of a catalogue, with its name. One database exists at a time."""
    for database in DATABASES:
        if not any(wanted(name) for name in plan.names() if name.startswith(database)):
            continue
        own = folder / database
        with contextlib.ExitStack() as stack:
            peer = stack.enter_context(Postgres(folder / "postgres")) if database == "postgresql" else None
            yield from _measure(plan, Catalogue(own, peer), wanted)
        shutil.rmtree(own)


def _measure(plan: Plan, catalogue: Catalogue, wanted: Callable[[str], bool]) -> Iterator[tuple[str, dict]]:
    for count in plan.counts:
        named = {
            point_name(catalogue.kind, count, group): group for group in plan.groups(catalogue.kind, count)
        }
        missing = [name for name in named if wanted(name)]
        if missing:
            catalogue.fill(count, located=count <= plan.most_located)
        for name in missing:
            yield name, _MEASURES[named[name]](catalogue, plan.asked)


def _measure_reads(catalogue: Catalogue, asked: int) -> dict[str, float]:
    chance = random.Random(catalogue.count)
    names = [f"image {chance.randint(1, catalogue.count)}" for _ in range(asked)]
    quoted = ", ".join(f"'{name}'" for name in names)
    ids = catalogue.select(f"SELECT id FROM images WHERE name IN ({quoted}) AND deleted_at IS NULL")
    marker = "SELECT id FROM images WHERE deleted_at IS NULL ORDER BY created_at LIMIT 1 OFFSET 30"
    (last,) = catalogue.select(marker)
    listed = f"/v2/images?limit={LISTED}"

    def path(what: str) -> str:
        number = chance.randint(1, catalogue.count)
        return {
            "head": f"/images/{chance.choice(ids)}",
            "brief": f"/images?limit={LISTED}",
            "list": listed,
            "deep": f"{listed}&marker={last}",
            "name": f"{listed}&name={quote(f'image {number}')}",
            "property-rare": f"{listed}&rare={number // RARE}",
            "property-common": f"{listed}&common={number % COMMON}",
            "tag-rare": f"{listed}&tag=rare",
            "tag-common": f"{listed}&tag=common",
        }[what]

    waits: dict[str, list[float]] = {what: [] for what in READS}
    with catalogue.running() as client:
        for _ in range(asked):
            for what, own in waits.items():
                own.append(_seconds(client, "HEAD" if what == "head" else "GET", path(what)))
    return {what: median(own) * 1000 for what, own in waits.items()}


def _measure_writes(catalogue: Catalogue, asked: int) -> dict[str, float]:
    fields = {"Content_Type": "application/octet-stream", "x_image_meta_name": "image 0"}
    with catalogue.running() as client:
        made = [
            json.loads(client.ask("POST", "/images", os.urandom(64 << 10), **fields).body)
            for _ in range(asked)
        ]
        deletes = [_seconds(client, "DELETE", f"/images/{one['image']['id']}") for one in made]
    catalogue.link_files()
    blobs = min(SWEPT, catalogue.count // 10)
    idle, _ = catalogue.manage("sweep")
    catalogue.doom(blobs)
    busy, _ = catalogue.manage("sweep")
    return {"delete": median(deletes) * 1000, "sweep": blobs / (busy - idle)}


def _measure_fsck(catalogue: Catalogue, asked: int) -> dict[str, float]:
    """Measure the rate of fsck without its start, which takes as long as an idle sweep."""
    catalogue.link_files()
    idle, _ = catalogue.manage("sweep")
    busy, said = catalogue.manage("fsck", "--window=0")
    last = json.loads(said.splitlines()[-1])
    return {"fsck": (last["copies"] + last["objects"]) / (busy - idle)}


def _measure_glance(catalogue: Catalogue, asked: int) -> dict[str, float]:
    """Measure lists of 25 of us and of Glance in turn, with as many images in each."""
    folder = catalogue.server.folder / f"glance-{catalogue.count}"
    folder.mkdir()
    glance = Glance(folder, catalogue.postgres.create(f"glance_{catalogue.count}"))
    glance.prepare()
    glance.populate(catalogue.count)
    glance.start()
    waits: dict[str, list[float]] = {"ours": [], "ours-v2": [], "glance": []}
    try:
        with catalogue.running() as client, Client(glance) as other:
            for _ in range(max(asked // 4, 5)):
                waits["ours"].append(_seconds(client, "GET", f"/images?limit={LISTED}"))
                waits["ours-v2"].append(_seconds(client, "GET", f"/v2/images?limit={LISTED}"))
                waits["glance"].append(_seconds(other, "GET", f"/v2/images?limit={LISTED}"))
    finally:
        glance.stop()
    return {who: median(own) * 1000 for who, own in waits.items()}


def _seconds(client: Client, method: str, path: str) -> float:
    began = time.perf_counter()
    client.ask(method, path)
    return time.perf_counter() - began


_MEASURES: dict[str, Callable[[Catalogue, int], dict[str, float]]] = {
    "reads": _measure_reads,
    "fsck": _measure_fsck,
    "glance": _measure_glance,
    "writes": _measure_writes,
}
