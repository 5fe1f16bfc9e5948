"""The way out: what it refuses without sending anything, and what it sends where."""

import contextlib
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.egress import (
    BadAnswer,
    Egress,
    EgressError,
    EgressPolicy,
    Forbidden,
    Unreachable,
    is_own,
    is_public,
    parse,
)

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PUBLIC = "93.184.216.34"

BAD_ADDRESSES = [
    "127.0.0.1",
    "127.0.0.2",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::ffff:169.254.169.254",
    "::ffff:0:7f00:1",
    "169.254.169.254",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "198.18.0.1",
    "fc00::1",
    "fec0::1",
    "224.0.0.1",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:1::1",
    "192.88.99.1",
    "3fff::1",
    "5f00::1",
    "2001:20::1",
    "100::1",
    "2001:db8::1",
    "203.0.113.1",
]
GOOD_ADDRESSES = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "172.32.0.1",
    "100.128.0.1",
    "169.253.255.255",
    "11.0.0.1",
    "::ffff:8.8.8.8",
]

#: URLs whose very form is refused; {port} is a port that is allowed and that something listens on.
BAD_FORMS = [
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://017700000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://127.0.0.01:{port}/",
    "http://127.0.0.256:{port}/",
    "http://0:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[fe80::1%lo]:{port}/",
    "http://[::1:{port}/",
    "http://[::g]:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://::1:{port}/",
    "http://good@127.0.0.1:{port}/",
    "http://user:secret@127.0.0.1:{port}/",
    "http://@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@good/",
    "http://127.0.0.1:{port}/\\good",
    "http://good#@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/a#b",
    "http://a@b@127.0.0.1:{port}/",
    "http://good%00.127.0.0.1:{port}/",
    "http://127.0.0.1\x00.example.com:{port}/",
    "http://127%2e0.0.1:{port}/",
    "http:127.0.0.1:{port}/x",
    "http:/127.0.0.1:{port}/x",
    "http:///x",
    "http://:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/",
    "\thttp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/ ",
    "http://127.0.0.1:{port}/\n",
    "ht\ntp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\t/",
    "http://127.0.0.1:٨٠/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:+{port}/",
    "http://127.0.0.1:/",
    "http://127.0.0.1:{port}:80/",
    "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:{port}/",
    "http://127。0。0。1:{port}/",
    "http://-a.example:{port}/",
    "http://a..example:{port}/",
    "http://.example:{port}/",
    "http://localhost.:{port}/",
    f"http://{'a' * 64}.example:{{port}}/",
    f"http://{'a.' * 127}example:{{port}}/",
    f"http://127.0.0.1:{{port}}/{'a' * 8000}",
    "http://127.0.0.1:{port}/a%0d%0aX:%20y",
    "http://127.0.0.1:{port}/a\r\nX: y",
    "http://127.0.0.1:{port}/%00",
    "http://127.0.0.1:{port}/%7f",
    "http://127.0.0.1:{port}/%zz",
    "http://127.0.0.1:{port}/é",
    "gopher://127.0.0.1:{port}/",
    "dict://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "file:/etc/passwd",
    "file://localhost/etc/passwd",
    "filesystem:///etc/passwd",
    "fi%6ce:///etc/passwd",
    "url:file:///etc/passwd",
    "url:http://127.0.0.1:{port}/",
    "jar:file:///etc/passwd",
    "netdoc:///etc/passwd",
    "data:text/plain,x",
    "http+unix://%2fvar%2frun%2fdocker.sock/",
    "",
    "http",
    "http://",
]


