"""Several serving processes under a supervisor: starting, ending, and replacing processes that die."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from tests.edge.processes import Load, StartService, get, hold, refuses, runs
from tests.support.waiting import wait_for
from tests.support.wire import PATIENCE


def test_several_processes_serve_and_all_of_them_end_with_the_first(start_service: StartService):
    service = start_service(processes=3).ready()
    pids = wait_for(lambda: service.pids, lambda pids: len(pids) == 3)
    answered = wait_for(lambda: {service.get()["pid"] for _ in range(30)}, lambda found: found == pids)
    assert service.process.pid not in answered
    assert f"listening on http://127.0.0.1:{service.port}\n" in service.log
    assert "3 of 3 processes serve" in service.log
    assert service.stop() == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_a_killed_process_is_replaced_and_costs_no_connection_but_its_own(start_service: StartService):
    service = start_service().ready()
    killed, other = (hold(service) for _ in range(2))
    assert killed.pid != other.pid
    with Load(service.port) as load:
        load.await_more()
        assert load.failures == []
        os.kill(killed.pid, signal.SIGKILL)
        service.await_log(f"process {killed.pid} was killed by SIGKILL after ")
        lost = len(load.failures)
        new = wait_for(lambda: service.pids - {killed.pid, other.pid})
        wait_for(lambda: new & {response["pid"] for response in load.responses[-50:]})
        load.await_more()
        assert len(load.failures) == lost <= 8  # the connections of the killed process
    assert service.log.count("another one replaces it") == 1
    service.go_on()
    assert (killed.outcome(), other.outcome()) == ("lost", other.pid)
    assert service.stop() == 0


def test_a_process_that_dies_at_once_is_replaced_after_longer_and_longer_pauses(start_service: StartService):
    service = start_service(processes=2).ready()
    (service.folder / "dies").touch()
    began = time.monotonic()
    for pid in service.pids:
        os.kill(pid, signal.SIGKILL)
    service.await_log("replaces it in 4 s", 2)
    pauses = re.findall(r"ended with status 3 after \S+ s; another one replaces it in (\S+) s", service.log)
    assert sorted(pauses) == ["2", "2", "4", "4"]
    assert time.monotonic() - began >= 3  # after pauses of 1 s and 2 s
    (service.folder / "dies").unlink()
    assert service.get()["pid"] in service.pids
    assert service.stop() == 0


def test_sigterm_lets_a_running_request_finish_and_refuses_connections(start_service: StartService):
    service = start_service().ready()
    held = hold(service)
    service.signal(signal.SIGTERM)
    wait_for(lambda: refuses(service))
    assert held.pid in service.pids
    service.go_on()
    assert held.outcome() == held.pid
    assert service.process.wait(PATIENCE) == 0


def test_a_second_signal_ends_all_processes_at_once(start_service: StartService):
    service = start_service(drain_timeout=600).ready()
    held, pids = hold(service), service.pids
    service.signal(signal.SIGTERM)
    service.await_log("requests under way: 1;")
    service.signal(signal.SIGINT)
    assert service.process.wait(PATIENCE) == -signal.SIGINT
    assert held.outcome() == "lost"
    wait_for(lambda: not any(map(runs, pids)))


def test_a_signal_to_the_whole_group_lets_requests_finish(start_service: StartService):
    """Ctrl-C reaches every process of a terminal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        service = start_service().ready()
        held = hold(service)
        for pid in (*service.pids, service.process.pid):
            os.kill(pid, number)
        service.await_log("requests under way: 1;")
        service.go_on()
        assert held.outcome() == held.pid
        assert service.process.wait(PATIENCE) == 0


def test_a_process_that_hangs_does_not_keep_the_service_from_ending(start_service: StartService):
    service = start_service(drain_timeout=1, end_timeout=1).ready()
    held = hold(service, "/hang")
    service.signal(signal.SIGTERM)
    assert service.process.wait(10) == 1
    assert held.outcome() == "lost"
    assert f"process {held.pid} ended with status 1" in service.log


def test_a_process_that_the_kernel_has_stopped_is_killed_at_the_deadline(start_service: StartService):
    service = start_service(drain_timeout=0, end_timeout=1).ready()
    stopped = min(service.pids)
    os.kill(stopped, signal.SIGSTOP)
    service.signal(signal.SIGTERM)
    assert service.process.wait(PATIENCE) == 1
    assert f"killed processes that did not end in time: {stopped}" in service.log


def test_the_processes_end_when_the_one_that_started_them_is_killed(start_service: StartService):
    service = start_service().ready()
    held, pids = hold(service), service.pids
    service.process.kill()
    wait_for(lambda: not any(map(runs, pids - {held.pid})))
    service.go_on()
    assert held.outcome() == held.pid
    wait_for(lambda: not any(map(runs, pids)))


def test_a_service_under_a_program_that_ignores_its_children_knows_how_they_ended(
    start_service: StartService,
):
    """The disposition of SIGCHLD is inherited."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        service = start_service().ready()
    finally:
        signal.signal(signal.SIGCHLD, before)
    killed = min(service.pids)
    os.kill(killed, signal.SIGKILL)
    service.await_log(f"process {killed} was killed by SIGKILL")
    assert service.stop() == 0


def test_an_application_with_threads_is_not_forked(start_service: StartService):
    service = start_service(has_thread=True)
    assert service.process.wait(PATIENCE) == 1
    assert service.log.splitlines() == [
        "cannot start: cannot start several processes, because the application has started threads: mine; "
        "set processes = 1, or let it start them in start_serving"
    ]


def test_an_address_that_is_taken_stops_the_start_of_several_processes(start_service: StartService):
    taken = start_service().ready()
    service = start_service(listen=f"127.0.0.1:{taken.port}")
    assert service.process.wait(PATIENCE) == 1
    (line,) = service.log.splitlines()
    assert line.startswith(f"cannot start: cannot listen on 127.0.0.1:{taken.port}: Address already in use.")


def test_the_supervisor_holds_no_connection_of_a_client(start_service: StartService):
    service = start_service().ready()
    with service.connection() as connection:
        get(connection)
        links = [os.readlink(link) for link in Path(f"/proc/{service.process.pid}/fd").iterdir()]
    assert sum(link.startswith("socket:") for link in links) == 1
    assert sum(1 for _ in Path(f"/proc/{service.process.pid}/task").iterdir()) == 1
