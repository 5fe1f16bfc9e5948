"""Readiness: everybody sees the states of the parts, and administrators also the processes."""

import os
import re
from dataclasses import replace

import pytest
from webtest import TestApp

from calotype.app import make_app
from calotype.identity.token_file import TokenFile
from calotype.transfers.heartbeat import Heartbeat

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def tokens(tmp_path):
    return tmp_path / "tokens.json"


@pytest.fixture
def app(bench, tokens):
    token(tokens, "reader")
    Heartbeat(bench.database).beat()
    service = bench.service
    for probe in service.probes:
        probe.run()
    settings = bench.settings.model_copy(update={"identity": "tokens", "tokens_file": tokens})
    return TestApp(make_app(replace(service, settings=settings)))


def token(path, role):
    return TokenFile(path).add("u", "p", (role,))


def test_an_administrator_sees_the_running_processes(app, tokens):
    answer = app.get("/readyz", headers={"X-Auth-Token": token(tokens, "admin")}).json
    (process,) = answer.pop("processes")
    assert answer == {"database": "ok", "stores": {"memory": "ok"}}
    assert process["pid"] == os.getpid()
    assert process.keys() == {"host", "pid", "version", "started", "last_seen"}
    assert MOMENT.fullmatch(process["started"])
    assert MOMENT.fullmatch(process["last_seen"])


def test_a_caller_who_is_no_administrator_sees_readiness_without_processes(app, tokens):
    for headers in ({}, {"X-Auth-Token": token(tokens, "member")}, {"X-Auth-Token": "wrong"}):
        assert app.get("/readyz", headers=headers).json.keys() == {"database", "stores"}


def test_an_unreadable_token_file_does_not_affect_readiness(app, tokens):
    tokens.write_text("no JSON")
    answer = app.get("/readyz", headers={"X-Auth-Token": "any"})
    assert (answer.status_int, answer.json.keys()) == (200, {"database", "stores"})
