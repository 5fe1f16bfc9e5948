"""Clients and test suites from outside this project judge the service. docs/clients.md has their table."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from calotype.identity.token_file import TokenFile
from tests.clients.clients import Clients, environment
from tests.clients.judges.commands import try_glance, try_openstack
from tests.clients.judges.downloads import fetch, version
from tests.clients.judges.judging import HERE, installed, judge, packages, read, run
from tests.clients.tempest.run import RIGHTS, TESTS
from tests.support.server import ROOT, Server
from tests.support.v2 import Person, fresh
from tests.support.web import Web

pytestmark = pytest.mark.campaign
RAW = {"disk_format": "raw", "container_format": "bare"}
DATA = bytes(range(256)) * 16_384


@pytest.fixture
def member(with_tokens: Clients) -> Person:
    """A member of a project, with a token."""
    return Person(with_tokens.server, "P1", with_tokens.env["OS_TOKEN"])


def test_libcloud_passes_every_check(
    with_keystone: Clients, keystone: dict[str, str], tmp_path: Path
) -> None:
    """apache-libcloud, with the endpoint from Keystone's catalogue."""
    image_id = with_keystone.shown("image", "create", "--shared", "judged")["id"]
    url = keystone["KEYSTONE_URL"].removesuffix("/v3")
    who = ("member", keystone["KEYSTONE_PASSWORD"], "demo", keystone["KEYSTONE_REGION"])
    verdict = judge("libcloud", url, *who, image_id, keystone["KEYSTONE_PROJECT_OTHER"], folder=tmp_path)
    assert verdict.failed == {}, "".join(verdict.failed.values())[-3000:]


@pytest.mark.parametrize("name", ["nova", "cinder"])
def test_nova_and_cinder_pass_every_check(member: Person, tmp_path: Path, name: str) -> None:
    """nova's and cinder's own client code, with the token of a user."""
    assert judge(name, member.server.base, member.token, "P1", tmp_path, folder=tmp_path).failed == {}


def test_ironic_passes_every_check(member: Person, tmp_path: Path) -> None:
    """ironic's own client code, which fetches an image."""
    image_id = member.active(b"bytes" * 1000, os_distro="debian", name=fresh())
    verdict = judge("ironic", member.server.base, member.token, "P1", image_id, tmp_path, folder=tmp_path)
    assert verdict.failed == {}, "".join(verdict.failed.values())[-3000:]


def test_every_command_of_openstackclient_has_the_expected_outcome(
    without_identities: Clients, web: Web, tmp_path: Path
) -> None:
    """Commands of the image cache fail, because there is none. Those that look up a project need Keystone;
    test_v2_openstackclient runs them with it.
    """
    verdict = try_openstack(without_identities, tmp_path, web.place(DATA[:1000]))
    cache = {f"cached image {action}" for action in ("queue", "list", "clear")}
    assert verdict.failed.keys() == {*cache, "image add project", "image member get", "image remove project"}
    assert verdict.skipped == {}


def test_every_command_of_glance_has_the_expected_outcome(
    without_identities: Clients, web: Web, tmp_path: Path
) -> None:
    """Commands of the image cache and of locations fail: there is no cache, and locations are never shown."""
    verdict = try_glance(without_identities, tmp_path, web.place(DATA[:1000]))
    assert {
        name for name in verdict.failed if not name.startswith(("cache-", "location-", "add-location"))
    } == set()
    assert verdict.skipped == {}


@pytest.mark.parametrize(
    ("program", "package"),
    [("aria2c", "aria2"), ("axel", "axel"), ("wget", "wget"), ("rclone", "rclone"), ("zsync", "zsync")],
)
def test_programs_that_fetch_files_pass_every_check(
    server: Server, tmp_path: Path, program: str, package: str
) -> None:
    """The programs fetch parts, resume, and fetch only differences, from each dialect's URL of the bytes."""
    packages(package)
    image_id = server.upload(DATA)["id"]
    urls = [
        f"{server.base}{path}"
        for path in (f"/v2/images/{image_id}/file", f"/images/{image_id}", f"/v1/images/{image_id}")
    ]
    assert fetch(program, urls, DATA, tmp_path).failed == {}


