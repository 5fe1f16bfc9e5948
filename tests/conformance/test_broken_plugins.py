"""Plugins that are missing, broken, installed twice or not drivers: one sentence names each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.distributions import on_path, write_distribution
from tests.support.server import StartFailed, write_ini

WITHOUT_FILE = {"store.file.path": "", "store.file.create": ""}
NAMED = {"calotype.stores": "odd", "calotype.default_store": "odd", **WITHOUT_FILE}


def refusal(start_server: StartServer, settings: dict[str, str], *plugins: Path) -> str:
    """Return the only line that a server prints that does not start."""
    with pytest.raises(StartFailed) as failed:
        start_server(settings, env=on_path(*plugins))
    lines = [line for line in str(failed.value).splitlines() if line.startswith("calotype: ")]
    assert len(lines) == 1, failed.value
    assert "Traceback" not in str(failed.value)
    return lines[0]


STORE = "from calotype.stores import Store\n\nclass Odd(Store): api_version = "
OTHER = "of the driver contract; this core has 2.0. Install a driver or a core that fits the other"
IMPORTS = (
    ". It was written for {} of the driver contract, and this core has 2.0: install a {} version of the "
    "driver"
)


def test_a_driver_that_is_not_installed_is_named_with_the_installed_ones(start_server: StartServer) -> None:
    said = refusal(start_server, NAMED)
    assert "'odd'" in said
    assert "file" in said


@pytest.mark.parametrize(
    ("target", "module", "told"),
    [
        ("odd_driver:Missing", "x = 1", "module 'odd_driver' has no attribute 'Missing'"),
        (
            "odd_driver:Odd",
            "import no_such_module.part",
            "No module named 'no_such_module' (`pip install test-odd` installs what it requires)",
        ),
        (
            "odd_driver.gone:Odd",
            "x = 1",
            "'odd_driver' is not a package (files of test-odd are missing: install it again)",
        ),
        ("odd_driver:Odd", "raise ValueError('half\\n  configured')", "ValueError: half configured"),
        ("odd_driver:Odd", "class Odd: pass", "is not a subclass of calotype.stores.Store"),
        ("odd_driver:Odd", f"{STORE}(2, 0)", "lacks get, size"),
        ("odd_driver:Odd", f"{STORE}(1, 0)", f"was written for version 1.0 {OTHER}"),
        ("odd_driver:Odd", f"{STORE}(2, 1)", f"was written for version 2.1 {OTHER}"),
        ("odd_driver:Odd", f"{STORE}(3, 0)", f"was written for version 3.0 {OTHER}"),
        ("odd_driver:Odd", "from calotype.stores import Capability", IMPORTS.format("version 1", "newer")),
        (
            "odd_driver:Odd",
            "from calotype import stores\nstores.Capability",
            IMPORTS.format("version 1", "newer"),
        ),
        (
            "odd_driver:Odd",
            "from calotype.stores import Snapshots",
            IMPORTS.format("another version", "fitting"),
        ),
        ("odd_driver:Odd", "import calotype.snapshots", IMPORTS.format("another version", "fitting")),
    ],
    ids=[
        *("no such class", "dependency", "own module", "module raises", "no driver", "unfinished"),
        *("contract 1.0", "contract 2.1", "contract 3.0", "import of contract 1", "use of contract 1"),
        *("import of a later contract", "module of a later contract"),
    ],
)
def test_a_named_plugin_that_cannot_be_used_stops_the_start(
    start_server: StartServer, tmp_path: Path, target: str, module: str, told: str
) -> None:
    plugin = write_distribution(tmp_path / "odd", "test-odd", {"odd": target}, {"odd_driver.py": module})
    said = refusal(start_server, NAMED, plugin)
    assert "store 'odd': driver 'odd' (" in said
    assert "test-odd" in said
    assert said.partition(" (/")[0].endswith(told) or said.endswith(told)


def manage_stores(folder: Path, settings: dict[str, str], plugin: Path) -> subprocess.CompletedProcess[str]:
    """Run `calotype-manage stores`, which loads and builds stores as a start does."""
    command = Path(sys.executable).with_name("calotype-manage")
    ini = write_ini(folder, settings)
    arguments = [command, "stores", ini, f"data_dir={folder / 'data'}"]
    return subprocess.run(arguments, env={**os.environ, **on_path(plugin)}, text=True, capture_output=True)


#: The ini file has a key for the driver, but no list of stores.
MENTIONED = {"store.odd.path": "/x"}
EXITING = {"odd_driver.py": "import sys\nsys.exit(3)"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "no key store.odd.* is set"),
        (MENTIONED, "driver 'odd' (odd_driver:Odd of test-odd) cannot be loaded: SystemExit: 3"),
    ],
    ids=["no key", "a key"],
)
def test_the_command_shows_a_driver_that_exits_as_off_with_its_name_and_reason(
    tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    """r1-D7: core/tests/stores/test_catalog.py has the other ways to fail."""
    plugin = write_distribution(tmp_path / "odd", "test-odd", {"odd": "odd_driver:Odd"}, EXITING)
    said = manage_stores(tmp_path, settings, plugin)
    assert f"odd: off: {reason}\n" in said.stdout
    assert "file, of calotype-store-file" in said.stdout
    assert "Traceback" not in said.stderr


def test_a_named_driver_that_exits_stops_the_start(start_server: StartServer, tmp_path: Path) -> None:
    """r1-D7"""
    plugin = write_distribution(tmp_path / "odd", "test-odd", {"odd": "odd_driver:Odd"}, EXITING)
    said = refusal(start_server, NAMED, plugin)
    assert said.endswith("driver 'odd' (odd_driver:Odd of test-odd) cannot be loaded: SystemExit: 3")


UNUSABLE = {
    "exits": (EXITING, "SystemExit: 3"),
    "import fails": ({"odd_driver.py": "import no_such_module"}, "no_such_module"),
}


@pytest.mark.parametrize(("modules", "told"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_server_starts_despite_a_broken_driver_with_a_key_and_logs_its_name(
    start_server: StartServer, tmp_path: Path, modules: dict[str, str], told: str
) -> None:
    """r1-D7"""
    plugin = write_distribution(tmp_path / "odd", "test-odd", {"odd": "odd_driver:Odd"}, modules)
    server = start_server(MENTIONED, env=on_path(plugin))
    assert server.upload(b"bytes")["store"] == "file"
    (line,) = (line for line in server.log.splitlines() if "'odd' (odd_driver:Odd of test-odd)" in line)
    assert told in line
    assert line.endswith(": the store is off")


@pytest.mark.parametrize(("modules", "told"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_broken_driver_without_a_key_is_not_imported_and_not_logged(
    start_server: StartServer, tmp_path: Path, modules: dict[str, str], told: str
) -> None:
    plugin = write_distribution(tmp_path / "odd", "test-odd", {"odd": "odd_driver:Odd"}, modules)
    server = start_server(env=on_path(plugin))
    assert server.upload(b"bytes")["store"] == "file"
    assert "odd" not in server.log


def test_a_driver_of_two_distributions_is_refused_with_both_names(
    start_server: StartServer, tmp_path: Path
) -> None:
    one = write_distribution(tmp_path / "one", "test-one", {"odd": "calotype.testing:MemoryStore"})
    two = write_distribution(tmp_path / "two", "test-two", {"odd": "calotype.testing:MemoryStore"})
    said = refusal(start_server, NAMED, one, two)
    assert said.endswith("'odd' is installed more than once, by test-one, test-two: uninstall all but one")


def test_a_driver_of_two_distributions_leaves_the_other_stores_on(
    start_server: StartServer, tmp_path: Path
) -> None:
    plugins = [
        write_distribution(tmp_path / name, f"test-{name}", {"odd": "calotype.testing:MemoryStore"})
        for name in ("one", "two")
    ]
    server = start_server({"store.odd.capacity": "7"}, env=on_path(*plugins))
    assert server.upload(b"bytes")["store"] == "file"
    assert "store 'odd': driver 'odd' is installed more than once, by test-one, test-two" in server.log


def test_a_driver_that_one_distribution_offers_twice_is_refused(
    start_server: StartServer, tmp_path: Path
) -> None:
    plugin = write_distribution(tmp_path / "odd", "test-odd", {"odd": "calotype.testing:MemoryStore"})
    (entries,) = plugin.glob("*/entry_points.txt")
    entries.write_text(entries.read_text() + "odd = calotype.testing:Other\n")
    said = refusal(start_server, NAMED, plugin)
    assert said.endswith("driver 'odd' is offered twice by test-odd: install another version of it")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"store.file.pth": "/x"}, "did you mean path"),
        ({"store.file.fsync": "perhaps"}, "fsync"),
        ({"calotype.stores": "file", "store.other.path": "/x"}, "other"),
        ({"calotype.stores": "file", "calotype.default_store": "other"}, "other"),
        ({"calotype.default_stor": "file"}, "did you mean calotype.default_store"),
        ({"calotype.image_size_cap": "much"}, "calotype.image_size_cap"),
        ({"calotype.stores": "Fast", "calotype.default_store": "Fast", **WITHOUT_FILE}, "Fast"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    start_server: StartServer, settings: dict[str, str], told: str
) -> None:
    assert told in refusal(start_server, settings)
