"""Bodies reach the application exactly as they arrive, without bytes of the next request."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import socket
import threading
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.edge.applications import Application
from tests.edge.conftest import StartEdge
from tests.edge.serving import Edge, seen
from tests.support.answers import statuses
from tests.support.wire import PATIENCE, answer, chunks, head, read_to_end, reset

MIB = 1 << 20
CHUNKED = "Transfer-Encoding: chunked"
LAST = head("/ok", "Connection: close", method="GET")
BYTES = random.Random(1).randbytes(3 * MIB)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_application_starts_before_the_body_has_arrived(edge: Edge):
    with edge.connect() as connection:
        connection.sendall(head("/sum", f"Content-Length: {len(BYTES)}") + BYTES[:100])
        assert edge.app.begun.acquire(timeout=PATIENCE)
        connection.sendall(BYTES[100:])
        status, body = answer(connection)
    assert status == 200
    assert seen(body) == {
        "size": len(BYTES),
        "sha256": sha256(BYTES),
        "length": str(len(BYTES)),
        "encoding": None,
        "terminated": True,
    }


def test_the_application_sees_a_chunked_body_without_a_length(edge: Edge):
    with edge.connect() as connection:
        connection.sendall(head("/sum", CHUNKED) + chunks(BYTES[:7], BYTES[7:2000], BYTES[2000:]))
        status, body = answer(connection)
    assert status == 200
    assert (seen(body)["sha256"], seen(body)["length"], seen(body)["encoding"]) == (
        sha256(BYTES),
        None,
        "chunked",
    )


def test_a_chunked_body_without_chunks_is_empty(edge: Edge):
    with edge.connect() as connection:
        connection.sendall(head("/sum", CHUNKED) + chunks())
        status, body = answer(connection)
    assert (status, seen(body)["size"], seen(body)["encoding"]) == (200, 0, "chunked")


def test_the_body_can_be_read_line_by_line(edge: Edge):
    with edge.connect() as connection:
        connection.sendall(head("/lines", CHUNKED) + chunks(b"one\ntw", b"o\nthr", b"ee"))
        assert answer(connection) == (200, b'["one\\n", "two\\n", "three"]')


def test_pipelined_requests_are_answered_in_order(edge: Edge):
    long = head("/sum", f"Content-Length: {len(BYTES)}") + BYTES
    said = edge.speak(
        head("/ok", method="GET")
        + long
        + head("/sum", CHUNKED)
        + chunks(b"abc", b"d")
        + head("/sum", "Content-Length: 2")
        + b"hi"
        + head("/sum", CHUNKED)
        + chunks()
        + long
        + LAST
    )
    assert statuses(said) == [200] * 7
    assert edge.app.paths == ["/ok", "/sum", "/sum", "/sum", "/sum", "/sum", "/ok"]
    sizes = [part.partition(b",")[0] for part in said.split(b'"size": ')[1:]]
    assert sizes == [b"%d" % size for size in (len(BYTES), 4, 2, 0, len(BYTES))]


def test_one_connection_serves_many_streamed_bodies(edge: Edge):
    with contextlib.closing(edge.client()) as client:
        for size in (0, 1, 262_144, 262_145, MIB):
            client.request("POST", "/sum", BYTES[:size])
            assert seen(client.getresponse().read())["sha256"] == sha256(BYTES[:size])
            blocks = iter([BYTES[:size], b"", BYTES[:size]])
            client.request("POST", "/sum", blocks, {"Transfer-Encoding": "chunked"}, encode_chunked=True)
            assert seen(client.getresponse().read())["sha256"] == sha256(BYTES[:size] * 2)
            assert client.sock is not None


def test_a_request_sent_in_two_pieces_is_read_like_a_whole_one(edge: Edge):
    request = head("/sum", CHUNKED) + b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n" + LAST
    for at in range(1, len(request)):
        said = edge.speak(request[:at], request[at:])
        assert statuses(said) == [200, 200], at
        assert sha256(b"hello!").encode() in said


@given(
    size=st.integers(0, 600_000),
    cuts=st.lists(st.integers(1, 700_000), max_size=6),
    chunk=st.one_of(st.none(), st.integers(50, 300_000)),
    block=st.sampled_from([1000, 65_536, MIB]),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_body_sent_in_pieces_arrives_unchanged(edge: Edge, size, cuts, chunk, block):
    content = BYTES[:size]
    if chunk is None:
        request = head(f"/sum?block={block}", f"Content-Length: {size}") + content
    else:
        parts = (content[at : at + chunk] for at in range(0, size, chunk))
        request = head(f"/sum?block={block}", CHUNKED) + chunks(*parts)
    request += LAST
    edges = [0, *sorted(at for at in cuts if at < len(request)), len(request)]
    said = edge.speak(*(request[a:b] for a, b in itertools.pairwise(edges)))
    assert statuses(said) == [200, 200]
    assert sha256(content).encode() in said


def test_100_continue_is_sent_only_when_the_application_reads(edge: Edge):
    expecting = (f"Content-Length: {len(BYTES)}", "Expect: 100-continue")
    with edge.connect() as connection:
        connection.sendall(head("/refuse", *expecting))
        assert statuses(read_to_end(connection)) == [409]
    with edge.connect() as connection:
        connection.sendall(head("/sum", *expecting))
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BYTES)
        assert answer(connection)[0] == 200


def test_100_continue_works_for_a_short_body_too(edge: Edge):
    with edge.connect() as connection:
        connection.sendall(head("/sum", "Content-Length: 3", "Expect: 100-continue"))
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc" + LAST)
        assert statuses(read_to_end(connection)) == [200, 200]


def test_a_request_without_a_body_is_served_whatever_it_expects(edge: Edge):
    assert statuses(edge.speak(head("/ok", "Expect: 100-continue", "Connection: close", method="GET"))) == [
        200
    ]


def test_a_refused_upload_is_answered_before_its_body_is_read(app: Application):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # little for the kernel to hide
        listener.bind(("127.0.0.1", 0))
        edge = Edge(app, sockets=[listener])
        try:
            sent, said = send_until_refused(edge, head("/refuse", "Content-Length: 10737418240"))
        finally:
            edge.stop()
    assert statuses(said) == [409]
    assert b"Connection: close" in said
    assert sent < MIB


def send_until_refused(edge: Edge, request: bytes) -> tuple[int, bytes]:
    """Send a body without reading meanwhile; return how much was sent, and the response."""
    sent = 0
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.settimeout(PATIENCE)
        connection.connect(edge.address)
        connection.sendall(request)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                sent += connection.send(b"z" * 65536)
        return sent, read_to_end(connection)


def test_a_client_that_stops_sending_gets_the_refusal_and_a_clean_close(edge: Edge):
    with edge.connect() as connection:
        connection.sendall(head("/refuse", CHUNKED) + b"5\r\nhel")
        assert statuses(read_to_end(connection)) == [409]


def test_chunks_are_refused_as_soon_as_they_exceed_the_limit(start_edge: StartEdge):
    edge = start_edge(max_request_body_size=MIB)
    assert statuses(edge.speak(head("/careless", CHUNKED) + chunks(BYTES))) == [413]
    assert statuses(edge.speak(head("/careless", f"Content-Length: {MIB}"))) == [413]
    assert edge.app.paths == ["/careless"]  # the length is refused unseen


def test_a_client_that_stops_sending_halfway_can_still_read_the_response(edge: Edge):
    said = edge.speak(head("/sum", f"Content-Length: {len(BYTES)}") + BYTES[:1000], hang_up=True)
    assert statuses(said) == [400]
    assert said.endswith(b"ClientGone")


def test_a_reset_connection_frees_its_worker_at_once(start_edge: StartEdge):
    edge = start_edge(threads=1, upload_threads=1)
    for _ in range(3):
        connection = edge.connect()
        connection.sendall(head("/sum", f"Content-Length: {len(BYTES)}") + BYTES[:1000])
        assert edge.app.begun.acquire(timeout=PATIENCE)
        reset(connection)
        assert edge.app.failed.wait(PATIENCE)
        edge.app.failed.clear()
    assert [type(failure).__name__ for failure in edge.app.failures] == ["ClientGone"] * 3
    with edge.connect() as connection:
        connection.sendall(head("/sum", CHUNKED) + chunks(b"still there"))
        assert answer(connection)[0] == 200


@pytest.mark.parametrize("path", ["/sum", "/careless"])
@pytest.mark.parametrize(
    ("framing", "before"),
    [
        (f"Content-Length: {len(BYTES)}", b""),
        (CHUNKED, b"%x\r\n" % len(BYTES)),
    ],
    ids=["length", "within a chunk"],
)
def test_a_client_that_stalls_times_out(start_edge: StartEdge, framing: str, before: bytes, path: str):
    edge = start_edge(body_timeout=1)
    said = edge.speak(head(path, framing) + before + BYTES[:1000])
    assert statuses(said) == [400 if path == "/sum" else 408]


def test_uploads_leave_threads_to_other_requests_and_wait_for_each_other(start_edge: StartEdge):
    edge = start_edge(threads=1, upload_threads=1)
    with edge.connect() as first, edge.connect() as second:
        first.sendall(head("/hold", CHUNKED) + chunks(b"first"))
        assert edge.app.begun.acquire(timeout=PATIENCE)
        second.sendall(head("/hold", CHUNKED) + chunks(b"the second"))
        assert edge.get() == 200
        assert not edge.app.begun.acquire(blocking=False)
        edge.app.go_on.set()
        assert answer(first) == (200, b"5")
        assert answer(second) == (200, b"10")


def test_an_upload_whose_store_hangs_lends_its_slot_to_others(start_edge: StartEdge):
    """r1-D3: otherwise a hanging store would take all slots of uploads."""
    edge = start_edge(threads=1, upload_threads=1, kept_threads=0, upload_wait=1)
    with ExitStack() as stack:
        stalled = [stack.enter_context(edge.connect()) for _ in range(3)]
        for one in stalled:
            one.sendall(head("/stall", CHUNKED) + chunks(b"stalled"))
            assert edge.app.begun.acquire(timeout=PATIENCE)
        assert statuses(edge.speak(head("/sum", CHUNKED, "Connection: close") + chunks(b"bytes"))) == [200]
        edge.app.go_on.set()
        assert [answer(one) for one in stalled] == [(200, b"7")] * 3
    with ExitStack() as stack:  # and what was lent was given back: again there is one slot
        edge.app.go_on.clear()
        assert edge.app.begun.acquire(timeout=PATIENCE)  # that of /sum
        first, second = (stack.enter_context(edge.connect()) for _ in range(2))
        first.sendall(head("/hold", CHUNKED) + chunks(b"first"))
        assert edge.app.begun.acquire(timeout=PATIENCE)
        second.sendall(head("/hold", CHUNKED) + chunks(b"second"))
        assert answer(second)[0] == 503
        edge.app.go_on.set()
        assert answer(first) == (200, b"5")


def test_an_upload_that_waits_too_long_for_a_worker_gets_503(start_edge: StartEdge):
    edge = start_edge(upload_threads=1, upload_wait=0)
    with edge.connect() as first:
        first.sendall(head("/hold", CHUNKED) + chunks(b"first"))
        assert edge.app.begun.acquire(timeout=PATIENCE)
        said = edge.speak(head("/hold", f"Content-Length: {len(BYTES)}") + BYTES[:1000])
        assert statuses(said) == [503]
        assert b"Retry-After" in said
        edge.app.go_on.set()
        assert answer(first) == (200, b"5")
    assert edge.app.paths == ["/hold"]


JSON = "Content-Type: application/json"


def test_r1_d4_documents_that_arrive_slowly_do_not_delay_uploads(start_edge: StartEdge):
    """r1-D4: bodies of metadata never take an upload's slot, even without a Content-Type."""
    edge = start_edge(threads=2, upload_threads=1, kept_threads=0, upload_wait=1)
    with ExitStack() as stack:
        for path, said in (("/careless", [JSON]), ("/careless", [JSON]), ("/document", [])):
            connection = stack.enter_context(edge.connect())
            connection.sendall(head(path, CHUNKED, *said) + b"5\r\nhel")
        assert edge.app.begun.acquire(timeout=PATIENCE)
        with edge.connect() as upload:
            upload.sendall(head("/sum", CHUNKED) + chunks(b"bytes"))
            assert answer(upload)[0] == 200
        assert edge.get() == 200


