"""`pserve`: Pyramid's own command, which first looks whether the ini file can be meant for this version.

PasteDeploy looks for the distributions that an ini file names before it loads anything of ours, and
answers with a traceback when one is missing. So the look has to come before PasteDeploy: see decision 9.
"""

from __future__ import annotations

import sys
from pathlib import Path

from calotype import former_name
from calotype.variables import SettingsError


def main(argv: list[str] | None = None) -> int | None:
    """Serve an ini file; return the exit status, or None for 0."""
    import plaster
    from pyramid.scripts.pserve import PServeCommand

    command = PServeCommand(sys.argv if argv is None else argv)
    if command.args.config_uri:
        try:
            former_name.check_file(Path(plaster.parse_uri(command.args.config_uri).path))
        except SettingsError as error:
            print(f"calotype: {error}", file=sys.stderr)  # noqa: T201
            return 1
    return command.run()
