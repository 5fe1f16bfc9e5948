"""The fault proxy applies each fault to the requests for which it is meant, and to no others."""

import contextlib
import http.client
import http.server
import socket
import threading
import time

import pytest

from calotype.testing import Fault, FaultProxy, pattern

DATA = pattern(300_000)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def do_PUT(self):
        left, body = int(self.headers["Content-Length"]), b""
        while left and (block := self.rfile.read(min(left, 65_536))):
            body, left = body + block, left - len(block)
        self.server.received.append(body)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.received = []
    server.handle_error = lambda *args: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def proxy(server):
    with FaultProxy("127.0.0.1", server.server_port) as proxy:
        yield proxy


def ask(proxy, method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    try:
        connection.request(method, "/x", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_proxy_without_a_fault_passes_everything_on(proxy, server):
    assert ask(proxy) == (200, DATA)
    assert ask(proxy, "PUT", DATA) == (201, b"")
    assert server.received == [DATA]
    assert proxy.requests == ["GET /x HTTP/1.1", "PUT /x HTTP/1.1"]


def test_a_fault_with_a_status_is_answered_without_the_server(proxy, server):
    proxy.inject(Fault("PUT ", status=503, headers=(("Retry-After", "1"),)))

    assert ask(proxy, "PUT", DATA) == (503, b"")
    assert server.received == []
    assert ask(proxy, "PUT", DATA)[0] == 201


def test_a_fault_skips_and_counts_only_the_requests_it_is_meant_for(proxy):
    proxy.inject(Fault("GET ", status=500), skip=1, times=2)

    assert [ask(proxy, "PUT", b"x")[0], *(ask(proxy)[0] for _ in range(4))] == [201, 200, 500, 500, 200]


def test_a_truncated_response_ends_early_without_a_connection_error(proxy):
    proxy.inject(Fault(truncate_down=1000))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(proxy)

    assert caught.value.partial == DATA[:1000]


@pytest.mark.parametrize("fault", [Fault(reset_down=100_000), Fault(refuse=True), Fault(deaf=True)])
def test_a_reset_response_is_a_broken_connection(proxy, fault):
    proxy.inject(fault)
    with pytest.raises(ConnectionError):
        ask(proxy)

    assert ask(proxy) == (200, DATA)


def test_a_reset_upload_does_not_arrive(proxy, server):
    proxy.inject(Fault("PUT ", reset_up=100_000))
    with pytest.raises(ConnectionError):
        ask(proxy, "PUT", DATA)

    assert ask(proxy, "PUT", DATA)[0] == 201
    assert DATA in server.received
    assert {len(body) <= 100_000 or body == DATA for body in server.received} == {True}


def test_a_corrupted_byte_is_the_only_change(proxy, server):
    proxy.inject(Fault("GET ", corrupt_down=200_000))
    proxy.inject(Fault("PUT ", corrupt_up=0))
    _, given = ask(proxy)
    ask(proxy, "PUT", DATA)

    assert [at for at in range(len(DATA)) if given[at] != DATA[at]] == [200_000]
    assert [at for at in range(len(DATA)) if server.received[0][at] != DATA[at]] == [0]


def test_latency_delays_the_response_and_changes_no_byte(proxy):
    proxy.inject(Fault(latency=0.01), times=None)

    assert ask(proxy) == (200, DATA)
    proxy.heal()
    assert ask(proxy) == (200, DATA)


def test_a_server_that_is_away_refuses_requests_and_cuts_connections(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\n")
        while not proxy._open:
            time.sleep(0.01)
        with proxy.away():
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1000) == b""
            with pytest.raises(ConnectionError):
                ask(proxy)

    assert ask(proxy) == (200, DATA)


def test_a_silent_server_takes_requests_and_never_answers_them(proxy, server):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        with proxy.silent():
            connection.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nbytes")
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connection.recv(1000)
        connection.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1000) == b""

    assert server.received == []
    assert ask(proxy) == (200, DATA)


def test_a_deaf_proxy_passes_100_continue_and_the_request_but_not_the_response(proxy, server):
    proxy.inject(Fault("PUT ", deaf=True))
    head = f"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: {len(DATA)}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        connection.sendall(head.encode())
        invitation = connection.recv(1000)
        connection.sendall(DATA)
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)

    assert invitation.startswith(b"HTTP/1.1 100 ")
    assert server.received == [DATA]