def test_r1_d4_a_document_that_waits_too_long_for_a_worker_gets_503(start_edge: StartEdge):
    """r1-D4: the number of documents that are read at once is limited too."""
    edge = start_edge(document_threads=1, kept_threads=0, upload_wait=0)
    with edge.connect() as first:
        first.sendall(head("/hold", CHUNKED, JSON) + chunks(b"first"))
        assert edge.app.begun.acquire(timeout=PATIENCE)
        said = edge.speak(head("/hold", CHUNKED, JSON) + chunks(b"{}"))
        assert statuses(said) == [503]
        assert b"Retry-After" in said
        assert b"Too many documents" in said
        edge.app.go_on.set()
        assert answer(first) == (200, b"5")


def test_r1_d4_a_caller_with_many_uploads_leaves_a_slot_for_another_caller(start_edge: StartEdge):
    """r1-D4: slots are shared between callers, who are identified by their tokens."""
    edge = start_edge(upload_threads=2, kept_threads=1, upload_wait=0)
    introduce(edge, "greedy", "modest")
    greedy, modest = "X-Auth-Token: greedy", "X-Auth-Token: modest"
    with ExitStack() as stack:
        for _ in range(2):
            held = stack.enter_context(edge.connect())
            held.sendall(head("/sum", CHUNKED, greedy) + b"5\r\nhel")
            assert edge.app.begun.acquire(timeout=PATIENCE)
        assert statuses(edge.speak(head("/sum", CHUNKED, greedy) + b"5\r\nhel")) == [503]
        said = edge.speak(head("/sum", CHUNKED, modest, "Connection: close") + chunks(b"bytes"))
        assert statuses(said) == [200]


