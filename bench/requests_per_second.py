"""How many small requests a second are answered, by one client at a time and by eight."""

from __future__ import annotations

import threading

from client import Client
from report import Report
from server import Server
from timing import Timing

CONCURRENCIES = (1, 8)
LISTED = 25


def measure_requests(report: Report, server: Server, asked: int, rounds: int) -> None:
    """HEAD of one image, and a list of 25, on connections that stay open; `asked` of them in a round."""
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
                _ask(server, method, paths[method], clients, asked // clients)
    for (method, clients), timing in timings.items():
        what = "HEAD" if method == "HEAD" else f"list of {LISTED}"
        report.rate(what, clients, 1 / timing.seconds, timing.cpu)


def _ask(server: Server, method: str, path: str, clients: int, times: int) -> None:
    """So many clients at once ask so many times each."""

    def ask() -> None:
        with Client(server) as client:
            for _ in range(times):
                client.ask(method, path)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
