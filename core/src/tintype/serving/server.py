"""waitress as Tintype runs it: its own channel and parser, and defaults that fit images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import waitress.server
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer

from tintype.serving.parser import RequestParser
from tintype.settings import expand

#: waitress's own adjustments where its defaults do not fit; an ini file may set each of them again.
DEFAULTS: Mapping[str, str] = {
    "threads": "16",  # an upload or a proxied download holds one
    "recv_bytes": "262144",  # 8 KiB, the default, halves the speed of uploads
    "max_request_body_size": str((1 << 40) + 1),  # above `image_size_cap`, which gives the better answer
    "max_request_header_size": "262144",  # 70 properties of 4 KiB would not fit, 32 KiB of them do
    "connection_limit": "1000",
    "channel_timeout": "120",
    "asyncore_use_poll": "true",  # select() ends the process at descriptor 1,024
    "clear_untrusted_proxy_headers": "true",
    "ident": "",  # tell nobody which server and version this is
}


class Channel(HTTPChannel):
    """A connection whose requests are read by our parser."""

    parser_class = RequestParser


def serve(app: Callable[..., Any], global_config: Mapping[str, str], **given: str) -> None:
    """Serve until the process is told to end; what `[server:main]` calls. `given`: waitress's adjustments."""
    adjustments = DEFAULTS | {key: expand(key, value, global_config) for key, value in given.items()}
    server = create_server(app, **adjustments)
    server.print_listen("Serving on http://{}:{}")
    server.run()


def create_server(app: Callable[..., Any], **adjustments: Any) -> Any:
    """Make a waitress server, listening, whose connections use our channel."""
    sockets: dict[int, Any] = {}
    server = waitress.server.create_server(app, map=sockets, **adjustments)
    for listener in sockets.values():
        if isinstance(listener, BaseWSGIServer):
            listener.channel_class = Channel
    return server