@dataclass
class Source(contextlib.AbstractContextManager):
    """A web server on the loopback address whose answer to each path is a function of the handler."""

    pages: dict[str, Callable] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    def __post_init__(self):
        source = self
        self.connections = 0
        self.requests = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                source.requests.append((self.path, dict(self.headers)))
                with contextlib.suppress(ConnectionError):
                    source.pages.get(self.path, answer(404))(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False

            def get_request(self):
                connection, address = super().get_request()
                source.connections += 1
                return connection, address

            def finish_request(self, request, client_address):
                if source.tls:
                    try:
                        request = source.tls.wrap_socket(request, server_side=True)
                    except OSError:
                        return
                with request:
                    super().finish_request(request, client_address)

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.01])
        self.thread.start()

    def url(self, path="/", host="127.0.0.1"):
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def answer(status=200, body=b"", **headers):
    """A page with this status, body and headers (Content-Length unless given; `_` stands for `-`)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def page(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return page


def redirect(location, status=302):
    return answer(status, Location=location)


def raw(*pieces, pause=0.0, forever=False):
    """A page that writes the pieces as they are, then closes, or repeats the last until it is cut."""

    def page(handler):
        handler.close_connection = True
        for piece in pieces:
            handler.wfile.write(piece)
        while forever:
            time.sleep(pause)
            handler.wfile.write(pieces[-1])

    return page


def read(opened):
    with contextlib.closing(opened) as got:
        return b"".join(iter(got.read, b""))


def policy(*sources, **given):
    defaults = {"ports": tuple(s.port for s in sources), "allowed_networks": LOOPBACK, "connect_timeout": 5}
    return EgressPolicy(**{**defaults, "read_timeout": 20, **given})


@pytest.fixture
def source():
    with Source({"/": answer(body=b"hello")}) as started:
        yield started


class Names:
    """A resolver: names and the answers they give, one after the other, the last for ever."""

    def __init__(self, **names):
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked = []

    def __call__(self, host, port):
        self.asked.append(host)
        answers = self.names.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


# What is refused, and nothing sent


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_a_private_address_is_refused_as_a_literal_and_behind_a_name(address, source):
    strict = EgressPolicy(ports=(source.port,))
    host = f"[{address}]" if ":" in address else address

    with pytest.raises(Forbidden):
        Egress(strict).open("GET", f"http://{host}:{source.port}/")
    with pytest.raises(Forbidden):
        Egress(strict, Names(a_example=[[address]])).open("GET", f"http://a.example:{source.port}/")
    assert source.connections == 0


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_a_public_address_passes_the_check(address):
    host = f"[{address}]" if ":" in address else address

    Egress(EgressPolicy()).check(f"http://{host}/")
    Egress(EgressPolicy(), Names(a_example=[[address]])).check("https://a.example/")


@pytest.mark.parametrize("url", BAD_FORMS)
def test_an_odd_url_is_refused_before_anything_is_asked_for(url, source):
    resolver = Names()

    with pytest.raises(Forbidden):
        Egress(policy(source, ports=(80, 443, source.port)), resolver).open(
            "GET", url.format(port=source.port)
        )
    assert resolver.asked == []
    assert source.connections == 0


@given(st.text(max_size=60))
def test_no_text_makes_the_parser_fail_in_another_way(text):
    for url in (text, f"http://{text}", f"http://a.example/{text}", f"http://a.example:{text}"):
        with contextlib.suppress(Forbidden):
            target = parse(url)
            assert target.url.isascii()
            assert parse(target.url) == target


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://Images.EXAMPLE.org", "http://images.example.org/"),
        ("https://images.example.org:443/a.img", "https://images.example.org/a.img"),
        (
            "https://images.example.org:8443/a%20b?x=1&y=%2F?",
            "https://images.example.org:8443/a%20b?x=1&y=%2F?",
        ),
        ("http://a.example?x=1", "http://a.example/?x=1"),
        ("http://[2606:4700:0:0::1]:80/", "http://[2606:4700::1]/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_a_plain_url_is_taken_apart(url, normal):
    assert parse(url).url == normal


FILTER = "is refused by the filter of this service: "
REFUSALS = {
    "file:///etc/passwd": "its URL must be http or https with a plain host name",
    "http://a@b.example/": "its URL must be http or https with a plain host name",
    "http://a.example/" + "a" * 8000: "its URL has 8017 characters, and at most 8000 are allowed",
    "ftp://a.example/": "its URL must be http or https with a plain host name",
    "http://8.8.8.8:22/": "port 22 is not in the option ports (80, 443)",
    "http://10.0.0.1/": "its address is not public, and neither allowed_networks",
    "http://inside.example/": "its address is not public, and neither allowed_networks",
    "http://localhost/": "its address is not public, and neither allowed_networks",
}


@pytest.mark.parametrize(("url", "why"), REFUSALS.items())
def test_a_refusal_names_the_host_and_what_the_filter_refuses(url, why):
    """r1-E11, r1-G9: neither host nor reason; a port read as "External sources are not supported"."""
    egress = Egress(EgressPolicy(), Names(inside_example=[["10.1.2.3"]], localhost=[["127.0.0.1"]]))
    with pytest.raises(Forbidden) as refusal:
        egress.open("GET", url)

    assert FILTER + why in str(refusal.value)
    host = url.split("/")[2].partition(":")[0]
    assert (f"the source at {host} " in str(refusal.value)) == ("address" in why or "port" in why)
    assert refusal.value.anonymous.startswith("the source " + FILTER)
    assert "10.1.2.3" not in str(refusal.value)


def test_each_way_of_not_being_reached_has_a_reason_of_its_own(source, certificates):
    """r1-E11: "cannot be reached now, or broke off" for refused, unknown host and closed port alike."""
    source.pages |= {
        "/loop": redirect("/loop"),
        "/down": redirect(f"http://gone.example:{source.port}/"),
        "/file": redirect("file:///etc/passwd"),
        "/cut": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"),
        "/chat": raw(b"220 mail.example ESMTP\r\n"),
        "/silent": raw(),
    }
    names = Names(mirror_example=[["127.0.0.1"]])
    with socket.socket() as closed, Source({}, issue(certificates, "reasons", days=-1)) as secure:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        port = closed.getsockname()[1]
        ports = (source.port, secure.port, port)
        egress = Egress(policy(ports=ports, ca_bundle=str(certificates / "ca.pem")), names)

        def reason(url):
            with pytest.raises(EgressError) as failure:
                read(egress.open("GET", url))
            return str(failure.value)

        at = "the source at 127.0.0.1 "
        assert reason(f"http://127.0.0.1:{port}/") == at + "refuses the connection"
        assert reason(source.url("/loop")) == at + "redirects more than 3 times"
        assert reason(source.url("/cut")) == at + "breaks the connection off before the end"
        assert reason(source.url("/silent")) == at + "breaks the connection off before the end"
        assert reason(source.url("/chat")) == at + "does not answer in HTTP"
        assert reason(source.url("/file")).startswith("the source " + FILTER)
        unknown = "the source at gone.example is unknown: there is no address for its name"
        assert reason(source.url("/down")) == reason(source.url(host="gone.example")) == unknown
        assert reason(f"https://127.0.0.1:{source.port}/").startswith(at + "fails in TLS (")
        assert reason(secure.url(host="mirror.example")) == (
            "the source at mirror.example has a certificate that is not accepted (certificate has expired)"
        )
        slow = Egress(policy(ports=ports, read_timeout=0.2), names)
        closed.listen()
        with pytest.raises(Unreachable) as failure:
            slow.open("GET", f"http://127.0.0.1:{port}/")
        assert str(failure.value) == at + "does not answer within 0.2 seconds"


def test_a_resolver_that_is_away_is_told_from_a_name_that_does_not_exist():
    def away(host, port):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with pytest.raises(Unreachable, match=r"a\.example cannot be looked up now"):
        Egress(EgressPolicy(), away).check("http://a.example/")


@pytest.mark.parametrize("port", [1, 22, 25, 2375, 6379, 8080, 11211])
def test_a_port_that_is_not_listed_is_refused(port):
    with pytest.raises(Forbidden):
        Egress(EgressPolicy()).check(f"http://8.8.8.8:{port}/")


def test_a_scheme_that_is_not_listed_is_refused():
    with pytest.raises(Forbidden):
        Egress(EgressPolicy(schemes=("https",))).check("http://8.8.8.8/")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST"])
def test_this_machines_names_are_refused_with_the_systems_resolver(name, source):
    with pytest.raises(Forbidden):
        Egress(EgressPolicy(ports=(source.port,))).open("GET", f"http://{name}:{source.port}/")
    assert source.connections == 0


def test_an_address_of_this_machine_is_known_as_its_own():
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address(PUBLIC))
    assert not is_own(ipaddress.ip_address("2606:4700:4700::1111"))


def test_this_machines_own_address_is_refused_even_if_it_were_public(monkeypatch, source):
    monkeypatch.setattr("calotype.egress.targets.PRIVATE", ())
    egress = Egress(EgressPolicy(ports=(source.port,)))

    egress.check(f"http://10.255.255.254:{source.port}/")
    with pytest.raises(Forbidden):
        egress.open("GET", source.url())
    assert source.connections == 0


def test_one_bad_address_among_good_ones_refuses_the_name():
    for addresses in ([PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "fd00::1"]):
        with pytest.raises(Forbidden):
            Egress(EgressPolicy(), Names(a_example=[addresses])).check("http://a.example/")


def test_a_denied_network_is_refused_even_where_it_is_allowed_too():
    network = (ipaddress.ip_network("93.184.216.0/24"),)

    with pytest.raises(Forbidden, match="its address is in the option denied_networks"):
        Egress(EgressPolicy(denied_networks=network)).check(f"http://{PUBLIC}/")
    with pytest.raises(Forbidden):
        Egress(EgressPolicy(denied_networks=network, allowed_networks=network)).check(f"http://{PUBLIC}/")


def test_an_allowed_host_may_be_private_and_another_name_may_not():
    names = Names(mirror_example=[["10.0.0.1"]], other_example=[["10.0.0.1"]])
    egress = Egress(EgressPolicy(allowed_hosts=("mirror.example",)), names)

    egress.check("http://Mirror.example/")
    with pytest.raises(Forbidden):
        egress.check("http://other.example/")
    with pytest.raises(Forbidden):
        egress.check("http://10.0.0.1/")


def test_a_mapped_address_is_judged_and_connected_to_as_what_it_wraps(source):
    names = Names(a_example=[["::ffff:127.0.0.1"]])

    assert read(Egress(policy(source), names).open("GET", source.url(host="a.example"))) == b"hello"


@pytest.mark.parametrize("answers", [[], ["not an address"]])
def test_a_name_without_addresses_is_unreachable(answers):
    with pytest.raises(Unreachable):
        Egress(EgressPolicy(), Names(a_example=[answers])).open("GET", "http://a.example/")


def test_an_unknown_name_is_unreachable():
    with pytest.raises(Unreachable):
        Egress(EgressPolicy(), Names()).open("GET", "http://a.example/")


# Where it goes, and what it says there


def test_the_connection_goes_to_the_checked_address_under_the_name(source):
    names = Names(mirror_example=[["127.0.0.1"]])

    got = read(
        Egress(policy(source), names).open("GET", source.url("/", "mirror.example"), {"Range": "bytes=0-"})
    )

    assert got == b"hello"
    path, headers = source.requests[0]
    assert path == "/"
    assert headers["Host"] == f"mirror.example:{source.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Range"] == "bytes=0-"
    assert headers.keys() <= {"Host", "User-Agent", "Accept-Encoding", "Connection", "Range"}


def test_a_name_is_resolved_once_for_each_connection(source):
    names = Names(mirror_example=[["127.0.0.1"], ["10.0.0.1"]])
    egress = Egress(policy(source), names)

    assert read(egress.open("GET", source.url(host="mirror.example"))) == b"hello"
    assert names.asked == ["mirror.example"]


def test_a_name_that_moves_to_a_forbidden_address_is_refused_the_next_time(source):
    egress = Egress(policy(source), Names(mirror_example=[["127.0.0.1"], ["169.254.169.254"]]))
    read(egress.open("GET", source.url(host="mirror.example")))

    with pytest.raises(Forbidden):
        egress.open("GET", source.url(host="mirror.example"))
    assert source.connections == 1


def test_an_address_that_does_not_answer_is_followed_by_the_next(source):
    egress = Egress(policy(source), Names(mirror_example=[["127.0.0.2", "127.0.0.1"]]))

    assert read(egress.open("GET", source.url(host="mirror.example"))) == b"hello"


def test_environment_proxies_and_netrc_are_not_heard(source, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Source() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())

        assert read(Egress(policy(source)).open("GET", source.url())) == b"hello"
        assert proxy.connections == 0
    assert "Authorization" not in source.requests[0][1]


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status, source):
    source.pages["/a"] = redirect("/", status)

    got = Egress(policy(source)).open("GET", source.url("/a"))

    assert got.url == source.url("/")
    assert read(got) == b"hello"


def test_other_statuses_are_the_callers_to_judge(source):
    source.pages["/300"] = redirect("/", 300)
    source.pages["/500"] = answer(500, Refresh="0; url=/")
    source.pages["/302"] = answer(302)
    egress = Egress(policy(source))

    for status in (300, 500, 302, 404):
        got = egress.open("GET", source.url(f"/{status}"))
        got.close()
        assert got.status == status


@pytest.mark.parametrize(
    "location",
    [
        "http://127.1:{port}/",
        "//10.0.0.1:{port}/",
        "http://10.0.0.1:{port}/",
        "http://[::1]:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:22/",
        "http://user:secret@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/\\x",
        "http://127.0.0.1:{port}/a b",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "//[",
        "/%0d%0aX:y",
        "",
    ],
)
def test_a_redirect_passes_the_whole_check(location, source):
    source.pages["/a"] = redirect(location.format(port=source.port))

    with pytest.raises(Forbidden):
        Egress(policy(source)).open("GET", source.url("/a"))
    assert source.connections == 1


def test_redirects_end_after_the_allowed_number(source):
    source.pages |= {f"/{n}": redirect(f"/{n - 1}") for n in range(1, 7)} | {"/0": answer(body=b"there")}
    egress = Egress(policy(source, max_redirects=3))

    assert read(egress.open("GET", source.url("/3"))) == b"there"
    with pytest.raises(BadAnswer):
        egress.open("GET", source.url("/4"))
    assert source.connections == 8


def test_a_loop_of_redirects_ends(source):
    source.pages["/a"] = redirect("/a")

    with pytest.raises(BadAnswer):
        Egress(policy(source)).open("GET", source.url("/a"))


def test_no_redirects_can_be_asked_for(source):
    source.pages["/a"] = redirect("/")

    with pytest.raises(BadAnswer):
        Egress(policy(source, max_redirects=0)).open("GET", source.url("/a"))
    assert source.connections == 1


# TLS


def issue(
    folder, name, *, subject="/CN=mirror.example", san="DNS:mirror.example,IP:127.0.0.1", days=2, ca="ca"
):
    """A server context whose certificate the CA of that name has signed."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    if not (folder / f"{ca}.pem").exists():
        # Python takes no authority from 3.13 on that does not say that it signs.
        signs = ("-subj", f"/CN={ca}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        openssl("req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", *signs)
    openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    (folder / f"{name}.ext").write_text(f"subjectAltName={san}\n" if san else "basicConstraints=CA:FALSE\n")
    signed = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", str(days))
    openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


def test_a_certificate_of_ours_passes_the_strict_verification_of_newer_pythons(certificates):
    """r1-E24: Python 3.13 sets VERIFY_X509_STRICT by itself; here an older one tells what it would say."""
    issue(certificates, "strict")
    verify = ("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "strict.pem")
    done = subprocess.run(verify, cwd=certificates, capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("strict.pem: OK\n", "")


MIRROR = {"mirror_example": [["127.0.0.1"]]}


@pytest.mark.parametrize("host", ["mirror.example", "127.0.0.1"])
def test_tls_is_verified_by_the_given_authorities(host, certificates):
    san = f"DNS:{host}" if host.endswith("e") else f"IP:{host}"
    with Source({"/": answer(body=b"hello")}, issue(certificates, "good", san=san)) as source:
        egress = Egress(policy(source, ca_bundle=str(certificates / "ca.pem")), Names(**MIRROR))

        assert read(egress.open("GET", source.url(host=host))) == b"hello"
        with pytest.raises(Unreachable):  # the system does not know that authority
            Egress(policy(source), Names(**MIRROR)).open("GET", source.url(host=host))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("othername", {"san": "DNS:other.example"}),
        ("onlycn", {"san": ""}),
        ("expired", {"days": -1}),
        ("stranger", {"ca": "otherca"}),
    ],
)
def test_a_bad_certificate_ends_the_connection_before_the_request(name, given, certificates):
    with Source({"/": answer(body=b"hello")}, issue(certificates, name, **given)) as source:
        issue(certificates, "any")
        careful = policy(source, ca_bundle=str(certificates / "ca.pem"))

        with pytest.raises(Unreachable):
            Egress(careful, Names(**MIRROR)).open("GET", source.url(host="mirror.example"))
        assert source.requests == []

        careless = replace(careful, verify=False)
        assert (
            read(Egress(careless, Names(**MIRROR)).open("GET", source.url(host="mirror.example"))) == b"hello"
        )


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(certificates):
    old = issue(certificates, "old")
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with Source({"/": answer(body=b"hello")}, old) as source:
        with pytest.raises(Unreachable):
            Egress(policy(source, verify=False)).open("GET", source.url())
        assert source.requests == []


def test_https_never_goes_on_as_http(certificates, source):
    with Source({"/": redirect(source.url())}, issue(certificates, "down")) as secure:
        source.pages["/up"] = redirect(secure.url("/end"))
        secure.pages["/end"] = answer(body=b"end")
        egress = Egress(policy(source, secure, ca_bundle=str(certificates / "ca.pem")))

        with pytest.raises(Forbidden):
            egress.open("GET", secure.url())
        assert source.connections == 0
        assert read(egress.open("GET", source.url("/up"))) == b"end"


def test_a_ca_bundle_that_is_missing_makes_https_unreachable(tmp_path):
    with pytest.raises(Unreachable, match="ca_bundle cannot be read"):
        Egress(policy(ports=(443,), ca_bundle=str(tmp_path / "none"))).open("GET", "https://127.0.0.1/")


# Answers


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "x-gzip", "identity, gzip"])
def test_an_encoded_body_is_refused(coding, source):
    source.pages["/"] = answer(body=b"x", Content_Encoding=coding)

    with pytest.raises(BadAnswer):
        Egress(policy(source)).open("GET", source.url())


