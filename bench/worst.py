"""Print the cost of the worst request of each kind: the server's processor time in milliseconds.

Each request is sent alone to a server with 300 images of 30 KB on SQLite. `--database` selects PostgreSQL or
MariaDB instead, whose own processor time is not counted. A whole run on SQLite writes docs/results/costs.md:

    make bench-worst
    tests/servers/run postgres -- .venv/bin/python bench/worst.py --database postgres
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import processes
from costly import Attack, Targets, all_attacks
from testservers import common

from client import Client
from server import Server, change_ini
from tests.support.database import MAKERS
from tests.support.results import RESULTS, write_page

#: The text above the table of the page.
NOTE = "[Performance](../performance.md#the-costliest-requests) describes the measurements."
#: The limit for a request of up to 1 MiB in milliseconds, except for lists.
GOAL = 100
_ROUNDS = 3
_HEAVY = 300
_PROPERTY = "v" * 4000


@dataclass(frozen=True)
class Cost:
    """The cost of a request. `status` is None if no response came in time. The sizes are in bytes."""

    status: int | None
    sent: int
    received: int
    milliseconds: float


def main() -> None:
    """Print a line for each attack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", *MAKERS], default="sqlite")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="the attacks with this text in their names"
    )
    parser.add_argument(
        "--patience", type=float, default=60, metavar="SECONDS", help="how long to wait for a response"
    )
    given = parser.parse_args()
    lines = []
    for line in _lines(given.database, given.only, given.patience):
        print(line, flush=True)
        lines.append(line)
    if given.database == "sqlite" and not given.only:
        write_page(RESULTS / "costs.md", "The costliest requests", "make bench-worst", NOTE, "\n".join(lines))


def _lines(database: str, only: str, patience: float) -> Iterator[str]:
    yield "| request | bytes | answer | ms |"
    yield "| --- | ---: | --- | ---: |"
    with common.run_folder() as folder, contextlib.ExitStack() as stack:
        start = _starting(folder, database)
        server = stack.enter_context(start())
        for attack in all_attacks(_fill(server)):
            if only not in attack.name:
                continue
            cost = _measure(server, attack, patience)
            yield _line(attack, cost, patience)
            if cost.status is None:  # the server is still busy
                server.process.kill()
                server = stack.enter_context(start())


def _starting(folder: Path, database: str) -> Callable[[], Server]:
    changes = {"app:main": {"calotype.external_sources": "admin"}}
    if database != "sqlite":
        changes["app:main"]["sqlalchemy.url"] = MAKERS[database](os.environ, f"b{uuid.uuid4().hex}")
    ini = change_ini(folder / "calotype.ini", changes)
    return lambda: Server(folder / "data", ini)


def _fill(server: Server) -> Targets:
    """Make the targets of requests: heavy public images, and a full namespace."""
    with Client(server) as client:
        properties = {f"x_image_meta_property_p{number}": _PROPERTY for number in range(7)}
        for number in range(_HEAVY):
            client.image(
                "POST", "/images", x_image_meta_name=f"{number}", x_image_meta_is_public="true", **properties
            )
        fields = {"Content_Type": "application/octet-stream", "x_image_meta_is_public": "true"}
        made = client.ask("POST", "/images", b"bytes" * 100, **fields)
        queued = client.image("POST", "/images", x_image_meta_name="queued")["id"]
        fields = {"Content_Type": "application/openstack-images-v2.1-json-patch"}
        shared = b'[{"op":"replace","path":"/visibility","value":"shared"}]'
        client.ask("PATCH", f"/v2/images/{queued}", shared, **fields)
        definition = {"title": "t" * 900, "type": "string"}
        full = {"namespace": "full", "properties": {f"p{number}": definition for number in range(1000)}}
        client.ask(
            "POST", "/v2/metadefs/namespaces", json.dumps(full).encode(), Content_Type="application/json"
        )
    return Targets(json.loads(made.body)["image"]["id"], queued, "full")


def _measure(server: Server, attack: Attack, patience: float) -> Cost:
    """Return the median of `_ROUNDS` rounds, or the cost of the first round if it takes over a second."""
    costs = [_send(server, attack, patience)]
    while len(costs) < _ROUNDS and costs[0].milliseconds < 1000 and costs[0].status is not None:
        costs.append(_send(server, attack, patience))
    first = costs[0]
    return Cost(first.status, first.sent, first.received, median(cost.milliseconds for cost in costs))


def _send(server: Server, attack: Attack, patience: float) -> Cost:
    lines = [f"{attack.method} {attack.path} HTTP/1.1", "Host: localhost", "Connection: close"]
    if attack.method != "GET":
        lines.append(f"Content-Length: {len(attack.body)}")
    lines += [f"{name}: {value}" for name, value in attack.headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode() + attack.body
    before = processes.exact_cpu_seconds(server.process.pid)
    answer = _exchange(server, request, patience)
    spent = processes.exact_cpu_seconds(server.process.pid) - before
    return Cost(int(answer[9:12]) if answer else None, len(request), len(answer), spent * 1000)


def _exchange(server: Server, request: bytes, patience: float) -> bytes:
    """Send a request and return the whole response; b"" if there is no response."""
    answer = b""
    with contextlib.closing(server.connect()) as connection, contextlib.suppress(OSError):
        connection.settimeout(patience)
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # the server refused it before it was complete
            connection.sendall(request)
        while block := connection.recv(1 << 20):
            answer += block
    return answer


def _line(attack: Attack, cost: Cost, patience: float) -> str:
    spent = f"{cost.milliseconds:,.0f}" if cost.status else f"more than {patience * 1000:,.0f}"
    if cost.milliseconds > GOAL and not attack.listed:
        spent = f"**{spent}**"
    answer = f"{cost.status or 'none'}{f', {cost.received:,} bytes' if attack.listed else ''}"
    return f"| {attack.name} | {cost.sent:,} | {answer} | {spent} |"


if __name__ == "__main__":
    main()
