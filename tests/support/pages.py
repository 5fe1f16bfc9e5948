"""The fenced blocks of documentation pages. Tests run them as readers would type them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.ini import ROOT

DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(?:\{code-block\} )?(\w+)\n(?::caption: (.*)\n\n?)?((?:.*\n)*?)```$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its caption if it has one, and its text."""

    language: str
    caption: str | None
    text: str


def read_blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [Block(*match) for match in _FENCE.findall(page.read_text())]


def block_called(page: Path, caption: str) -> Block:
    """Return the block with this caption."""
    (block,) = (block for block in read_blocks(page) if block.caption == caption)
    return block
