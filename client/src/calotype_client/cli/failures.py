"""How a command ends: the exit statuses, and the sentences about errors."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator

import click

from calotype_client import errors

#: Error -> exit status; an error without a row has that of its nearest base class. docs/cli.md explains them.
EXIT_STATUS: dict[type[errors.CalotypeError], int] = {
    errors.CalotypeError: 1,
    errors.SettingsError: 2,
    errors.NotAuthenticated: 3,
    errors.NotAllowed: 3,
    errors.NotFound: 4,
    errors.Ambiguous: 4,
    errors.Unavailable: 5,
    errors.Conflict: 6,
    errors.OutOfSpace: 7,
    errors.ChecksumMismatch: 8,
}
#: The exit status of a command that Ctrl-C or a closed pipe ended, as shells count it.
INTERRUPTED, CLOSED = 130, 141
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Stopped(Exception):
    """Ctrl-C stopped a transfer. The text says how to go on."""


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Say at once that Ctrl-C has stopped the transfer in the block; raises Stopped."""

    def interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        click.echo("\nStopping …", err=True)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped("Run the same command again to go on.") from None
    finally:
        signal.signal(signal.SIGINT, before)


def exit_status_of(command: Callable[[], object]) -> int:
    """Run a command, write about its failure to stderr, and return the exit status."""
    try:
        result = command()
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except errors.CalotypeError as error:
        _tell(describe(error))
        return next(EXIT_STATUS[kind] for kind in type(error).__mro__ if kind in EXIT_STATUS)
    except (KeyboardInterrupt, click.Abort):
        _tell("Stopped.")
        return INTERRUPTED
    except Stopped as error:
        _tell(f"Stopped. {error}")
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()  # nobody reads any more
        return CLOSED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else "The output cannot be written: "
        _discard_output()
        _tell(f"Error: {where}{error.strerror}.")
        return EXIT_STATUS[errors.OutOfSpace if error.errno in _FULL else errors.SettingsError]
    except SystemExit as error:
        # click ends so when a pipe is closed, with 1, and when it has completed a word, with 0.
        return CLOSED if error.code else 0
    return result if isinstance(result, int) else 0


def _discard_output() -> None:
    """Let Python flush into nothing at its end, because it would complain about the failure once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def describe(error: errors.CalotypeError) -> str:
    """Return what is wrong, the id of the request, and what to do next, in lines."""
    lines = [f"Error: {error.message}"]
    if error.request_id:
        lines.append(f"Request: {error.request_id}" + (f", status {error.status}" if error.status else ""))
    if error.advice:
        lines.append(f"Hint: {error.advice}")
    return "\n".join(lines)


def _tell(text: str) -> None:
    from calotype_client.cli.printing import printable

    click.echo(printable(text, keep="\n"), err=True)
