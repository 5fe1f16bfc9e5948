"""Show the progress of a transfer: a bar on a terminal, lines of JSON for programs, or nothing."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from calotype_client.cli.printing import human_size, printable
from calotype_client.transfers.progress import SILENT, Progress, Subject

Command = TypeVar("Command", bound=Callable[..., Any])
#: Seconds between two updates, and the updates over which the rate is measured.
_BAR, _LINE, _SAMPLES = 0.1, 0.5, 50
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
        lines.phase("done", str(lines.subject))
    else:
        yield SILENT


class _Counting:
    """The state of a transfer, and how often it is shown."""

    def __init__(self, pause: float):
        self._pause = pause
        self._lock = threading.Lock()
        self.subject = Subject("", None)
        self.began = self._shown_at = self.phase_began = time.monotonic()
        self.phase_name, self.description = "transfer", ""
        self.size: int | None = None
        #: Bytes that the other end has, and those of them that were really transferred.
        self.transferred = self.moved = 0
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def begin(self, subject: Subject, size: int | None) -> None:
        """Begin a transfer."""
        self.subject, self.size, self.transferred, self.moved = subject, size, 0, 0
        self.began = time.monotonic()
        self._samples.append((self.began, 0))
        self._transfer()
        self.show()

    def advance(self, count: int) -> None:
        """Count bytes, and show them from time to time."""
        self._count(count, count)

    def skip(self, count: int) -> None:
        """Count bytes that need no transfer, so that the rate does not contain them."""
        self._count(count, 0)

    def _count(self, count: int, moved: int) -> None:
        with self._lock:
            self.transferred += count
            self.moved += moved
            now = time.monotonic()
            is_due = now - self._shown_at >= self._pause or self.transferred == self.size
            if is_due:
                self._shown_at = now
                self._samples.append((now, self.moved))
        if is_due:
            self._transfer()
            self.show()

    def phase(self, name: str, description: str) -> None:
        """Show what happens now instead of a transfer."""
        if description != self.description:
            self.phase_began = time.monotonic()
        self.phase_name, self.description = name, description
        self.show()

    def _transfer(self) -> None:
        self.phase_name, self.description, self.phase_began = "transfer", str(self.subject), self.began

    @property
    def rate(self) -> int:
        """Return the bytes in a second: lately, or of the whole transfer when it is complete."""
        began, before = self._samples[0]
        end, moved = time.monotonic(), self.moved
        if self.transferred == self.size:
            (began, before), (end, moved) = (self.began, 0), self._samples[-1]
        return max(0, int((moved - before) / max(end - began, _BAR)))

    def show(self) -> None:
        """Show the state."""
        raise NotImplementedError


class _Lines(_Counting):
    """Lines of JSON about the state."""

    def __init__(self) -> None:
        super().__init__(_LINE)

    def show(self) -> None:
        """Write a line."""
        line = {
            "direction": self.subject.direction,
            "image": self.subject.image_id,
            "name": self.subject.name,
            "phase": self.phase_name,
            "transferred": self.transferred,
            "size": self.size,
            "elapsed": round(time.monotonic() - self.began, 3),
            "description": self.description,
        }
        click.echo(json.dumps(line), err=True)


class _Bar(_Counting):
    """A bar with bytes, rate and time left, or a spinner with what the server does and for how long."""

    def __init__(self) -> None:
        super().__init__(_BAR)
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._transfer()  # the last line says what was transferred, not what was done at its end
            self.show()
            self._bar.stop()

    def begin(self, subject: Subject, size: int | None) -> None:
        """Begin a bar."""
        from rich.console import Console
        from rich.progress import Progress as RichProgress

        console = Console(stderr=True, highlight=False)
        self._transferring, self._waiting = _columns(self, console.width), _waiting_columns(self)
        self._bar = RichProgress(*self._waiting, console=console, refresh_per_second=8)
        self._task = self._bar.add_task("", total=size)
        super().begin(subject, size)
        self._bar.start()

    def show(self) -> None:
        """Update the bar."""
        if self._bar is not None:
            is_transfer = self.phase_name == "transfer" and self.size is not None
            self._bar.columns = self._transferring if is_transfer else self._waiting
            self._bar.update(self._task, completed=max(0, self.transferred))

    @property
    def amount(self) -> str:
        """Return the bytes that were transferred, and of how many."""
        done = human_size(max(0, self.transferred))
        return done if self.size is None else f"{done} of {human_size(self.size)}"

    @property
    def share(self) -> str:
        """Return the share that was transferred, in per cent."""
        return f"{100 * self.transferred // max(1, self.size or 0)} %"

    @property
    def speed(self) -> str:
        """Return the rate for people, or nothing if no bytes were transferred."""
        return f"{human_size(self.rate)}/s" if self.moved > 0 else ""

    @property
    def left(self) -> str:
        """Return the minutes and seconds that are left at this rate, or that it took."""
        if self.transferred == self.size:
            return _clock(self._samples[-1][0] - self.began)
        return _clock(((self.size or 0) - self.transferred) / self.rate) if self.rate else ""

    @property
    def elapsed(self) -> str:
        """Return the minutes and seconds since the phase began."""
        return _clock(time.monotonic() - self.phase_began)


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def _columns(bar: _Bar, width: int) -> list[Any]:
    """Return the columns of a transfer."""
    from rich.progress import BarColumn

    words = _column(lambda: bar.description, is_wide=True)
    if width < _NARROW:
        return [words, _column(lambda: bar.share), _column(lambda: bar.speed)]
    return [
        words,
        BarColumn(bar_width=None if width > _WIDE else 12),
        _column(lambda: bar.amount),
        _column(lambda: bar.speed),
        _column(lambda: bar.left),
    ]


def _waiting_columns(bar: _Bar) -> list[Any]:
    """Return the columns of a phase, and of a transfer of unknown length."""
    return [
        _column(lambda: "-\\|/"[int(time.monotonic() * 8) % 4]),
        _column(lambda: bar.description, is_wide=True),
        _column(lambda: bar.speed if bar.phase_name == "transfer" else ""),
        _column(lambda: bar.elapsed),
    ]


def _column(words: Callable[[], str], *, is_wide: bool = False) -> Any:
    """Return a column that shows these words, and takes the rest of the line if it is wide."""
    from rich.progress import ProgressColumn, Task
    from rich.table import Column
    from rich.text import Text

    class Words(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(printable(words()))

    return Words(Column(ratio=1 if is_wide else None, no_wrap=True, overflow="ellipsis"))
