"""The certificate of the public endpoint. Its URL comes from the ini file, so no address is refused here."""

from __future__ import annotations

import datetime
import socket
import ssl


def read_expiry(host: str, port: int, seconds: float) -> datetime.datetime:
    """Return the time at which the certificate of an endpoint expires. Each step may take `seconds`.

    Raises:
        ssl.SSLCertVerificationError: the certificate is not valid for this host.
        OSError: the endpoint does not answer.
    """
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, port), seconds) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        ends = (connection.getpeercert() or {})["notAfter"]
    return datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), datetime.UTC)
