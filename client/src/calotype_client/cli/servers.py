"""The verbs about servers: `stores`, `usage`, `ping` and `api`."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from calotype_client.cli.output import show_record, show_records
from calotype_client.cli.session import Session, output_options, pass_session, remote_option
from calotype_client.errors import NotAllowed
from calotype_client.transport.answers import error_of

_USAGE_COLUMNS = ("resource", "usage", "limit", "unit")


@click.command("stores")
@click.argument("server", metavar="[REMOTE:]", default="")
@click.option("--detail", is_flag=True, help="Show drivers and room, as an administrator.")
@output_options
@remote_option
@pass_session
def stores(session: Session, /, server: str, detail: bool) -> None:
    """List the stores of a server.

    \b
    Examples:
      calotype stores
      calotype stores prod: --detail
    """
    client = session.client(server.rstrip(":") or None)
    records = []
    for store in client.stores(detail=detail):
        properties = store.document.get("properties") or {}
        records.append({**store.document, **{key: properties[key] for key in properties}})
    columns = ("id", "type", "free", "default") if detail else ("id", "description", "default", "read-only")
    show_records(session, records, columns)


@click.command("usage")
@click.argument("server", metavar="[REMOTE:]", default="")
@output_options
@remote_option
@pass_session
def usage(session: Session, /, server: str) -> None:
    """Show what your project uses of its quotas.

    \b
    Examples:
      calotype usage
      calotype usage prod: -o json
    """
    found = session.client(server.rstrip(":") or None).usage()
    records = [
        {
            "resource": name,
            "usage": entry.get("usage"),
            "limit": None if entry.get("limit") == -1 else entry.get("limit"),
            "unit": "MiB" if name.endswith(("size_total", "stage_total")) else "images",
        }
        for name, entry in found.items()
    ]
    show_records(session, records, _USAGE_COLUMNS)


@click.command("ping")
@click.argument("server", metavar="[REMOTE:]", default="")
@output_options
@remote_option
@pass_session
def ping(session: Session, /, server: str) -> None:
    """Check whether a server answers, and whether it knows you.

    \b
    Examples:
      calotype ping
      calotype ping prod:
    """
    client = session.client(server.rstrip(":") or None)
    began = time.monotonic()
    versions = client.versions()
    seconds = time.monotonic() - began
    record: dict[str, Any] = {
        "url": client.transport.endpoint,
        "seconds": round(seconds, 3),
        "version": next((each for each in versions if each.startswith("v2")), None),
    }
    try:
        next(client.images(limit=1), None)
        record["images"] = "can be listed"
    except NotAllowed as error:
        record["images"] = error.message
    show_record(session, record, tuple(record))


@click.command("api")
@click.argument(
    "method", type=click.Choice(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], case_sensitive=False)
)
@click.argument("path", metavar="PATH")
@click.option("-d", "--data", metavar="JSON", help="A JSON document to send; @FILE or @- reads it.")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="Add a header; repeatable."
)
@click.option("-i", "--include", is_flag=True, help="Print the status and the headers, too.")
@remote_option
@pass_session
def api(session: Session, /, method: str, path: str, **given: Any) -> None:
    """Send any request with your token, and print the answer.

    \b
    Examples:
      calotype api GET /v2/images
      calotype api GET '/v2/images?limit=1' -i
      calotype api POST /v2/images -d '{"name": "web-3", "disk_format": "raw", "container_format": "bare"}'
      calotype api POST /v2/images/5a1f6c0e-0e56-4a7b-9d0c-0f3a5d1e7b11/actions/deactivate
    """
    if not path.startswith("/"):
        raise click.UsageError(f"PATH begins with a slash, such as /v2/images, and {path!r} does not.")
    document = None if given["data"] is None else _read_json(given["data"])
    headers = dict(_read_header(text) for text in given["headers"])
    answer = session.client().request(method.upper(), path, document, headers=headers)
    if given["include"]:
        lines = [f"{answer.status}", *(f"{name}: {value}" for name, value in answer.headers.items())]
        click.echo("\n".join([*lines, ""]))
    if answer.body:
        click.echo(_pretty(answer.body))
    if answer.status >= 400:
        raise error_of(answer)


def _read_json(text: str) -> Any:
    if text.startswith("@"):
        with click.open_file(text[1:]) as file:
            text = file.read()
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"The data are not JSON: {error}") from None


def _read_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (name.strip() and colon):
        raise click.UsageError(f"A header is NAME:VALUE, not {text!r}.")
    return name.strip(), value.strip()


def _pretty(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=sys.stdout.encoding.lower() != "utf-8")
    except ValueError:
        return body.decode("utf-8", "replace")


COMMANDS = {"stores": stores, "usage": usage, "ping": ping, "api": api}
