"""Write the man pages of `calotype` into client/man, from the help of its verbs.

.venv/bin/python docs/manuals.py
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
from click_man.man import ManPage

from calotype_client import __version__
from calotype_client.cli.main import VERBS, calotype

FOLDER = Path(__file__).parents[1] / "client/man"
#: The date of all pages, so that they change only with the commands.
DATE = "2026-12-01"


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    top = click.Context(calotype, info_name="calotype", **calotype.context_settings)
    found = {"calotype.1": page(top, "push, pull and manage machine images")}
    for name, verb in VERBS.items():
        command = calotype.get_command(top, name)
        ctx = click.Context(command, info_name=name, parent=top)
        summary = verb.summary[0].lower() + verb.summary[1:].rstrip(".")
        found[f"calotype-{name}.1"] = page(ctx, summary)
    return found


def page(ctx: click.Context, summary: str) -> str:
    """Return the text of a command's page."""
    made = ManPage(ctx.command_path)
    made.version, made.date, made.short_help = f"calotype {__version__}", DATE, summary
    made.synopsis = " ".join(ctx.command.collect_usage_pieces(ctx))
    options = (each for each in ctx.command.get_params(ctx) if isinstance(each, click.Option))
    made.options = [each.get_help_record(ctx) for each in options]
    if ctx.command is calotype:
        made.commands = [(name, verb.summary) for name, verb in VERBS.items()]
    # The page's own description escapes nothing and joins the lines of the examples.
    head, options, tail = str(made).partition(".SH OPTIONS")
    return f"{head}.SH DESCRIPTION\n{described(inspect.cleandoc(ctx.command.help or ''))}\n{options}{tail}"


def described(text: str) -> str:
    """Return the help of a command as roff, with its examples as they are typed."""
    prose, _, examples = escaped(text).partition("\b\nExamples:\n")
    paragraphs = re.sub(r"\n{2,}", "\n.PP\n", prose.strip())
    lines = "\n".join(line.strip() for line in examples.splitlines())
    return f"{paragraphs}\n.SH EXAMPLES\n.nf\n{lines.strip()}\n.fi"


def escaped(text: str) -> str:
    """Return a text whose characters mean themselves in roff."""
    return re.sub(r"^(\s*)([.'])", r"\1\\&\2", text.replace("\\", "\\e").replace("-", "\\-"), flags=re.M)


if __name__ == "__main__":
    main()
