"""Several serving processes under a supervisor: starting, ending, and replacing processes that die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.edge.processes import Service
from tests.support.waiting import wait_for

StartService = Callable[..., Service]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """start_service(**settings): a server of several processes; ended after the test."""
    with ExitStack() as stack:

        def start(**given: object) -> Service:
            folder = tmp_path / f"service{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            service = Service(folder, **given)
            stack.callback(service.kill)
            return service

        yield start


def test_several_processes_serve_and_all_of_them_end_with_the_first(start_service: StartService):
    service = start_service(processes=3).ready()
    pids = wait_for(lambda: service.pids, lambda pids: len(pids) == 3)
    answered = wait_for(lambda: {service.get()["pid"] for _ in range(30)}, lambda found: found == pids)
    assert service.process.pid not in answered
    assert f"listening on http://127.0.0.1:{service.port}, with 3 processes" in service.log
    assert service.stop() == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
