"""Run Tempest's tests of Images v2 against Calotype with two file stores and http, behind a real Keystone.

    python -m tests.clients.tempest.run [REGEX]

A REGEX that names glance_tempest_plugin runs the tests of rights. Tempest creates their users itself.

The exit status is that of stestr: 0 if no test failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.clients.clients import environment
from tests.clients.conftest import write_keystone_ini
from tests.servers.common import run_folder
from tests.servers.fixtures import started
from tests.servers.identity import Admin
from tests.support.server import Server
from tests.support.v2 import stores
from tests.support.web import Web

TESTS = r"tempest\.api\.image\.v2"
#: The tests of Glance's rights.
RIGHTS = r"glance_tempest_plugin\.tests\.rbac"

CONF = """
[DEFAULT]
log_dir = {folder}
[auth]
use_dynamic_credentials = {dynamic}
create_isolated_networks = false
test_accounts_file = {folder}/accounts.yaml
admin_username = admin
admin_password = {keystone[KEYSTONE_PASSWORD]}
admin_project_name = admin
admin_domain_name = Default
admin_system = all
[enforce_scope]
glance = true
[identity]
uri_v3 = {keystone[KEYSTONE_URL]}
auth_version = v3
region = {keystone[KEYSTONE_REGION]}
[image]
region = {keystone[KEYSTONE_REGION]}
http_image = {http_image}
http_qcow2_image = {http_image}
[image-feature-enabled]
image_format_enforcement = false
manage_locations = false
http_store_enabled = false
import_image = true
[service_available]
glance = true
cinder = false
nova = false
neutron = false
swift = false
[oslo_concurrency]
lock_path = {folder}/locks
"""


def accounts(keystone: Mapping[str, str]) -> str:
    """Return the accounts file as JSON, which is YAML: users of two projects, a reader, an administrator."""
    people = (
        ("member", "demo", "member"),
        ("other", "other", "alt_member"),
        ("reader", "demo", "reader"),
        ("admin", "admin", "admin"),
    )
    listed = [
        {
            "username": user,
            "project_name": project,
            "password": keystone["KEYSTONE_PASSWORD"],
            "user_domain_name": "Default",
            "project_domain_name": "Default",
            "domain_name": "Default",
            "roles": [role],
        }
        for user, project, role in people
    ]
    return json.dumps(listed)


def main(regex: str) -> int:
    """Start Keystone, Calotype and a web server, run the tests, and return stestr's status."""
    tempest = environment("tempest", Path(__file__).with_name("requirements.txt"))
    with (
        run_folder() as folder,
        started("keystone", {"KEYSTONE_URL": ""}) as keystone,
        Web(folder=folder) as web,
    ):
        app = {**stores(web), "calotype.inspection": "record"}
        server = Server(folder, write_keystone_ini(folder, app, keystone))
        try:
            admin = Admin(keystone["KEYSTONE_URL"], keystone["KEYSTONE_PASSWORD"])
            admin.endpoint("glance", "image", server.base, keystone["KEYSTONE_REGION"])
            conf = CONF.format(
                folder=folder,
                keystone=keystone,
                http_image=web.place(os.urandom(1024)),
                dynamic=str("glance_tempest_plugin" in regex).lower(),
            )
            (folder / "tempest.conf").write_text(conf)
            (folder / "accounts.yaml").write_text(accounts(keystone))
            (folder / "locks").mkdir()
            return _run(tempest, folder, regex)
        finally:
            server.stop()


def _run(tempest: Path, folder: Path, regex: str) -> int:
    workspace = folder / "workspace"
    env = {**os.environ, "PATH": f"{tempest}:{os.environ['PATH']}", "HOME": str(folder)}
    init = [tempest / "tempest", "init", workspace]
    subprocess.run(init, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (workspace / "etc" / "tempest.conf").write_text((folder / "tempest.conf").read_text())
    run = [tempest / "tempest", "run", "--serial", "--regex", regex]
    return subprocess.run(run, cwd=workspace, env=env).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else TESTS))
