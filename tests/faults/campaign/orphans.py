"""fsck among many objects: it finds every seeded orphan, and nothing else, while clients upload.

    python -m tests.faults.campaign.orphans --objects 100000 --orphans 10000

There is no window: only their rows protect the objects that clients upload and delete meanwhile.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import time
import uuid
from collections.abc import Iterator

import click
from sqlalchemy import insert

from calotype.database.tables import ImageRow, LocationRow
from calotype.model.images import LocationState, Visibility
from calotype.model.states import Status
from tests.faults.campaign.clients import Client
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.ledger import Ledger
from tests.faults.campaign.victim import Victim, victim
from tests.servers.common import run_folder
from tests.support.results import RESULTS, write_page

#: The least number of objects for which a run writes docs/results/fsck.md.
OBJECTS = 100_000
_CLIENTS = 3
_BYTES = b"bytes of an image"
_BATCH = 1000


@click.command()
@click.option("--objects", default=OBJECTS, show_default=True, help="Blobs in the store, orphans among them.")
@click.option("--orphans", default=10_000, show_default=True, help="Blobs without a row.")
def main(objects: int, orphans: int) -> None:
    """Seed a file store and SQLite, run `calotype-manage fsck` during uploads, and print what it found."""
    with (
        run_folder() as folder,
        victim(folder / "v", Databases("sqlite").make(), {"calotype.lease": "30"}) as running,
    ):
        seeded = seed(running, objects, orphans)
        ledger = Ledger()
        clients = [Client(running, ledger, number) for number in range(_CLIENTS)]
        for client in clients:
            client.start()
        began = time.monotonic()
        _, said = running.run("fsck", "--window=0", "--store=fast")
        took = time.monotonic() - began
        for client in clients:
            client.end.set()
            client.join()
        *lines, last = (json.loads(line) for line in said.splitlines())
    found = {line["key"] for line in lines if line["fault"] == "orphan"}
    false = [line for line in lines if line["key"] not in seeded]
    text = (
        f"{len(found & seeded):,} of {len(seeded):,} orphans were found among {objects:,} objects, with "
        f"{len(false)} false findings, during {len(ledger.items())} uploads and at "
        f"{(last['copies'] + last['objects']) / took:,.0f} objects a second."
    )
    click.echo(text)
    if objects >= OBJECTS:
        command = "python -m tests.faults.campaign.orphans"
        write_page(RESULTS / "fsck.md", "fsck among many objects", command, text)
    for line in false[:10]:
        click.echo(f"    {line}")
    if false or found != seeded:
        raise click.exceptions.Exit(1)


def seed(running: Victim, objects: int, orphans: int) -> set[str]:
    """Make blobs, and rows for all except the orphans, and return the locations of the orphans."""
    now = datetime.datetime.now(datetime.UTC)
    root = running.data_dir / "fast"
    image_ids = [str(uuid.uuid4()) for _ in range(objects)]
    keys = {image_id: f"{image_id}.0123456789ab" for image_id in image_ids}
    for key in keys.values():
        shard = root / key[:2]
        shard.mkdir(parents=True, exist_ok=True)
        (shard / key).write_bytes(_BYTES)
    image = {
        "status": Status.ACTIVE,
        "visibility": Visibility.PRIVATE,
        "protected": False,
        "min_disk": 0,
        "min_ram": 0,
        "os_hidden": False,
        "size": len(_BYTES),
        "os_hash_algo": "sha256",
        "os_hash_value": hashlib.sha256(_BYTES).hexdigest(),
        "created_at": now,
        "updated_at": now,
    }
    blob = {
        "store": "fast",
        "state": LocationState.STORED,
        "external": False,
        "counted": 0,
        "created_at": now,
    }
    with running.service.database.engine.begin() as connection:
        for batch in _batches(image_ids[orphans:]):
            connection.execute(insert(ImageRow), [{**image, "id": one} for one in batch])
            rows = [{"key": keys[one], "image_id": one, "location": f"file:{keys[one]}"} for one in batch]
            connection.execute(insert(LocationRow), [{**blob, **row} for row in rows])
    return {f"file:{keys[one]}" for one in image_ids[:orphans]}


def _batches(ids: list[str]) -> Iterator[list[str]]:
    return (ids[at : at + _BATCH] for at in range(0, len(ids), _BATCH))


if __name__ == "__main__":
    main()