@pytest.mark.parametrize("coding", ["", "identity"])
def test_a_coding_that_changes_nothing_counts_as_none(coding, source):
    """r1-B5: an empty Content-Encoding is as good as an absent one."""
    source.pages["/"] = answer(body=b"x", Content_Encoding=coding)

    assert read(Egress(policy(source)).open("GET", source.url())) == b"x"


def test_a_transfer_coding_that_is_not_chunked_is_refused(source):
    source.pages["/"] = answer(body=b"x", Transfer_Encoding="gzip, chunked")

    with pytest.raises(BadAnswer):
        Egress(policy(source)).open("GET", source.url())


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A"]
)
def test_a_body_whose_end_cannot_be_told_from_a_break_is_refused(head, source):
    source.pages["/"] = raw(head, b"hello")

    with pytest.raises(BadAnswer):
        Egress(policy(source)).open("GET", source.url())


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
def test_a_body_that_ends_with_its_connection_is_read_where_that_is_asked_for(head, source):
    """r1-B2: sources of HTTP/1.0 may have no other way to say where a body ends."""
    source.pages |= {"/": raw(head, b"hello"), "/empty": raw(head), "/cut": raw(head[:-4] + b"\r\nX-A")}
    egress = Egress(policy(source))

    assert read(egress.open("GET", source.url(), endless=True)) == b"hello"
    source.pages["/length"] = raw(head[:-2] + b"content-length: 5\r\n\r\n", b"hello and more")
    assert read(egress.open("GET", source.url("/length"), endless=True)) == b"hello"
    for path in ("/empty", "/cut"):
        with pytest.raises(Unreachable, match="without a length or a byte"):
            read(egress.open("GET", source.url(path), endless=True))