def introduce(edge: Edge, *tokens: str) -> None:
    """Let the application name the caller of each token."""
    for token in tokens:
        said = edge.speak(head("/ok", f"X-Auth-Token: {token}", "Connection: close"))
        assert statuses(said) == [200]


def test_many_invented_tokens_do_not_delay_others(start_edge: StartEdge):
    """r1-D3: requests with unknown tokens count for their address, and the server keeps serving."""
    edge = start_edge(threads=2, kept_threads=1, upload_threads=1, connections_per_address=0)
    introduce(edge, "modest")
    with ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(edge.connect())
            connection.sendall(head("/hold", f"X-Auth-Token: invented {number}"))
        for _ in range(2):
            assert edge.app.begun.acquire(timeout=PATIENCE)
        for _ in range(3):
            introduce(edge, "modest")
        edge.app.go_on.set()
        introduce(edge, "modest")


def test_a_caller_with_many_running_requests_leaves_a_worker_for_another_caller(start_edge: StartEdge):
    """r1-D3: some workers are reserved for callers without running requests."""
    edge = start_edge(threads=2, kept_threads=1, upload_threads=1)
    introduce(edge, "greedy", "modest")
    with ExitStack() as stack:
        held = [stack.enter_context(edge.connect()) for _ in range(4)]
        for connection in held:
            connection.sendall(head("/hold", "X-Auth-Token: greedy"))
        for _ in range(2):
            assert edge.app.begun.acquire(timeout=PATIENCE)
        said = edge.speak(head("/ok", "X-Auth-Token: modest", "Connection: close"))
        assert statuses(said) == [200]
        edge.app.go_on.set()
        assert [answer(connection)[0] for connection in held] == [200] * 4


