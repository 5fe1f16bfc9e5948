"""How many small requests a second are answered, by one client at a time and by eight."""

from __future__ import annotations

import threading
import time
from statistics import median

from client import Client
from report import Report
from server import Server

CONCURRENCIES = (1, 8)
LISTED = 25


def measure_requests(report: Report, server: Server, seconds: float, rounds: int) -> None:
    """HEAD of one image, and a list of 25, on connections that stay open."""
    with Client(server) as client:
        images = [
            client.image(
                "POST", "/images", x_image_meta_name=f"image {number}", x_image_meta_is_public="true"
            )
            for number in range(LISTED)
        ]
    asked = {"HEAD": f"/images/{images[0]['id']}", "GET": f"/images?limit={LISTED}"}
    rates: dict[tuple[str, int], list[float]] = {(m, c): [] for m in asked for c in CONCURRENCIES}
    for _ in range(rounds):
        for (method, clients), found in rates.items():
            found.append(_rate(server, method, asked[method], clients, seconds))
    for (method, clients), found in rates.items():
        what = "HEAD" if method == "HEAD" else f"list of {LISTED}"
        report.rate(what, clients, median(found))


def _rate(server: Server, method: str, path: str, clients: int, seconds: float) -> float:
    """Answers a second that so many clients get together."""
    counts = [0] * clients
    end = time.perf_counter() + seconds

    def ask(number: int) -> None:
        with Client(server) as client:
            while time.perf_counter() < end:
                client.ask(method, path)
                counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)
