"""`calotype-manage scrub run` in cron, as docs/operations.md describes it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from calotype.cli import main
from tests.support.server import INI


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
