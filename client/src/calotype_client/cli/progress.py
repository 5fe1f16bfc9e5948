"""Show the progress of a transfer: a bar on a terminal, lines of JSON for programs, or nothing."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from calotype_client.cli.printing import human_size, printable
from calotype_client.transfers.progress import SILENT, Progress

Command = TypeVar("Command", bound=Callable[..., Any])
#: Seconds between two updates.
_BAR, _LINE = 0.1, 0.5
#: Widths below which a line shows only what matters most, and above which the bar fills the line.
_NARROW, _WIDE = 70, 120


def progress_option(command: Command) -> Command:
    """Add the option that chooses how progress is shown."""
    return click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "json", "none"]),
        default="auto",
        show_default=True,
        help="Show a bar, or write lines of JSON, on standard error. auto: a bar on a terminal.",
    )(command)


@contextlib.contextmanager
def shown_progress(kind: str) -> Iterator[Progress]:
    """Yield a listener that shows the progress in this way until the block ends."""
    if kind == "bar" or (kind == "auto" and sys.stderr.isatty()):
        with _Bar() as bar:
            yield bar
    elif kind == "json":
        lines = _Lines()
        yield lines
        lines.write()
    else:
        yield SILENT


class _Counting:
    """The state of a transfer, and how often it is shown."""

    def __init__(self, pause: float):
        self._pause = pause
        self._lock = threading.Lock()
        self._began = self._shown_at = time.monotonic()
        self.description = ""
        self.size: int | None = None
        self.transferred = 0

    def begin(self, description: str, size: int | None) -> None:
        """Begin a transfer."""
        self._began = time.monotonic()
        self.description, self.size, self.transferred = description, size, 0
        self.show()

    def advance(self, count: int) -> None:
        """Count bytes, and show them from time to time."""
        with self._lock:
            self.transferred += count
            now = time.monotonic()
            is_due = now - self._shown_at >= self._pause or self.transferred == self.size
            if is_due:
                self._shown_at = now
        if is_due:
            self.show()

    def show(self) -> None:
        """Show the state."""
        raise NotImplementedError


class _Lines(_Counting):
    """Lines of JSON with `transferred`, `size`, `elapsed` and `description`."""

    def __init__(self) -> None:
        super().__init__(_LINE)

    def phase(self, description: str) -> None:
        """Write a line about what happens now."""
        self.description = description
        self.show()

    def show(self) -> None:
        """Write a line."""
        self.write()

    def write(self) -> None:
        """Write a line."""
        line = {
            "transferred": self.transferred,
            "size": self.size,
            "elapsed": round(time.monotonic() - self._began, 3),
            "description": self.description,
        }
        click.echo(json.dumps(line), err=True)


class _Bar(_Counting):
    """A bar with bytes, rate and time left, and below it what the server does."""

    def __init__(self) -> None:
        super().__init__(_BAR)
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self.show()  # the last line says what was transferred, not what was done at its end
            self._bar.stop()

    def begin(self, description: str, size: int | None) -> None:
        """Begin a bar."""
        from rich.console import Console
        from rich.progress import Progress as RichProgress

        console = Console(stderr=True, highlight=False)
        columns = _columns(console.width) if size is not None else _columns_without_size()
        self._bar = RichProgress(*columns, console=console, refresh_per_second=8)
        self._task = self._bar.add_task(_words(description), total=size)
        self._bar.start()
        super().begin(description, size)

    def phase(self, description: str) -> None:
        """Show what happens now instead of what is transferred."""
        if self._bar is not None:
            self._bar.update(self._task, description=_words(description))

    def show(self) -> None:
        """Update the bar."""
        if self._bar is not None:
            self._bar.update(
                self._task, description=_words(self.description), completed=max(0, self.transferred)
            )


def _columns(width: int) -> list[Any]:
    from rich.progress import BarColumn, DownloadColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column

    words = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    if width < _NARROW:
        return [words, TaskProgressColumn(), _rate()]
    return [
        words,
        BarColumn(bar_width=None if width > _WIDE else 14),
        DownloadColumn(binary_units=True),
        _rate(),
        TimeRemainingColumn(compact=True),
    ]


def _columns_without_size() -> list[Any]:
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    return [SpinnerColumn("line"), TextColumn("{task.description}"), _rate(), TimeElapsedColumn()]


def _rate() -> Any:
    """Return a column with the bytes in a second, in the units of the other columns."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{human_size(int(speed))}/s" if speed else "")

    return Rate()


def _words(description: str) -> str:
    from rich.markup import escape

    return escape(printable(description))
