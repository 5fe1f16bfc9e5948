"""A reload on SIGHUP: new settings and new code, and no connection is refused."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.edge.processes import Load, Service, StartService, get, hold, refuses, runs
from tests.support.waiting import wait_for
from tests.support.wire import PATIENCE


def reload(service: Service, count: int = 1) -> None:
    """Reload, and return when the new processes serve."""
    service.signal(signal.SIGHUP)
    service.await_log("processes serve", count + 1)


def have_ended(pids: set[int]) -> bool:
    """Return whether none of the processes runs."""
    return not any(map(runs, pids))


def test_a_reload_under_load_refuses_and_fails_nothing(start_service: StartService):
    service = start_service(word="old").ready()
    before = service.pids
    with Load(service.port) as load:
        load.await_more()
        for count, word in enumerate(("new", "newer"), 1):
            service.configure(word=word)
            reload(service, count)
            wait_for(partial(have_ended, before))
            before = service.pids
            load.await_more()
            assert {response["word"] for response in load.responses[-50:]} == {word}
    assert load.failures == []
    assert service.stop() == 0


def test_a_reload_runs_code_that_was_installed_meanwhile(start_service: StartService):
    service = start_service().ready()
    program = service.folder / "program.py"
    program.write_text(program.read_text().replace('"word": word', '"word": "newly installed"'))
    reload(service)
    wait_for(lambda: service.get()["word"] == "newly installed")


def test_a_reload_runs_the_interpreter_that_a_replaced_script_names(tmp_path, start_service: StartService):
    """An upgrade changes the link to the folder of a version, whose scripts name its own interpreter."""
    service = start_service(as_script=True).ready()
    other = tmp_path / "other-python"
    other.write_text(f'#!/bin/sh\nexport CHOSEN=yes\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    program = service.folder / "program.py"
    program.write_text(program.read_text().replace(f"#!{sys.executable}", f"#!{other}"))
    reload(service)
    assert b"CHOSEN=yes" in Path(f"/proc/{service.process.pid}/environ").read_bytes().split(b"\0")


def test_the_process_that_was_started_first_stays_the_same(start_service: StartService):
    service = start_service().ready()
    reload(service)
    assert service.process.poll() is None
    assert service.process.pid not in service.pids
    assert service.stop() == 0


def test_a_running_request_survives_a_reload(start_service: StartService):
    service = start_service(drain_timeout=0).ready()
    held = hold(service)
    reload(service)
    wait_for(lambda: service.get()["pid"] != held.pid)
    service.go_on()
    assert held.outcome() == held.pid
    wait_for(lambda: not runs(held.pid))


def test_a_request_that_exceeds_the_reload_timeout_is_ended(start_service: StartService):
    service = start_service(reload_timeout=1).ready()
    held = hold(service)
    reload(service)
    assert held.outcome() == "lost"
    wait_for(lambda: not runs(held.pid))


def test_after_sigterm_the_processes_before_a_reload_get_no_more_time_than_others(
    start_service: StartService,
):
    service = start_service(drain_timeout=1, end_timeout=1).ready()
    held = hold(service)
    reload(service)
    service.await_log("requests under way: 1; the server ends when they have ended, in 3600 seconds")
    service.signal(signal.SIGTERM)
    assert held.outcome() == "lost"
    assert service.process.wait(PATIENCE) in (0, 1)
    assert "ended 1 requests that did not finish in time" in service.log
    assert not runs(held.pid)


def test_an_idle_connection_may_be_used_once_more_after_a_reload(start_service: StartService):
    service = start_service().ready()
    with service.connection() as connection:
        old, before = get(connection)["pid"], service.pids
        reload(service)
        wait_for(lambda: have_ended(before - {old}))  # the other one had no connection
        assert get(connection)["pid"] == old
        assert connection.sock is None  # the response had `Connection: close`


def test_a_reload_with_a_mistake_keeps_the_processes_and_logs_one_line(start_service: StartService):
    service = start_service(word="old").ready()
    before, lines = service.pids, len(service.log.splitlines())
    service.configure(threads="many")
    service.signal(signal.SIGHUP)
    service.await_log("cannot reload")
    (line,) = service.log.splitlines()[lines:]
    assert line.endswith(
        "cannot reload, so the processes go on as they are: cannot start: threads of the server: "
        "must be a whole number, not 'many'"
    )
    assert service.pids == before
    assert service.get()["word"] == "old"
    service.configure(threads=4, word="new")
    reload(service)
    wait_for(lambda: service.get()["word"] == "new")


def test_a_reload_whose_program_is_missing_keeps_the_processes(start_service: StartService):
    service = start_service(as_script=True).ready()
    before, program = service.pids, service.folder / "program.py"
    program.rename(service.folder / "elsewhere.py")
    service.signal(signal.SIGHUP)
    service.await_log("cannot reload, so the processes go on as they are: ")
    assert service.pids == before
    (service.folder / "elsewhere.py").rename(program)
    reload(service)
    assert service.stop() == 0


def test_a_reload_to_an_address_that_is_taken_keeps_the_processes(start_service: StartService):
    service = start_service().ready()
    before = service.pids
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service.configure(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        service.signal(signal.SIGHUP)
        service.await_log("cannot reload")
    assert service.pids == before
    assert service.get()["pid"] in before


def test_a_reload_can_change_addresses_and_the_number_of_processes(
    start_service: StartService, free_port: int
):
    service = start_service().ready()
    first = service.port
    service.configure(listen=f"127.0.0.1:{first} 127.0.0.1:{free_port}", processes=1)
    reload(service)
    wait_for(lambda: len(service.pids) == 1)
    for service.port in (first, free_port):
        assert service.get()["pid"] in service.pids
    service.configure(listen=f"127.0.0.1:{free_port}", processes=2)
    reload(service, 2)
    service.port = first
    wait_for(lambda: refuses(service))
    service.port = free_port
    assert service.get()["pid"] in service.pids
    assert service.stop() == 0


def test_a_mistake_that_is_made_while_a_trial_runs_keeps_the_processes(start_service: StartService):
    """The second SIGHUP asks for another trial, because the first one has read the file before."""
    service = start_service().ready()
    before = service.pids
    service.configure(loads_for=1)
    service.signal(signal.SIGHUP)
    wait_for(lambda: len(list(service.folder.glob("read-*"))) == 2)
    service.configure(loads_for=0, threads="many")
    service.signal(signal.SIGHUP)
    service.await_log(
        "cannot reload, so the processes go on as they are: cannot start: threads of the server"
    )
    assert service.pids == before
    assert service.stop() == 0


def test_a_terminal_that_hangs_up_costs_no_request(start_service: StartService):
    """It sends SIGHUP to all processes, of which only the first one reloads."""
    service = start_service().ready()
    held = hold(service)
    for pid in (*service.pids, service.process.pid):
        os.kill(pid, signal.SIGHUP)
    service.await_log("processes serve", 2)
    service.go_on()
    assert held.outcome() == held.pid


def test_sigterm_during_a_reload_ends_everything(start_service: StartService):
    service = start_service().ready()
    held = hold(service)
    service.signal(signal.SIGHUP)
    service.await_log("reloading")  # from now on, nothing handles signals for a moment
    service.signal(signal.SIGTERM)
    service.go_on()
    assert held.outcome() == held.pid
    assert service.process.wait(PATIENCE) == 0
    assert not runs(held.pid)


@pytest.fixture(params=["path", "abstract"])
def notified(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """An address for NOTIFY_SOCKET, and the socket that gets the messages."""
    address = f"{tmp_path}/notify" if request.param == "path" else f"@{tmp_path.name}-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0") if request.param == "abstract" else address)
        receiver.settimeout(PATIENCE)
        yield address, receiver


def message(receiver: socket.socket) -> list[str]:
    """Return the lines of the next message."""
    return receiver.recv(4096).decode().splitlines()


def test_systemd_is_told_of_the_start_of_reloads_and_of_the_end(start_service: StartService, notified):
    address, receiver = notified
    service = start_service(env={"NOTIFY_SOCKET": address})
    assert message(receiver) == ["READY=1", "STATUS=2 processes serve"]
    service.configure(threads="many")
    service.signal(signal.SIGHUP)
    kind, since, status = message(receiver)
    assert (kind, status) == ("RELOADING=1", "STATUS=checking whether the service can start")
    assert since.startswith("MONOTONIC_USEC=")
    assert message(receiver) == ["READY=1", "STATUS=2 processes serve"]
    service.configure(threads=4, processes=3)
    service.signal(signal.SIGHUP)
    assert message(receiver)[0] == "RELOADING=1"
    assert message(receiver) == ["READY=1", "STATUS=3 processes serve"]
    service.signal(signal.SIGTERM)
    assert message(receiver) == ["STOPPING=1", "STATUS=running requests finish"]


def test_one_process_tells_systemd_too_and_survives_a_reload(start_service: StartService, notified):
    address, receiver = notified
    service = start_service(env={"NOTIFY_SOCKET": address}, processes=1)
    assert message(receiver)[0] == "READY=1"
    service.signal(signal.SIGHUP)
    service.await_log("cannot reload, because one process serves alone (processes = 1): restart the service")
    assert service.get()["pid"] == service.process.pid
    service.signal(signal.SIGTERM)
    assert message(receiver)[0] == "STOPPING=1"
    assert service.process.wait(PATIENCE) == 0
