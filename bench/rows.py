"""The lines of the table and their goals."""

from __future__ import annotations

from dataclasses import dataclass

from figures import Goal, Row, at_most, at_most_times, times

GLANCE, REGISTRY, NGINX = "Glance", "registry", "nginx"
#: Calotype with one process. Its figures have a table of their own.
ONE = "Calotype, one process"
#: Names under which other figures are recorded. They are shown below the table and have no column.
MACHINE, V2, ON_POSTGRESQL = "This machine alone", "Calotype through Images v2", "Calotype on PostgreSQL"


@dataclass(frozen=True)
class Sizes:
    """The sizes and numbers of images and clients. The names of rows contain them."""

    image: int
    stream: int
    few: int
    many: int
    most: int
    readers: int
    streams: int = 8
    creators: tuple[int, ...] = (1, 8, 32)
    askers: tuple[int, ...] = (1, 8)
    uploads: int = 4
    small: int = 64 << 10


def rows(sizes: Sizes) -> list[Row]:
    """Return all lines in the order of the page."""
    one, eight = mib(sizes.image), f"{sizes.streams} streams of {mib(sizes.stream)}"
    return [
        *_transfers(one, eight),
        *_requests(sizes),
        *_lists(sizes),
        *_crowded(sizes),
        Row(
            "pss", f"PSS of all processes, {sizes.streams} uploads", "MiB", (at_most(180, "MiB"),), more=False
        ),
        Row("memory", "peak RSS of a process, transfers", "MiB", (at_most(100, "MiB"),), more=False),
        Row(
            "memory-small",
            "peak RSS of a process, requests",
            "MiB",
            (at_most(100, "MiB"),),
            more=False,
        ),
        Row("refused", "answer to 10 GiB that are refused", "ms", (at_most(50, "ms"),), more=False, digits=1),
        Row("refused-read", "of which were read", "MiB", (at_most(1, "MiB"),), more=False, digits=2),
        Row("start", "start to first answer", "s", (_half_of_glance("start"),), more=False, digits=2),
    ]


def _half_of_glance(row: str) -> Goal:
    return at_most_times(0.5, row, GLANCE, GLANCE)


def _transfers(one: str, eight: str) -> list[Row]:
    nginx, md5 = times(1, NGINX), times(0.75, MACHINE, "md5", "MD5 alone")
    return [
        Row("upload", f"upload {one}, MD5 and SHA-256", "MiB/s", (md5,)),
        Row("upload-sha256", f"upload {one}, SHA-256 only", "MiB/s", (nginx,)),
        Row("uploads", f"upload {eight}", "MiB/s", (times(2, GLANCE), times(1.2, REGISTRY))),
        Row("download", f"download {one}", "MiB/s", (nginx,)),
        Row("downloads", f"download {eight}", "MiB/s", (nginx,)),
        Row("upload-cpu", "processor time of an upload", "s/GiB", more=False, digits=2),
        Row("download-cpu", "processor time of a download", "s/GiB", more=False, digits=2),
        Row("upload-disk", f"upload {one} to a disk", "MiB/s"),
        Row("written", "bytes written to it for each", "", (at_most(1.01),), more=False, digits=3),
        Row("md5", "MD5 on one core", "MiB/s"),
        Row("sha256", "SHA-256 on one core", "MiB/s"),
        Row("cp", f"cp and sha256sum of {one}", "MiB/s"),
    ]


def _requests(sizes: Sizes) -> list[Row]:
    create, show = (times(10, GLANCE), times(1.1, REGISTRY)), (times(6, GLANCE), times(1.3, REGISTRY))
    stored = f"create and upload {sizes.small >> 10} KiB to a disk"
    return [
        *(Row(f"create-{count}", f"{stored}, {_clients(count)}", "/s", create) for count in sizes.creators),
        *(Row(f"show-{count}", f"HEAD or show, {_clients(count)}", "/s", show) for count in sizes.askers),
        Row("create-cpu", "processor time of a create and upload", "ms", more=False, digits=2),
        Row(
            "show-cpu", "processor time of a HEAD or show", "ms", (at_most(0.7, "ms"),), more=False, digits=2
        ),
    ]


def _lists(sizes: Sizes) -> list[Row]:
    few, many, most = f"{sizes.few:,}", f"{sizes.many:,}", f"{sizes.most:,}"
    flat = at_most_times(1.5, "list-few", f"that of {few}")
    return [
        Row("list-few", f"list 25 of {few}", "ms", more=False, digits=1),
        Row("list-many", f"list 25 of {many}", "ms", (flat,), more=False, digits=1),
        Row("list-most", f"list 25 of {most}", "ms", (times(8, GLANCE), flat), more=False, digits=1),
    ]


def _crowded(sizes: Sizes) -> list[Row]:
    uploads = f"{sizes.uploads} uploads"
    goals = (at_most_times(4, "p99-idle", "idle"),)
    return [
        Row("p99-idle", "p99 of HEAD, nothing else", "ms", more=False, digits=1),
        Row("p99-uploads", f"p99 of HEAD, {uploads}", "ms", goals, more=False, digits=1),
        Row(
            "p99-all",
            f"p99 of HEAD, {uploads}, {sizes.readers} slow downloads",
            "ms",
            goals,
            more=False,
            digits=1,
        ),
    ]


def _clients(count: int) -> str:
    return f"{count} client" if count == 1 else f"{count} clients"


def mib(size: int) -> str:
    """Return a size in GiB, or in MiB if it is below 1 GiB."""
    return f"{size >> 30} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