def test_h2load_through_nginx_completes_every_download(
    start_server: Callable[..., Server], nginx: Callable[..., Mapping[str, str]], tmp_path: Path
) -> None:
    """HTTP/2 with many streams on few connections: every download succeeds."""
    packages("nghttp2-client")
    server = start_server({"calotype.identity": "tokens"})
    token = TokenFile(server.data_dir / "tokens.json").add("u", "p", ("member",))
    person = Person(server, "p", token)
    image_id = person.active(DATA[:100_000], **RAW)
    url = f"{nginx(server.base)['NGINX_TLS_URL']}/v2/images/{image_id}/file"
    said = run("h2load", "-n500", "-c5", "-m20", "-H", f"x-auth-token: {token}", url, folder=tmp_path)
    print(f"| h2load {version('h2load', tmp_path)} | 500 | 0 | 0 |")
    assert "500 succeeded, 0 failed, 0 errored, 0 timeout" in said
    assert "Application protocol: h2" in said


@pytest.fixture
def as_member(with_keystone: Clients, keystone: dict[str, str]) -> list[str]:
    """Arguments of programs in other languages: Keystone, a user, its project, a region, another project."""
    who = ["member", keystone["KEYSTONE_PASSWORD"], "demo", keystone["KEYSTONE_REGION"]]
    return [keystone["KEYSTONE_URL"], *who, keystone["KEYSTONE_PROJECT_OTHER"]]


def test_fog_passes_every_check(as_member: list[str], tmp_path: Path) -> None:
    """fog-openstack, a Ruby library, from Debian's package."""
    packages("ruby-fog-openstack")
    (disk := tmp_path / "disk.raw").write_bytes(DATA[:100_000])
    printed = run("ruby", "-W0", HERE / "fog_judge.rb", *as_member, disk, folder=tmp_path)
    assert read(printed).failed == {}


def test_gophercloud_passes_its_acceptance_tests(with_keystone: Clients, web: Web, tmp_path: Path) -> None:
    """gophercloud's acceptance tests of images. They fetch from a web server of the tests."""
    packages("golang-go", "golang-github-gophercloud-gophercloud-dev")
    env = {
        **with_keystone.env,
        **dict.fromkeys(("OS_USERNAME", "OS_PROJECT_NAME"), "admin"),  # because some are about tasks
        "OS_DOMAIN_ID": "default",
        "GOPATH": f"{tmp_path}:/usr/share/gocode",
        "GO111MODULE": "off",
        "GOCACHE": str(tmp_path / "cache"),
    }
    tests = "github.com/gophercloud/gophercloud/acceptance/openstack/imageservice/v2"
    shutil.copytree("/usr/share/gocode/src/github.com/gophercloud", tmp_path / "src/github.com/gophercloud")
    source = tmp_path / "src" / tests / "imageservice.go"
    address = re.compile(r'(?<=ImportImageURL = )".+"')
    source.write_text(address.sub(f'"{web.place(DATA[:100_000])}"', source.read_text()))
    with_keystone.shown("image", "create", fresh())  # one of the tests requires an image
    argv = ("sh", "-c", '"$@" || true', "sh", "go", "test", "-v", "-tags", "acceptance imageservice", tests)
    said = run(*argv, folder=tmp_path, env=env)
    passed = said.count("--- PASS")
    found = version("golang-github-gophercloud-gophercloud-dev", tmp_path)
    print(f"| gophercloud {found} | {passed} | {said.count('--- FAIL')} | {said.count('--- SKIP')} |")
    failures = [part[-2000:] for part in said.split("=== RUN ") if "--- FAIL" in part]
    assert failures == []
    assert passed > 9


