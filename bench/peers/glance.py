"""OpenStack Glance under uWSGI, with PostgreSQL and files, and without Keystone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg
from testservers import common

from client import Client
from peers.calotype import store_v2
from peers.peer import LISTED, PROCESSES, Content, Peer, Refused

RECIPE = ("glance==33.0.0", "uwsgi>=2.0.28", "psycopg2-binary>=2.9")
CONF = """
[DEFAULT]
enabled_backends = files:file
log_file = {folder}/glance.log
[database]
connection = {database}
[glance_store]
default_backend = files
[files]
filesystem_store_datadir = {folder}/images
[os_glance_staging_store]
filesystem_store_datadir = {folder}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {folder}/tasks
[oslo_policy]
policy_file = {folder}/policy.yaml
[paste_deploy]
flavor =
config_file = {etc}/glance-api-paste.ini
"""
#: Without Keystone, no caller has a role.
POLICY = '"context_is_admin": "@"\n'
#: As in Glance's own installation for developers.
UWSGI = """
[uwsgi]
http-socket = {host}:{port}
module = glance.wsgi.api:application
processes = {processes}
master = true
enable-threads = true
lazy-apps = true
thunder-lock = true
die-on-term = true
buffer-size = 65535
add-header = Connection: close
http-chunked-input = true
need-app = true
disable-logging = true
env = OS_GLANCE_CONFIG_DIR={folder}
pyargv = --config-file {folder}/glance-api.conf
"""
NOBODY = "00000000-0000-4000-8000-000000000000"


class Glance(Peer):
    """Glance with workers of one thread each, as by default. Every caller is an administrator."""

    name = "Glance"
    bears_slow_readers = False

    def __init__(self, folder: Path, database: str):
        super().__init__(folder)
        self._database = database
        self._uwsgi = folder / "uwsgi.ini"
        self._conf = folder / "glance-api.conf"

    def prepare(self) -> None:
        bin_ = self._bin()
        (self.folder / "images").mkdir()
        etc = bin_.parent / "etc" / "glance"
        self._conf.write_text(
            CONF.format(folder=self.folder, database=self._database.replace("://", "+psycopg2://"), etc=etc)
        )
        (self.folder / "policy.yaml").write_text(POLICY)
        self._uwsgi.write_text(
            UWSGI.format(host=common.HOST, port=self.port, processes=PROCESSES, folder=self.folder)
        )
        common.call([bin_ / "glance-manage", "--config-file", self._conf, "db", "sync"])

    def _bin(self) -> Path:
        def install(folder: Path) -> None:
            common.call([sys.executable, "-m", "venv", folder])
            common.call([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *RECIPE])

        return common.installed("glance", sys.version + " ".join(RECIPE), install) / "bin"

    def spawn(self) -> None:
        self._spawn(self._bin() / "uwsgi", "--ini", self._uwsgi)

    def store(self, client: Client, content: Content) -> str:
        return store_v2(client, content)

    def show(self, client: Client, image_id: str) -> None:
        client.ask("GET", f"/v2/images/{image_id}")

    def address(self, image_id: str) -> str:
        return f"/v2/images/{image_id}/file"

    def remove(self, client: Client, image_id: str) -> None:
        client.ask("DELETE", f"/v2/images/{image_id}")

    def refused(self) -> Refused:
        return Refused("PUT", f"/v2/images/{NOBODY}/file", {"Content_Type": "application/octet-stream"})

    def list(self, client: Client) -> None:
        found = json.loads(client.ask("GET", f"/v2/images?limit={LISTED}").body)["images"]
        if len(found) != LISTED:
            raise SystemExit(f"{self.name} lists {len(found)} images")

    def populate(self, count: int) -> None:
        with psycopg.connect(self._database) as connection:
            connection.execute(
                """
                INSERT INTO images (id, name, size, status, created_at, updated_at, deleted, disk_format,
                                    container_format, min_disk, min_ram, protected, visibility, os_hidden)
                SELECT gen_random_uuid(), 'image ' || n, 0, 'queued', moment, moment, false, 'raw',
                       'bare', 0, 0, false, 'public', false
                FROM (SELECT n, now() - interval '1 day' + n * interval '1 millisecond' AS moment
                      FROM generate_series(1, %s) AS n) AS numbers
                """,
                [count],
            )
        with psycopg.connect(self._database, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE images")
