"""What `[server:main]` calls: whom it refuses to serve to, and how connections are counted."""

from __future__ import annotations

import socket

import pytest

from calotype.config.interpolation import SettingsError
from calotype_server.channel import counted_as
from calotype_server.server import _behind_filters, _Listener, serve
from calotype_server.settings import ServerError


class LocalOnly:
    """An application that must not be reached from elsewhere."""

    loopback_only = "nobody is asked who they are; set an identity."

    def __call__(self, environ, start_response):
        raise AssertionError("it never runs")


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "*:0", "127.0.0.1:0 192.0.2.1:0"])
def test_an_application_for_this_machine_only_is_not_served_to_others(listen):
    with pytest.raises(ServerError, match=r"^cannot listen on \S+: nobody is asked .*; set an identity\.$"):
        serve(LocalOnly(), {}, listen=listen)


def test_an_application_for_this_machine_only_may_be_served_to_it():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{port}: .*choose another port"):
            serve(LocalOnly(), {}, listen=f"127.0.0.1:{port}")


def test_a_fault_in_a_look_at_the_deadlines_does_not_end_the_server(caplog):
    """The look runs in the loop, which would end with it."""

    class Faulty(_Listener):
        def _look_after_all(self, now):
            raise RuntimeError("dictionary changed size during iteration")

    Faulty().maintenance(0)

    assert "could not look at all deadlines" in caplog.text


def test_variables_of_the_ini_file_are_replaced():
    with pytest.raises(
        SettingsError, match=r"^listen: '\$\{nowhere\}' names no variable: set nowhere in \[DEFAULT\]"
    ):
        serve(LocalOnly(), {}, listen="127.0.0.1:${nowhere}")
    with pytest.raises(ServerError, match="set an identity"):
        serve(LocalOnly(), {"host": "0.0.0.0"}, listen="${host}:0")


def test_an_address_counts_for_itself_and_in_ipv6_for_its_network():
    assert counted_as("192.0.2.1") != counted_as("192.0.2.2")
    assert counted_as("2001:db8::1") == counted_as("2001:db8::2:3:4:5")
    assert counted_as("2001:db8::1") != counted_as("2001:db8:0:1::1")
    assert counted_as("::ffff:192.0.2.1") == "192.0.2.1"
    assert counted_as("fe80::1%eth0") == counted_as("fe80::2")


class Filter:
    """A filter that keeps the application to itself, as keystonemiddleware does."""

    def __init__(self, app):
        self._app = app

    def __call__(self, environ, start_response):
        raise AssertionError("it never runs")


def function_filter(app):
    return lambda environ, start_response: app(environ, start_response)


class Told(LocalOnly):
    """An application that wants to know when it is served."""

    def start_serving(self):
        raise AssertionError("it never runs")


@pytest.mark.parametrize("within", [[], [Filter], [function_filter], [Filter, function_filter, Filter]])
def test_an_application_that_wants_to_know_is_found_whatever_stands_before_it(within):
    app = served = Told()
    for made in within:
        served = made(served)
    assert _behind_filters(served, "start_serving") is app


def test_an_application_that_does_not_want_to_know_is_served_all_the_same():
    looping = Filter(None)
    looping._app = looping
    for served in (Filter(LocalOnly()), Filter(None), looping):
        assert _behind_filters(served, "start_serving") is None
