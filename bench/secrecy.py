"""Measure whether response times distinguish another project's private image from a missing one.

Requests for both are sent in random order on one connection, and the Kolmogorov-Smirnov test compares the two
distributions of times. If the statistic exceeds its critical value, at an error rate of 1 %, a patient
attacker can learn which ids exist. The last figure compares missing ids with other missing ids, which shows
the noise.
"""

from __future__ import annotations

import argparse
import math
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from testservers import common

from calotype.identity.token_file import TokenFile
from client import Client
from server import Server, change_ini

#: The number of ids of each kind. With this many, no id is requested often enough for caches to matter.
IDS = 64
#: The factor for an error rate of 1 % and two samples of equal size.
_CRITICAL = math.sqrt(-math.log(0.01 / 2))
_PATCH = {"Content_Type": "application/openstack-images-v2.1-json-patch"}


@dataclass(frozen=True)
class Question:
    """A request about an image, with ID in the place of its id."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


QUESTIONS = (
    Question("GET", "/v2/images/ID", {}),
    Question("GET", "/v2/images/ID/file", {}),
    Question("GET", "/v2/images/ID/file", {"Range": "bytes=0-9"}),
    Question("GET", "/v2/images/ID/members", {}),
    Question("PATCH", "/v2/images/ID", _PATCH, b'[{"op": "replace", "path": "/name", "value": "n"}]'),
    Question("DELETE", "/v2/images/ID", {}),
    Question("HEAD", "/v1/images/ID", {}),
    Question("PUT", "/v1/images/ID", {"x_image_meta_name": "n"}),
    Question("GET", "/v1/images/ID/members", {}),
    Question("GET", "/images/ID", {}),
    Question("DELETE", "/images/ID", {}),
)


def distance(some: Sequence[float], others: Sequence[float]) -> float:
    """Return the Kolmogorov-Smirnov statistic of two samples, from 0 (equal) to 1."""
    shares = [(value, 1 / len(some)) for value in some] + [(value, -1 / len(others)) for value in others]
    apart, most = 0.0, 0.0
    for _, share in sorted(shares):
        apart += share
        most = max(most, abs(apart))
    return most


def compare(
    client: Client, question: Question, kinds: Sequence[Sequence[str]], samples: int
) -> list[list[float]]:
    """Return the response times in seconds for ids of each kind."""
    taken: list[list[float]] = [[] for _ in kinds]
    turns = [kind for kind in range(len(kinds)) for _ in range(samples)]
    random.shuffle(turns)
    for kind in turns:
        path = question.path.replace("ID", random.choice(kinds[kind]))
        began = time.perf_counter()
        answer = client.send(question.method, path, question.body, **question.headers)
        taken[kind].append(time.perf_counter() - began)
        if answer.status != 404:
            raise SystemExit(f"{question.method} {path}: {answer.status}")
    return taken


def main() -> None:
    """Print a line for each request. The last column says whether response times reveal ids."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--samples", type=int, default=10_000, metavar="N", help="requests for each kind of id"
    )
    samples = parser.parse_args().samples
    with common.run_folder() as folder:
        ini = change_ini(folder / "calotype.ini", {"app:main": {"calotype.identity": "tokens"}})
        with Server(folder / "data", ini) as server:
            tokens = TokenFile(folder / "data" / "tokens.json")
            owner = tokens.add("owner", "owners", ("member",))
            stranger = tokens.add("stranger", "strangers", ("member",))
            _ask(server, owner, stranger, samples)


def _ask(server: Server, owner: str, stranger: str, samples: int) -> None:
    with Client(server) as client:
        private = [
            client.image("POST", "/images", X_Auth_Token=owner, x_image_meta_name=f"secret {number}")["id"]
            for number in range(IDS)
        ]
        missing, control = ([str(uuid.uuid4()) for _ in range(IDS)] for _ in range(2))
        critical = _CRITICAL / math.sqrt(samples)
        print(f"{'':36} {'private':>8} {'missing':>8} {'apart':>6} {'noise':>6}  critical: {critical:.3f}")
        for question in QUESTIONS:
            headers = {**question.headers, "X_Auth_Token": stranger}
            asked = Question(question.method, question.path, headers, question.body)
            hidden, nothing, nor = compare(client, asked, (private, missing, control), samples)
            apart, noise = distance(hidden, nothing), distance(nothing, nor)
            title = f"{question.method} {question.path}" + (" (Range)" if "Range" in question.headers else "")
            verdict = "told apart" if apart > max(critical, noise) else ""
            times = f"{median(hidden) * 1000:5.2f} ms {median(nothing) * 1000:5.2f} ms"
            print(f"{title:36} {times} {apart:6.3f} {noise:6.3f}  {verdict}")


if __name__ == "__main__":
    main()
