"""A table of figures for people to read."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

MIB = 1 << 20
GIB = 1 << 30


class Report:
    """Collects figures and prints them."""

    def __init__(self) -> None:
        self._table = Table(title="Calotype bench", title_justify="left")
        for heading in ("what", "figure", "ratio", "server's CPU"):
            self._table.add_column(heading, justify="left" if heading == "what" else "right")
        self._notes: list[str] = []

    def transfer(self, name: str, size: int, seconds: float, ratio: float, cpu: float | None = None) -> None:
        """Add a transfer.

        `ratio` is the speed relative to `cp` and `sha256sum`. `cpu` is the server's processor time.
        """
        speed = f"{size / MIB / seconds:,.0f} MiB/s"
        used = "" if cpu is None else f"{cpu / size * GIB:.2f} s/GiB"
        self._add(f"{name}, {size // MIB:,} MiB", speed, f"{ratio:.2f}", used)

    def rate(
        self, what: str, clients: int, per_second: float, cpu: float, ratio: float | None = None
    ) -> None:
        """Add responses per second.

        `cpu` is the server's processor time for each in seconds. `ratio` is relative to the cheapest dialect.
        """
        times = "" if ratio is None else f"{ratio:.2f}"
        self._add(f"{what}, {clients} at a time", f"{per_second:,.0f} /s", times, f"{cpu * 1000:.2f} ms")

    def pages(self, what: str, seconds: Sequence[float], ratio: float, cpu: float) -> None:
        """Add the pages of a list: the medians of the first tenth, of all pages and of the last tenth.

        `cpu` is the server's processor time for a page in seconds. `ratio` compares the processor time of the
        last tenth with that of the first tenth.
        """
        took = " / ".join(f"{one * 1000:.1f}" for one in seconds)
        self._add(f"{what}: first / all / last", f"{took} ms", f"{ratio:.2f}", f"{cpu * 1000:.2f} ms")

    def list(self, what: str, count: int, seconds: float, ratio: float, cpu: float) -> None:
        """Add a list of images.

        `ratio` is its time relative to the list of the fewest images. `cpu` is the server's processor time in
        seconds.
        """
        took = f"{seconds * 1000:.2f} ms"
        self._add(f"list: {what} {count:,}", took, f"{ratio:.2f}", f"{cpu * 1000:.2f} ms")

    def memory(self, idle: int, after_transfers: int, after_requests: int) -> None:
        """Add peaks of resident memory, in bytes."""
        self._add("peak memory at start", f"{idle / MIB:.0f} MiB")
        self._add("peak memory after the transfers", f"{after_transfers / MIB:.0f} MiB")
        self._add("peak memory after the requests", f"{after_requests / MIB:.0f} MiB")

    def peak(self, what: str, memory: int) -> None:
        """Add a server's peak of resident memory in bytes; `what` names its work."""
        self._add(f"peak memory: {what}", f"{memory / MIB:.0f} MiB")

    def note(self, text: str) -> None:
        """Add a line below the table."""
        self._notes.append(text)

    def show(self) -> None:
        """Print the report."""
        console = Console(highlight=False, soft_wrap=True)
        console.print(self._table)
        console.print("ratio: speed relative to cp + sha256sum; lists: time relative to the fewest images;")
        console.print("  dialects: CPU relative to the cheapest one; pages: CPU relative to the first tenth")
        for note in self._notes:
            console.print(note, markup=False)
        console.print(f"Python {platform.python_version()}, {platform.machine()}, {sys.platform}")

    def _add(self, what: str, figure: str, ratio: str = "", cpu: str = "") -> None:
        self._table.add_row(what, figure, ratio, cpu)
