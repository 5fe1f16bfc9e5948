"""The `tintype` command: what an operator does beside running the server.

Every command takes an ini file, and behind it the variables that `pserve` takes too:
`tintype stores tintype.ini data_dir=/srv/tt`.
"""

from __future__ import annotations

import logging

import click

from tintype.cli.db import db
from tintype.cli.fsck import fsck
from tintype.cli.images import images, sweep
from tintype.cli.stores import stores
from tintype.cli.tokens import token

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tintype-core", prog_name="tintype")
def main() -> None:
    """Look after a Tintype image service.

    INI is the file that pserve is started with; VARIABLES are NAME=VALUE pairs
    that go before those of its [DEFAULT] section.
    """
    # What a command has to say it prints itself; the service's log is the server's.
    logging.getLogger().addHandler(logging.NullHandler())


main.add_command(stores)
main.add_command(db)
main.add_command(token)
main.add_command(images)
main.add_command(sweep)
main.add_command(fsck)
