"""The server's settings: defaults, refused values, and the addresses that other machines can reach."""

from __future__ import annotations

import socket

import pytest

from calotype_server import ServerSettings, ServerSettingsError
from calotype_server.settings import LISTEN


def test_every_setting_has_its_default_and_a_description():
    settings = ServerSettings()
    for name, setting in ServerSettings.declared.items():
        assert getattr(settings, name) == setting.default
        assert setting.description.endswith(".")


def test_a_setting_can_be_a_number_or_a_list_instead_of_text():
    settings = ServerSettings(drain_timeout=1.5, reuse_port=True, underscore_headers=["X-Object-Meta-"])
    assert (settings.drain_timeout, settings.reuse_port) == (1.5, True)
    assert settings.underscore_prefixes == (b"x-object-meta-",)


def test_no_default_spills_a_response_to_a_temporary_file():
    settings = ServerSettings()
    assert settings.outbuf_overflow > 2 * settings.outbuf_high_watermark


def test_a_server_without_an_address_listens_on_loopback_only():
    settings = ServerSettings()
    host, _, port = LISTEN.partition(":")
    assert [where[3] for where in settings.listen] == [(host, int(port))]
    assert not list(settings.beyond_loopback())


def test_the_text_of_an_ini_file_becomes_typed_settings():
    settings = ServerSettings(
        threads="3", clear_untrusted_proxy_headers="false", uncounted_addresses="10.0.0.1 ::1"
    )
    assert (settings.threads, settings.clear_untrusted_proxy_headers) == (3, False)
    assert settings.uncounted_addresses == {"10.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"treads": "4"}, "unknown setting treads of the server"),
        ({"threads": "many"}, "must be a whole number, not 'many'"),
        ({"drain_timeout": "soon"}, "drain_timeout of the server: must be a number of seconds, not 'soon'"),
        ({"drain_timeout": "nan"}, "must be a number of seconds"),
        ({"drain_timeout": None}, "must be a number of seconds"),
        ({"recv_bytes": "1x"}, "must be a whole number, not '1x'"),
        ({"reuse_port": "ture"}, "reuse_port of the server: must be true or false, not 'ture'"),
        ({"expose_tracebacks": "perhaps"}, "must be true or false"),
        ({"listen": "127.0.0.1:80000"}, "number from 1 to 65535, or 0 .*, not '80000' in '127.0.0.1:80000'"),
        ({"listen": "127.0.0.1:1 [::1]:70000"}, "1 to 65535"),
        ({"host": "127.0.0.1", "port": "65536"}, "port of the server: .* 1 to 65535, .* not '65536'"),
        ({"listen": "nowhere.invalid:1"}, "nowhere.invalid:1"),
        ({"threads": "many"}, "threads of the server"),
        ({"threads": "0"}, "at least 1"),
        ({"min_rate": "-1"}, "at least 0"),
        ({"uncounted_addresses": "proxy.example"}, "uncounted_addresses of the server: must be IP addresses"),
        ({"listen": "127.0.0.1:1", "host": "127.0.0.1"}, "listen"),
        ({"listen": "127.0.0.1:http"}, "1 to 65535, .* not 'http' in '127.0.0.1:http'"),
        ({"listen": "127.0.0.1:"}, "1 to 65535, .* not '' in '127.0.0.1:'"),
        ({"listen": "9292"}, "listen of the server: must be HOST:PORT, such as 127.0.0.1:9292, not '9292'"),
        ({"listen": "127.0.0.1"}, "listen of the server: must be HOST:PORT, such as 127.0.0.1:9292"),
        ({"listen": "[::1]"}, "listen of the server: must be HOST:PORT"),
        ({"listen": ":9292"}, "listen of the server: must be HOST:PORT"),
        ({"trusted_proxy": "localhost"}, "trusted_proxy of the server: must be .* not the name 'localhost'"),
        (
            {"trusted_proxy": "10.0.0.0/8"},
            "trusted_proxy of the server: must be an IP address, .* not '10.0",
        ),
        (
            {"trusted_proxy": "127.0.0.1", "trusted_proxy_headers": "x-forwarded-fro"},
            "trusted_proxy_headers of the server: must be .* x-forwarded-for .*, not 'x-forwarded-fro'",
        ),
        ({"unix_socket_perms": "rw"}, "unix_socket_perms of the server: must be permissions in octal"),
        ({"host": "nowhere.invalid"}, "host of the server: .*'nowhere.invalid' has no address"),
        ({"listen": "nowhere.invalid:1"}, "listen of the server: .*'nowhere.invalid:1' has no address"),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(given, says):
    with pytest.raises(ServerSettingsError, match=says):
        ServerSettings(**given)


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.8.9.10:1", "[::1]:1", "localhost:1"])
def test_a_loopback_address_is_not_reported_as_beyond_loopback(listen):
    assert not list(ServerSettings(listen=listen).beyond_loopback())


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "127.0.0.1:1 192.0.2.1:1"])
def test_an_address_that_is_not_loopback_is_reported_as_beyond_loopback(listen):
    assert list(ServerSettings(listen=listen).beyond_loopback())


def test_a_unix_socket_is_not_reported_as_beyond_loopback(tmp_path):
    assert not list(ServerSettings(unix_socket=str(tmp_path / "socket")).beyond_loopback())


def test_an_inherited_socket_beyond_loopback_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as near, socket.create_server(("0.0.0.0", 0)) as far:
        assert not list(ServerSettings(sockets=[near]).beyond_loopback())
        assert list(ServerSettings(sockets=[far]).beyond_loopback()) == ["0.0.0.0"]


def test_a_proxys_address_is_spelled_as_waitress_compares_it():
    assert ServerSettings(trusted_proxy="::0001", trusted_proxy_headers="forwarded").trusted_proxy == "::1"
    assert ServerSettings(trusted_proxy="*", trusted_proxy_headers="forwarded").trusted_proxy == "*"
    settings = ServerSettings(unix_socket="/x", trusted_proxy="localhost", trusted_proxy_headers="forwarded")
    assert settings.trusted_proxy == "localhost", "waitress names the clients of a Unix socket so"


@pytest.mark.parametrize("key", ["trusted_proxy_count", "trusted_proxy_headers"])
def test_settings_that_exclude_each_other_are_refused_by_the_key_that_waitress_names(key):
    with pytest.raises(ServerSettingsError) as caught:
        ServerSettings(**{key: {"trusted_proxy_count": "1"}.get(key, "forwarded")})
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("listen", "admin", "overlaps"),
    [
        ({"listen": "127.0.0.1:9292"}, "127.0.0.1:9292", True),
        ({"listen": "0.0.0.0:9292"}, "127.0.0.1:9292", True),
        ({"listen": "127.0.0.1:9292"}, "127.0.0.1:9393", False),
        ({"listen": "127.0.0.2:9292"}, "127.0.0.1:9292", False),
        ({"listen": "127.0.0.1:0"}, "127.0.0.1:0", False),
        ({"listen": "0.0.0.0:9292"}, "[::1]:9292", False),
        ({"listen": "[::]:9292"}, "[::1]:9292", True),
        ({"unix_socket": "/run/x"}, "unix:/run/x", True),
        ({"unix_socket": "/run/x"}, "unix:/run/y", False),
    ],
)
def test_places_to_listen_at_overlap_if_they_would_get_the_same_connections(listen, admin, overlaps):
    settings = ServerSettings(**listen)
    assert settings.listening_at(admin).overlaps(settings) is overlaps
