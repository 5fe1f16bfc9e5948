"""Measure how many small requests per second the server answers, with one client and with eight."""

from __future__ import annotations

import threading
from collections.abc import Callable

from report import Report
from timing import Timing

from client import Client
from server import Server

CONCURRENCIES = (1, 8)
LISTED = 25


def measure_requests(report: Report, server: Server, asked: int, rounds: int) -> None:
    """Measure HEAD requests for an image, and lists of 25, with `asked` requests in each round.

    Connections stay open between requests.
    """
    with Client(server) as client:
        images = [
            client.image("POST", "/images", x_image_meta_name=f"image {n}", x_image_meta_is_public="true")
            for n in range(LISTED)
        ]
    paths = {"HEAD": f"/images/{images[0]['id']}", "GET": f"/images?limit={LISTED}"}
    timings = {(method, clients): Timing(server) for method in paths for clients in CONCURRENCIES}
    for _ in range(rounds):
        for (method, clients), timing in timings.items():
            with timing.round(asked):
                ask_at_once(server, clients, asked // clients, _asking(method, paths[method]))
    for (method, clients), timing in timings.items():
        what = "HEAD" if method == "HEAD" else f"list of {LISTED}"
        report.rate(what, clients, 1 / timing.seconds, timing.cpu)


def _asking(method: str, path: str) -> Callable[[Client], object]:
    return lambda client: client.ask(method, path)


def ask_at_once(server: Server, clients: int, times: int, ask: Callable[[Client], object]) -> None:
    """Let this many clients send this many requests each at the same time."""

    def work() -> None:
        with Client(server) as client:
            for _ in range(times):
                ask(client)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
