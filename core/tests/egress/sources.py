"""Web servers and resolvers that answer as a test says, and certificates for them."""

import contextlib
import ipaddress
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from calotype.egress import EgressPolicy

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


PUBLIC = "93.184.216.34"


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


FILTER = "is refused by the filter of this service: "


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


MIRROR = {"mirror_example": [["127.0.0.1"]]}
