"""nginx with static files and WebDAV's PUT: the upper limit, without digests and metadata."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from testservers import common

from client import Client
from peers.peer import PROCESSES, Content, Peer, Refused

#: Bodies and their temporary files are in one folder, because nginx ends a PUT with a rename.
CONF = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr;
worker_processes {processes};
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush {nopush};
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    server {{
        listen {host}:{port};
        root {folder}/files;
        client_max_body_size 0;
        dav_methods PUT DELETE;
        location /small/ {{ client_max_body_size 1m; }}
    }}
}}
"""


class Nginx(Peer):
    """Debian's nginx."""

    name = "nginx"
    lists = False

    def __init__(self, folder: Path, nopush: bool = True):
        """Create the peer. With `nopush`, many short answers on one connection wait 40 ms each for an ACK."""
        super().__init__(folder)
        self._nopush = "on" if nopush else "off"
        self._conf = folder / "nginx.conf"

    def prepare(self) -> None:
        if not shutil.which("nginx"):
            common.apt("nginx-light")
        (self.folder / "files").mkdir()
        user = f"user {common.user_name()};" if common.user_name() == "root" else ""
        text = CONF.format(
            user=user,
            folder=self.folder,
            processes=PROCESSES,
            host=common.HOST,
            port=self.port,
            nopush=self._nopush,
        )
        self._conf.write_text(text)

    def spawn(self) -> None:
        self._spawn("nginx", "-e", "stderr", "-c", self._conf)

    def store(self, client: Client, content: Content) -> str:
        name = str(uuid.uuid4())
        client.ask("PUT", f"/{name}", content.body)
        return name

    def show(self, client: Client, image_id: str) -> None:
        client.ask("HEAD", f"/{image_id}")

    def address(self, image_id: str) -> str:
        return f"/{image_id}"

    def remove(self, client: Client, image_id: str) -> None:
        client.ask("DELETE", f"/{image_id}")

    def refused(self) -> Refused:
        return Refused("PUT", "/small/image", {})
