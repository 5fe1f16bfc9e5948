"""Where applications may be served, hooks behind filters, and how addresses are counted."""

from __future__ import annotations

import socket

import pytest

from calotype_server import ServerError, ServerSettings, ServerSettingsError, serve, serve_paste
from calotype_server.channel import counted_as
from calotype_server.hooks import hooks_of
from calotype_server.listeners import Listener


class LocalOnly:
    """An application that other machines must not reach."""

    loopback_only = "nobody is asked who they are; set an identity."

    def __init__(self):
        self.calotype_server = self

    def __call__(self, environ, start_response):
        raise AssertionError("it never runs")


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "*:0", "127.0.0.1:0 192.0.2.1:0"])
def test_an_application_for_this_machine_only_is_not_served_to_others(listen):
    with pytest.raises(ServerError, match=r"^cannot listen on \S+: nobody is asked .*; set an identity\.$"):
        serve(LocalOnly(), ServerSettings(listen=listen))


def test_an_application_for_this_machine_only_may_be_served_on_loopback():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{port}: .*choose another port"):
            serve(LocalOnly(), ServerSettings(listen=f"127.0.0.1:{port}"))


def test_settings_from_paste_deploy_are_parsed_from_text():
    with pytest.raises(ServerError, match=r"cannot listen on 0\.0\.0\.0: nobody is asked"):
        serve_paste(LocalOnly(), {}, listen="0.0.0.0:0", threads="3", reuse_port="false")
    with pytest.raises(ServerSettingsError, match="threads of the server: must be a whole number, not 'x'"):
        serve_paste(LocalOnly(), {}, threads="x")


def test_an_error_in_the_check_of_deadlines_does_not_end_the_server(caplog):
    """An exception would end the loop, in which the check runs."""

    class Faulty(Listener):
        def __init__(self):
            """Listen nowhere."""

        def _check_all(self, now):
            raise RuntimeError("dictionary changed size during iteration")

    Faulty().maintenance(0)

    assert "could not check all deadlines" in caplog.text


def test_connections_are_counted_per_ipv4_address_and_per_ipv6_network():
    assert counted_as("192.0.2.1") != counted_as("192.0.2.2")
    assert counted_as("2001:db8::1") == counted_as("2001:db8::2:3:4:5")
    assert counted_as("2001:db8::1") != counted_as("2001:db8:0:1::1")
    assert counted_as("::ffff:192.0.2.1") == "192.0.2.1"
    assert counted_as("fe80::1%eth0") == counted_as("fe80::2")


class Filter:
    """A filter that hides the application's attributes, as keystonemiddleware does."""

    def __init__(self, app):
        self._app = app

    def __call__(self, environ, start_response):
        raise AssertionError("it never runs")


def function_filter(app):
    return lambda environ, start_response: app(environ, start_response)


class Starting(LocalOnly):
    """An application with a function to call before it is served."""

    def start_serving(self):
        raise AssertionError("it never runs")


@pytest.mark.parametrize("filters", [[], [Filter], [function_filter], [Filter, function_filter, Filter]])
def test_an_application_with_hooks_is_found_behind_filters(filters):
    app = served = Starting()
    for make in filters:
        served = make(served)
    hooks = hooks_of(served)
    assert (hooks.start_serving, hooks.loopback_only) == (app.start_serving, app.loopback_only)
    assert (hooks.admin_listen, hooks.stop_serving()) == (None, None)


def test_an_application_without_hooks_is_served():
    looping = Filter(None)
    looping._app = looping
    for served in (Filter(LocalOnly), Filter(None), looping):
        hooks = hooks_of(served)
        assert (hooks.loopback_only, hooks.start_serving()) == (None, None)
