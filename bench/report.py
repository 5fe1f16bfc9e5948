"""The figures as a table for readers."""

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
        """Add a transfer. `ratio`: speed relative to `cp` and `sha256sum`; `cpu`: the server's seconds."""
        speed = f"{size / MIB / seconds:,.0f} MiB/s"
        used = "" if cpu is None else f"{cpu / size * GIB:.2f} s/GiB"
        self._add(f"{name}, {size // MIB:,} MiB", speed, f"{ratio:.2f}", used)

    def rate(
        self, what: str, clients: int, per_second: float, cpu: float, ratio: float | None = None
    ) -> None:
        """Add responses per second. `cpu`: server's seconds for each; `ratio`: to the cheapest dialect."""
        times = "" if ratio is None else f"{ratio:.2f}"
        self._add(f"{what}, {clients} at a time", f"{per_second:,.0f} /s", times, f"{cpu * 1000:.2f} ms")

    def pages(self, what: str, seconds: Sequence[float], ratio: float, cpu: float) -> None:
        """Add the pages of a list: the medians of the first tenth, of all pages and of the last tenth.

        `cpu`: seconds the server had for a page; `ratio`: those of the last tenth to the first one's.
        """
        took = " / ".join(f"{one * 1000:.1f}" for one in seconds)
        self._add(f"{what}: first / all / last", f"{took} ms", f"{ratio:.2f}", f"{cpu * 1000:.2f} ms")

    def list(self, what: str, count: int, seconds: float, ratio: float, cpu: float) -> None:
        """Add a list. `ratio`: its time relative to the fewest images; `cpu`: the server's seconds."""
        took = f"{seconds * 1000:.2f} ms"
        self._add(f"list: {what} {count:,}", took, f"{ratio:.2f}", f"{cpu * 1000:.2f} ms")

    def memory(self, idle: int, after_transfers: int, after_requests: int) -> None:
        """Add peaks of resident memory, in bytes."""
        self._add("peak memory at start", f"{idle / MIB:.0f} MiB")
        self._add("peak memory after the transfers", f"{after_transfers / MIB:.0f} MiB")
        self._add("peak memory after the requests", f"{after_requests / MIB:.0f} MiB")

    def peak(self, what: str, memory: int) -> None:
        """Add a server's peak of resident memory in bytes, with its work."""
        self._add(f"peak memory: {what}", f"{memory / MIB:.0f} MiB")

    def note(self, text: str) -> None:
        """Add a line below the table."""
        self._notes.append(text)

    def show(self) -> None:
        """Print the report."""
        console = Console(highlight=False, soft_wrap=True)
        console.print(self._table)
        console.print("ratio: speed, cp + sha256sum being 1; of a list: time, the fewest images being 1")
        console.print(
            "  of a dialect: its CPU, the cheapest being 1; of pages: CPU, the first tenth's being 1"
        )
        for note in self._notes:
            console.print(note, markup=False)
        console.print(f"Python {platform.python_version()}, {platform.machine()}, {sys.platform}")

    def _add(self, what: str, figure: str, ratio: str = "", cpu: str = "") -> None:
        self._table.add_row(what, figure, ratio, cpu)
