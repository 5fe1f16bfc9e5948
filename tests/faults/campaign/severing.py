"""Breaks: end or silence the connection to the database at each message of a phase.

Commits are among the messages: if the response to a commit is lost, only the database knows whether it
happened. Each request is answered in bounded time, even if the database is silent.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import FRESH, Tally, spread
from tests.faults.campaign.link import Break, Link
from tests.faults.campaign.phases import Phase, Scene
from tests.faults.campaign.victim import victim

#: The timeout for the database is short, so that the campaign takes only minutes.
_ANSWER = 1.5
SETTINGS = {"calotype.database_timeout": f"{_ANSWER}", "calotype.busy_timeout": "1"}
#: Seconds for which a link is silent.
_SILENCE = 4
#: The time limit for any response in seconds. A request may meet the silence three times: when it checks a
#: connection, when it makes a new one, which takes 5 seconds, and when it records its failure.
BOUND = 3 * (_ANSWER + 1) + 5


def sever(phase: Phase, databases: Databases, folder: Path, most: int) -> Tally:
    """Break the connection at each message, in each way: all, or `most` at even distances."""
    tally = Tally(f"{phase.name}: database breaks", databases.name)
    with _linked(databases, folder / "counted", phase) as (scene, link):
        messages = _count(phase, scene, link)
    points = spread(list(itertools.product(range(1, messages + 1), Break)), most)
    for start in range(0, len(points), FRESH):
        with _linked(databases, folder / f"from{start}", phase) as (scene, link):
            for number, how in points[start : start + FRESH]:
                scene.do(phase.prepare)
                scene.ledger.slowest = 0
                link.arm(number, how)
                healing = threading.Timer(_SILENCE, link.heal)
                healing.start()
                scene.do(phase.deed)
                healing.cancel()
                link.heal()
                found = scene.judge()
                if scene.ledger.slowest > BOUND:
                    found.append(f"an answer took {scene.ledger.slowest:.1f} s")
                tally.add(found, f"message {number}, {how.value}")
    return tally


def _count(phase: Phase, scene: Scene, link: Link) -> int:
    """Return the number of messages of the phase; others, such as queries for jobs, may be among them."""
    scene.do(phase.prepare)
    link.heal()
    scene.do(phase.deed)
    return link.messages


@contextlib.contextmanager
def _linked(databases: Databases, folder: Path, phase: Phase) -> Iterator[tuple[Scene, Link]]:
    """Yield a victim with a link to its database; the campaign itself uses no link."""
    database = databases.make()
    with Link(database) as link:
        through = {**phase.settings, **SETTINGS, "sqlalchemy.url": link.url}
        with victim(folder, database, through) as running:
            yield Scene(running, 0, phase.settle), link
