"""`calotype-manage scrub run` in cron, as docs/operations.md describes it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from click.testing import CliRunner, Result

from calotype.cli.manage import main
from tests.support.server import INI
from tests.support.workbench import Bench


def test_a_rate_on_the_command_line_scrubs_a_store_whose_scrubber_is_off(tmp_path: Path) -> None:
    ini = tmp_path / "calotype.ini"
    ini.write_text(
        INI.read_text()
        .replace("[DEFAULT]\n", "[DEFAULT]\nscrub_rate = 0\n")
        .replace("[app:main]\n", "[app:main]\ncalotype.scrub_rate = ${scrub_rate}\n")
    )

    def manage(*words: str) -> Result:
        return CliRunner().invoke(main, [*words, f"data_dir={tmp_path}/data"])

    assert manage("stores", str(ini), "--create", "file").exit_code == 0
    off = manage("scrub", "run", str(ini))
    assert (off.exit_code, "no store that is scrubbed: see calotype.scrub_rate" in off.stderr) == (1, True)
    done = manage("scrub", "run", str(ini), "scrub_rate=40MiB")
    assert (done.exit_code, done.stdout) == (0, "no copy has been due yet\n"), done.output


def test_copies_in_quarantine_are_counted_before_the_first_pass(bench: Bench) -> None:
    """The command printed `no copy has been due yet`, and ended with status 1 because of the copy."""
    url = bench.database.engine.url
    bench.upload(b"bytes")
    with contextlib.closing(sqlite3.connect(str(url.database))) as raw:
        raw.execute("UPDATE image_locations SET quarantined_at = '2020-01-01 00:00:00'")
        raw.commit()
    done = CliRunner().invoke(main, ["scrub", "show", str(INI), f"database_url={url}"])
    assert (done.exit_code, done.stdout) == (1, "store 'memory': 1 in quarantine\n"), done.output
