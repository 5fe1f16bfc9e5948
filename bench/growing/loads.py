"""Measure requests per second and their times, by processes and connections."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from peers.calotype import Calotype

from client import Client
from growing import load
from growing.plan import REQUESTS, Plan, load_name

LISTED = 25


def measure_loads(plan: Plan, folder: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, dict]]:
    """Yield the figures of each wanted load, with the name of its point."""
    for processes, connections in plan.loads():
        name = load_name(processes, connections)
        if wanted(name):
            with _server(folder / name.replace(" ", "-"), processes) as server:
                yield name, _measure(server, connections, plan.seconds)


@contextlib.contextmanager
def _server(folder: Path, processes: int) -> Iterator[Calotype]:
    """Start a server that does not limit the connections of this machine."""
    folder.mkdir()
    server = Calotype(folder, server={"uncounted_addresses": "127.0.0.1", "processes": str(processes)})
    server.prepare()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _measure(server: Calotype, connections: int, seconds: float) -> dict[str, float]:
    with Client(server) as client:
        made = [
            client.image("POST", "/images", x_image_meta_name=f"image {n}", x_image_meta_is_public="true")
            for n in range(LISTED)
        ]
    asks = (load.head(f"/images/{made[0]['id']}"), load.get(f"/images?limit={LISTED}"), load.create())
    figures = {}
    for what, ask in zip(REQUESTS, asks, strict=True):
        done = load.run(server.port, ask, connections, seconds)
        figures |= {f"{what} {figure}": value for figure, value in done.figures().items()}
    return figures
