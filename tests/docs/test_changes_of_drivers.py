"""The sentences that docs/operations.md quotes about drivers are those that a start ends with."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from calotype.config.plugins import Installed
from calotype.stores import ConfigurationError, discovery
from core.tests.stores.conftest import DRIVER, install
from tests.support.pages import DOCS

__all__ = ["install"]

#: The case -> the sources of the drivers `tape` that are installed, by distribution.
CASES = {
    "not installed": {},
    "twice": {"acme-tape": DRIVER, "other-tape": DRIVER},
    "a module is missing": {"acme-tape": "import tapelib"},
    "another contract": {"acme-tape": DRIVER + "    api_version = (3, 0)\n"},
    "an error": {"acme-tape": "raise ValueError('...')"},
}


@pytest.mark.parametrize("drivers", CASES.values(), ids=CASES)
def test_the_page_quotes_the_end_of_the_sentence(
    drivers: dict[str, str], install: Callable[..., str]
) -> None:
    for distribution, source in drivers.items():
        install("tape", source, distribution=distribution)
    with pytest.raises(ConfigurationError) as caught:
        discovery.load(Installed(), "tape")
    said = re.sub(r"\(installed: [^)]*\)( \(did you mean \w+\?\))?", "(installed: file)", str(caught.value))

    _, _, section = (DOCS / "operations.md").read_text().partition("### Changes of drivers\n")
    quoted = [double or single for double, single in re.findall(r"``(.+?)(?<!`)``(?!`)|`([^`]+)`", section)]
    assert any(said.endswith(one.strip()) for one in quoted if " " in one), said
