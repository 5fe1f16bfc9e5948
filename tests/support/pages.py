"""Reads the fenced blocks out of the documentation, so that tests run what readers are told to type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(?:\{code-block\} )?(\w+)\n(?::caption: (.*)\n\n?)?((?:.*\n)*?)```$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its caption where it has one, and its text."""

    language: str
    caption: str | None
    text: str


def read_blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*match) for match in _FENCE.findall(page.read_text())]


def block_called(page: Path, caption: str) -> Block:
    """The one block of that caption."""
    (block,) = (block for block in read_blocks(page) if block.caption == caption)
    return block