def test_ansible_manages_images(with_keystone: Clients, tmp_path: Path) -> None:
    """The modules of Ansible's collection openstack.cloud, with openstacksdk."""
    bin_ = installed("ansible")
    (tmp_path / "disk.raw").write_bytes(DATA[:100_000])
    given = {"folder": str(tmp_path), "person": fresh(), "ansible_python_interpreter": str(bin_ / "python")}
    argv = (
        bin_ / "ansible-playbook",
        "-i",
        "localhost,",
        "-e",
        json.dumps(given),
        HERE / "ansible_judge.yaml",
    )
    said = run(*argv, folder=tmp_path, env=with_keystone.env)
    listed = run(bin_ / "ansible-galaxy", "collection", "list", "openstack.cloud", folder=tmp_path)
    (found,) = [line.split()[1] for line in listed.splitlines() if line.startswith("openstack.cloud")]
    print(f"| openstack.cloud {found} | {said.count('ok: [') + said.count('changed: [')} | 0 | 0 |")
    assert "failed=0" in said


def test_openstack_image_manager_imports_a_catalogue(
    with_keystone: Clients, web: Web, tmp_path: Path
) -> None:
    """The program imports the images of a catalogue, and changes nothing in a second run."""
    bin_ = installed("image-manager")
    name = f"Judged {fresh()[:8]}"
    (images := tmp_path / "images").mkdir()
    (images / "judged.yml").write_text(
        CATALOGUE.format(
            name=name, url=web.place(DATA[:100_000]), checksum=hashlib.sha256(DATA[:100_000]).hexdigest()
        )
    )
    (tmp_path / "clouds.yaml").write_text("clouds: {judged: {}}\n")
    argv = (bin_ / "openstack-image-manager", "--cloud", "judged", "--images", f"{images}/")
    for _ in range(2):
        run(*argv, folder=tmp_path, env=with_keystone.env)
    made = with_keystone.shown("image", "list", "--tag", "managed_by_osism", "--long")
    assert [(image["Name"].startswith(name), image["Status"]) for image in made] == [(True, "active")]
    found = (
        run(bin_ / "pip", "show", "openstack-image-manager", folder=tmp_path).split("Version: ")[1].split()[0]
    )
    print(f"| openstack-image-manager {found} | 2 | 0 | 0 |")


#: A catalogue of one image in the format of openstack-image-manager.
CATALOGUE = """
images:
  - name: {name}
    enable: true
    format: raw
    login: judge
    min_disk: 1
    min_ram: 64
    status: active
    visibility: private
    multi: true
    separator: " "
    meta:
      architecture: x86_64
      hypervisor_type: qemu
      hw_disk_bus: scsi
      os_distro: debian
      os_version: "1"
      os_purpose: generic
      replace_frequency: never
      uuid_validity: none
      provided_until: none
    tags: ["os:debian"]
    versions:
      - version: "1"
        url: {url}
        checksum: "sha256:{checksum}"
        build_date: 2026-01-01
"""


@pytest.mark.parametrize(
    ("package", "regex"), [("tempest", TESTS), ("glance-tempest-plugin", RIGHTS)], ids=["images", "rights"]
)
def test_tempest_has_no_failures(tmp_path: Path, package: str, regex: str) -> None:
    """Tempest's tests of Images v2 and of Glance's rights, with a real Keystone. None fails."""
    bin_ = environment("tempest", HERE.parent / "tempest" / "requirements.txt")
    found = run(bin_ / "pip", "show", package, folder=tmp_path).split("Version: ")[1].split()[0]
    said = run(sys.executable, "-m", "tests.clients.tempest.run", regex, folder=ROOT, env=dict(os.environ))
    counts = [re.search(rf" - {word}: (\d+)", said) for word in ("Passed", "Failed", "Skipped")]
    passed, failed, skipped = (int(count[1]) for count in counts if count)
    print(f"| {package} {found} | {passed} | {failed} | {skipped} |")
    assert (passed > 50, failed) == (True, 0)
