"""The command starts quickly: its help needs no library for HTTP, tables or YAML."""

from __future__ import annotations

import subprocess
import sys

import pytest

import calotype_client
from calotype_client.cli.main import VERBS

_SLOW = {"urllib3", "rich", "yaml", "keystoneauth1", "requests", "ssl", "http.client"}


def modules_of(code: str) -> set[str]:
    """Return the modules that a process has imported after this code."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_help_imports_no_slow_library() -> None:
    code = "from calotype_client.cli.main import main; main(['--help'])"

    assert modules_of(code) & _SLOW == set()


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_imports_no_keystone_and_no_tables(verb: str) -> None:
    code = f"from calotype_client.cli.main import main; main([{verb!r}, '--help'])"

    assert modules_of(code) & {"rich", "yaml", "keystoneauth1", "requests"} == set()


def test_the_package_has_its_public_names() -> None:
    assert [name for name in calotype_client.__all__ if not hasattr(calotype_client, name)] == []
    with pytest.raises(AttributeError, match="has no attribute"):
        calotype_client.nothing  # noqa: B018
