"""The points of the curves, in the order in which they are measured."""

from __future__ import annotations

from dataclasses import dataclass

REQUESTS = ("HEAD", "list of 25", "create with 64 KiB")
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
#: What is measured of each catalogue: its key, its name on the page, and its unit.
READS = {
    "head": "HEAD",
    "brief": "list of 25, classic",
    "list": "list of 25, v2",
    "deep": "the last page, v2",
    "name": "filter by a name",
    "property-rare": "filter by a property of 10 images",
    "property-common": "filter by a property of every tenth image",
    "tag-rare": "filter by a tag of 10 images",
    "tag-common": "filter by a tag of every tenth image",
}
WRITES = {"delete": "delete, ms", "sweep": "sweep, blobs a second"}
CHECKS = {"fsck": "fsck, copies and objects a second"}


@dataclass(frozen=True)
class Plan:
    """The places on the curves, and how much is measured at each."""

    processes: tuple[int, ...]
    connections: tuple[int, ...]
    counts: tuple[int, ...]
    #: The largest catalogue whose images have bytes. Larger ones are only read.
    most_located: int
    seconds: float
    asked: int

    def loads(self) -> list[tuple[int, int]]:
        """Return the numbers of processes and connections of each load."""
        return [(processes, connections) for processes in self.processes for connections in self.connections]

    def groups(self, database: str, count: int) -> list[str]:
        """Return what is measured together of a catalogue with this many images."""
        if count > self.most_located:
            return ["reads"]
        # The writes come last, because fsck would report the images whose blobs a sweep has removed.
        beside = ["glance"] if database == "postgresql" else []
        return ["reads", "fsck", *beside, "writes"]

    def names(self) -> list[str]:
        """Return the names of all points."""
        loads = [load_name(*load) for load in self.loads()]
        return loads + [
            point_name(database, count, group)
            for database in DATABASES
            for count in self.counts
            for group in self.groups(database, count)
        ]


FULL = Plan(
    processes=(1, 2),
    connections=(1, 8, 64, 512),
    counts=(1_000, 100_000, 1_000_000, 10_000_000),
    most_located=1_000_000,
    seconds=10,
    asked=200,
)
QUICK = Plan(
    processes=(1,),
    connections=(1, 8),
    counts=(100, 1_000),
    most_located=100,
    seconds=0.5,
    asked=10,
)


def load_name(processes: int, connections: int) -> str:
    """Return the name of the point of a load."""
    return f"load {processes} {connections}"


def point_name(database: str, count: int, group: str) -> str:
    """Return the name of a point of a catalogue."""
    return f"{database} {count} {group}"
