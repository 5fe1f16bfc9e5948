"""The lines of the table and their goals."""

from __future__ import annotations

from dataclasses import dataclass

from figures import Row, at_most, at_most_times, times

GLANCE, REGISTRY, NGINX = "Glance", "registry", "nginx"
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
    clients: int = 8
    uploads: int = 4
    small: int = 64 << 10


def rows(sizes: Sizes) -> list[Row]:
    """Return all lines in the order of the page."""
    one, eight = mib(sizes.image), f"{sizes.streams} streams of {mib(sizes.stream)}"
    return [
        *_transfers(one, eight),
        *_requests(sizes),
        *_crowded(sizes),
        Row("memory", "peak memory of a process, transfers", "MiB", (at_most(100),), more=False),
        Row("memory-small", "peak memory of a process, requests", "MiB", (at_most(100),), more=False),
        Row("refused", "answer to 10 GiB that are refused", "ms", (at_most(50),), more=False, digits=1),
        Row("refused-read", "of which were read", "MiB", (at_most(1),), more=False, digits=2),
        Row("start", "start to first answer", "s", (at_most(1),), more=False, digits=2),
    ]


def _transfers(one: str, eight: str) -> list[Row]:
    glance2, nginx = times(2, GLANCE), times(1, NGINX)
    md5 = times(0.65, MACHINE, "md5", "MD5 alone")
    return [
        Row("upload", f"upload {one}, MD5 and SHA-256", "MiB/s", (times(2.2, GLANCE), md5)),
        Row("upload-sha256", f"upload {one}, SHA-256 only", "MiB/s", (nginx,)),
        Row("uploads", f"upload {eight}", "MiB/s", (times(1.6, GLANCE), times(1.2, REGISTRY))),
        Row("download", f"download {one}", "MiB/s", (nginx, glance2)),
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
    def lines(clients: int, plural: str) -> list[Row]:
        create, show = (times(10, GLANCE), times(1, REGISTRY)), (times(6, GLANCE), times(1, REGISTRY))
        small = f"{sizes.small >> 10} KiB"
        return [
            Row(
                f"create-{clients}", f"create and upload {small} to a disk, {clients} {plural}", "/s", create
            ),
            Row(f"show-{clients}", f"HEAD or show, {clients} {plural}", "/s", show),
        ]

    few, many, most = f"{sizes.few:,}", f"{sizes.many:,}", f"{sizes.most:,}"
    flat = at_most_times(1.5, "list-few", f"of {few}")
    return [
        *lines(1, "client"),
        *lines(sizes.clients, "clients"),
        Row("create-cpu", "processor time of a create and upload", "ms", more=False, digits=2),
        Row("show-cpu", "processor time of a HEAD or show", "ms", more=False, digits=2),
        Row("list-few", f"list 25 of {few}", "ms", (times(5, GLANCE),), more=False, digits=1),
        Row("list-many", f"list 25 of {many}", "ms", (times(5, GLANCE), flat), more=False, digits=1),
        Row("list-most", f"list 25 of {most}", "ms", (times(5, GLANCE), flat), more=False, digits=1),
    ]


def _crowded(sizes: Sizes) -> list[Row]:
    uploads = f"{sizes.uploads} uploads"
    goals = (at_most(15), at_most_times(4, "p99-idle", "idle"))
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


def mib(size: int) -> str:
    """Return a size in GiB, or in MiB if it is below 1 GiB."""
    return f"{size >> 30} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