@pytest.mark.parametrize("says_so", [True, False])
def test_over_tls_such_a_body_ends_only_where_tls_says_so(says_so, certificates):
    """r1-B2: an attacker on the way can cut a connection, but cannot end it in the name of the source."""

    def page(handler):
        handler.close_connection = True
        handler.connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")
        if says_so:
            handler.connection.unwrap()

    with Source({"/": page}, issue(certificates, "endless")) as source:
        egress = Egress(policy(source, ca_bundle=str(certificates / "ca.pem")))
        answer = egress.open("GET", source.url(), endless=True)
        if says_so:
            assert read(answer) == b"hello"
        else:
            with pytest.raises(Unreachable, match="breaks the connection off"):
                read(answer)


def test_a_chunked_body_is_read_to_its_end(source):
    source.pages["/"] = raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"
    )

    assert read(Egress(policy(source)).open("GET", source.url())) == b"abcde"


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 10\r\n\r\nshort",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
    ],
)
def test_a_body_that_ends_before_its_end_is_an_error(body, source):
    source.pages["/"] = raw(b"HTTP/1.1 200 OK\r\n" + body)
    opened = Egress(policy(source)).open("GET", source.url())

    with pytest.raises(Unreachable):
        read(opened)


def test_no_more_than_the_announced_length_is_read(source):
    source.pages["/"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello and more")

    assert read(Egress(policy(source)).open("GET", source.url())) == b"hello"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_a_broken_head_is_no_answer(head, source):
    source.pages["/"] = raw(head)

    # Which of the two depends on how much of the head has come when it is given up.
    with pytest.raises((Unreachable, BadAnswer)):
        Egress(policy(source)).open("GET", source.url())


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a"),
    ],
)
def test_a_source_that_drips_for_ever_is_cut(start, drip, source):
    source.pages["/"] = raw(start, drip, pause=0.02, forever=True)

    with pytest.raises(Unreachable):
        read(Egress(policy(source, read_timeout=0.3, min_rate=1 << 30)).open("GET", source.url()))


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
def test_a_dripping_tls_source_is_cut_too(start, certificates):
    page = raw(start, b"a", pause=0.02, forever=True)
    with Source({"/": page}, issue(certificates, "drip")) as source:
        egress = Egress(
            policy(source, read_timeout=0.3, min_rate=1 << 30, ca_bundle=str(certificates / "ca.pem"))
        )

        with pytest.raises(Unreachable):
            read(egress.open("GET", source.url()))


