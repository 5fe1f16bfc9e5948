"""Helpers of these tests: policies, resolvers with prepared answers, and certificates."""

import contextlib
import ipaddress
import socket
import ssl
import subprocess

from calotype.egress import EgressPolicy

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


PUBLIC = "93.184.216.34"


def read(opened):
    with contextlib.closing(opened) as got:
        return b"".join(iter(got.read, b""))


def policy(*sources, **given):
    defaults = {"ports": tuple(s.port for s in sources), "allowed_networks": LOOPBACK, "connect_timeout": 5}
    return EgressPolicy(**{**defaults, "read_timeout": 20, **given})


class Names:
    """A resolver with prepared answers for each name. The last one is repeated."""

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
    """Return a server's TLS context with a certificate signed by the CA with this name."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    if not (folder / f"{ca}.pem").exists():
        # From 3.13 on, Python accepts only CA certificates with this extension.
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