def test_consecutive_uploads_on_one_connection_need_one_thread(start_edge: StartEdge):
    edge = start_edge(upload_threads=1)
    said = edge.speak((head("/sum", CHUNKED) + chunks(b"abc")) * 20 + LAST)
    assert statuses(said) == [200] * 21


def test_many_concurrent_uploads_are_all_read_completely(start_edge: StartEdge):
    edge = start_edge(upload_threads=3)
    said: list[bytes] = []

    def upload() -> None:
        with edge.connect() as connection:
            connection.sendall(head("/sum", f"Content-Length: {len(BYTES)}") + BYTES)
            said.append(answer(connection)[1])

    uploads = [threading.Thread(target=upload) for _ in range(12)]
    for thread in uploads:
        thread.start()
    for thread in uploads:
        thread.join()
    assert [seen(body)["sha256"] for body in said] == [sha256(BYTES)] * 12


def test_if_an_application_reads_slowly_the_server_stops_reading_from_the_client(edge: Edge):
    size = 96 * MIB
    with edge.connect() as connection:
        connection.sendall(head("/late", f"Content-Length: {size}"))
        assert edge.app.begun.acquire(timeout=PATIENCE)
        connection.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < size:
                sent += connection.send(BYTES[: min(MIB, size - sent)])
        assert sent < size / 2  # what the two kernel buffers hold, and no more
        edge.app.go_on.set()
        connection.settimeout(PATIENCE)
        while sent < size:
            sent += connection.send(BYTES[: min(MIB, size - sent)])
        assert answer(connection) == (200, b"%d" % size)