def test_a_source_that_falls_silent_is_cut():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        for scheme in ("http", "https"):
            with pytest.raises(Unreachable):
                Egress(
                    EgressPolicy(
                        ports=(port,), allowed_networks=LOOPBACK, connect_timeout=0.2, read_timeout=0.2
                    )
                ).open("GET", f"{scheme}://127.0.0.1:{port}/")


def test_a_port_where_nobody_listens_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(Unreachable) as failure:
        Egress(EgressPolicy(ports=(port,), allowed_networks=LOOPBACK)).open(
            "GET", f"http://127.0.0.1:{port}/"
        )
    assert "127.0.0.1" not in failure.value.anonymous


def test_an_answer_can_be_closed_before_its_end_and_twice(source):
    source.pages["/"] = raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"a" * 100_000, forever=True
    )
    opened = Egress(policy(source)).open("GET", source.url())

    assert opened.read(10) == b"a" * 10
    assert opened.read(0) == b""
    opened.close()
    opened.close()


def test_many_threads_may_share_the_way_out(source):
    source.pages["/"] = answer(body=os.urandom(300_000))
    egress = Egress(policy(source))
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(read(egress.open("GET", source.url())))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 8
    assert len(set(got)) == 1


def test_public_means_neither_private_nor_special():
    assert is_public(ipaddress.ip_address(PUBLIC))
    assert not is_public(ipaddress.ip_address("::1"))


def test_the_way_out_needs_neither_pyramid_nor_the_stores():
    code = "import sys, calotype.egress; sys.exit(bool({'pyramid', 'calotype.stores'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
