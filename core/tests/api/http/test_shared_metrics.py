"""Metrics that several processes add up."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from calotype.api.http.shared_metrics import SharedMetrics

#: A process that has served a request and sees a store in a state, with hanging calls and free bytes.
PROGRAM = """
import sys
from types import SimpleNamespace as Part
from calotype.api.http.metrics import Metrics
from calotype.transfers.probes import ProbeState

state, hanging, free, name = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) or None, sys.argv[4]
store = Part(name=name, bulkhead=Part(hanging=hanging))
probe = Part(state=ProbeState(state), room=Part(free=free, capacity=None))
metrics = Metrics(None, 1)
metrics.collect_stores([store], Part(stores={name: probe}))
metrics.publish()
metrics.observe_request("GET", 200, 0.1, 0, 7)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """start(state, hanging, free, store): a process that shares its metrics."""
    with ExitStack() as stack:

        def start(state, hanging, free, store="disk"):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, state, str(hanging), str(free), store],
                    env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            assert process.stdout.readline() == "ready\n"
            return process

        yield start


def end(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def collect(folder, name):
    """Return the samples with this name, by the values of their labels other than `disk`."""
    samples = [one for family in SharedMetrics(None, str(folder)).collect() for one in family.samples]
    return {
        "".join(value for value in one.labels.values() if value != "disk"): one.value
        for one in samples
        if one.name == name
    }


def test_counters_are_sums_to_which_killed_processes_belong(start, tmp_path):
    end(start("ok", 0, 1))
    start("ok", 0, 1)
    start("ok", 0, 1)
    assert collect(tmp_path, "calotype_request_seconds_count") == {"GET2xx": 3}
    assert collect(tmp_path, "calotype_image_bytes_total") == {"in": 0, "out": 21}
    assert {path.stem for path in tmp_path.glob("*.lock")} == {"0", "1"}


def test_gauges_combine_the_processes_that_live(start, tmp_path):
    start("ok", 2, 500)
    other = start("unavailable", 3, 400)
    states = dict.fromkeys(("ok", "full", "busy", "unavailable", "unknown"), 0)
    assert collect(tmp_path, "calotype_store_state") == {**states, "ok": 1, "unavailable": 1}
    assert collect(tmp_path, "calotype_store_hanging_calls") == {"": 5}
    assert collect(tmp_path, "calotype_store_free_bytes") == {"": 400}
    end(other)
    assert collect(tmp_path, "calotype_store_state") == {**states, "ok": 1}
    assert collect(tmp_path, "calotype_store_hanging_calls") == {"": 2}
    assert collect(tmp_path, "calotype_store_free_bytes") == {"": 500}


def test_the_gauges_of_a_killed_process_do_not_pass_to_its_successor(start, tmp_path):
    end(start("unavailable", 3, 400, store="removed"))
    start("ok", 0, 0)
    assert collect(tmp_path, "calotype_store_hanging_calls") == {"": 0}
    assert collect(tmp_path, "calotype_store_free_bytes") == {}, "its room is not known"
