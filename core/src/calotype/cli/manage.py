"""The `calotype-manage` command: the operator's commands besides running the server.

Every command except `init` and `new` takes an ini file, followed by the same variables as `pserve`:
`calotype-manage stores calotype.ini data_dir=/srv/ct`.
"""

from __future__ import annotations

import logging

import click

from calotype.cli.audit import audit
from calotype.cli.db import db
from calotype.cli.doctor import doctor
from calotype.cli.findings import findings
from calotype.cli.fsck import fsck
from calotype.cli.images import images, sweep
from calotype.cli.init import init
from calotype.cli.new import new
from calotype.cli.overviews import failures, pending, processes, transfers, unused, usage
from calotype.cli.scrub import scrub
from calotype.cli.stores import stores
from calotype.cli.tokens import token
from calotype.cli.webhooks import webhooks

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="calotype-core", prog_name="calotype-manage")
def main() -> None:
    """Manage a Calotype image service.

    INI is the file that pserve is started with. VARIABLES are NAME=VALUE pairs
    that override those of its [DEFAULT] section.
    """
    # Commands print their own messages; the log belongs to the running service.
    logging.getLogger().addHandler(logging.NullHandler())


main.add_command(init)
main.add_command(stores)
main.add_command(db)
main.add_command(token)
main.add_command(images)
main.add_command(sweep)
main.add_command(fsck)
main.add_command(findings)
main.add_command(scrub)
main.add_command(audit)
main.add_command(webhooks)
main.add_command(doctor)
main.add_command(transfers)
main.add_command(failures)
main.add_command(usage)
main.add_command(unused)
main.add_command(pending)
main.add_command(processes)
main.add_command(new)
