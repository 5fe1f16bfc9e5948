"""What watchers are told: everybody the state of the parts, administrators which processes serve."""

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


def test_an_administrator_sees_the_processes_that_serve(app, tokens):
    answer = app.get("/readyz", headers={"X-Auth-Token": token(tokens, "admin")}).json
    (process,) = answer.pop("processes")
    assert answer == {"database": "ok", "stores": {"memory": "ok"}}
    assert process["pid"] == os.getpid()
    assert process.keys() == {"host", "pid", "version", "started", "last_seen"}
    assert MOMENT.fullmatch(process["started"])
    assert MOMENT.fullmatch(process["last_seen"])


def test_nobody_else_sees_them_and_no_token_is_needed(app, tokens):
    for headers in ({}, {"X-Auth-Token": token(tokens, "member")}, {"X-Auth-Token": "wrong"}):
        assert app.get("/readyz", headers=headers).json.keys() == {"database", "stores"}


def test_tokens_that_cannot_be_read_do_not_make_a_process_unready(app, tokens):
    tokens.write_text("no JSON")
    answer = app.get("/readyz", headers={"X-Auth-Token": "any"})
    assert (answer.status_int, answer.json.keys()) == (200, {"database", "stores"})
