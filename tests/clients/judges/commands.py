"""Try every command of a command-line client once, and report which worked and the errors of the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.clients.clients import Clients
from tests.clients.judges.judging import Verdict
from tests.support.v2 import fresh
from tests.support.waiting import wait_for

BYTES = bytes(range(256)) * 400
JSON = {"Content-Type": "application/json"}
FORMATS = ("--disk-format", "raw", "--container-format", "bare")


class Commands:
    """Runs commands of one client, and records their results."""

    def __init__(self, run: Callable[..., str]):
        self._run = run
        self.passed: list[str] = []
        self.failed: dict[str, str] = {}

    def __call__(self, command: str, *arguments: object) -> str:
        """Run a command, whose name consists of these words, with arguments, and return its output."""
        try:
            printed = self._run(*command.split(), *arguments)
        except AssertionError as error:
            self.failed[command] = str(error)[-2000:]
            return ""
        if command not in self.passed:
            self.passed.append(command)
        return printed

    def verdict(self, client: str, known: set[str]) -> Verdict:
        """Return the results. Commands of the client that were not tried count as skipped."""
        untried = known - {*self.passed, *self.failed}
        verdict = Verdict(client, self.passed, self.failed, dict.fromkeys(untried, "not tried"))
        print(verdict.row(), *(f"{name}: {said}" for name, said in verdict.failed.items()), sep="\n")
        return verdict


def _settle(clients: Clients, image_id: str) -> None:
    wait_for(
        lambda: clients.server.get(f"/v2/images/{image_id}").json,
        lambda image: "os_glance_import_task" not in image,
    )


def _task(uri: str) -> str:
    """Return the document of a task that imports an image from this URI."""
    given = {"import_from": uri, "import_from_format": "raw"}
    formats = {"disk_format": "raw", "container_format": "bare"}
    return json.dumps({"type": "import", "input": {**given, "image_properties": formats}})


def try_openstack(clients: Clients, folder: Path, uri: str) -> Verdict:
    """Try every `openstack image ...` and `openstack cached image ...`. A task fetches the URI."""
    known = json.loads(clients.openstack("command", "list", "--group", "openstack.image.v2", "-f", "json"))
    commands = {name for group in known for name in group["Commands"]}
    version = clients.run("openstack", "--version").split()[-1]
    (file := folder / "disk.raw").write_bytes(BYTES)
    one, two, three = fresh(), fresh(), fresh()
    name = f"Judge::{one}"
    # The client reads an image's bytes from standard input unless that is a terminal, so it gets one.
    for waiting in (two, three):
        reserved = {"id": waiting, "name": waiting, "disk_format": "raw", "container_format": "bare"}
        clients.server.post("/v2/images", JSON, json.dumps(reserved).encode())
    do = Commands(clients.openstack)
    do("image create", "--id", one, "--file", file, *FORMATS, "--property", "os_distro=debian", "one")
    do("image list", "--long", "--sort", "name:asc", "--limit", "1")
    do("image show", "--human-readable", one)
    do("image set", "--name", "uno", "--os-version", "12", "--architecture", "x86_64", "--tag", "t", one)
    do("image unset", "--tag", "t", "--property", "os_version", one)
    do("image save", "--file", folder / "saved", one)
    do("image stage", "--file", file, two)
    do("image import", two, "--method", "glance-direct")
    _settle(clients, two)
    do("image import", one, "--method", "copy-image", "--store", "cold")
    _settle(clients, one)
    do("image import info")
    do("image stores list", "--detail")
    do("image task list")
    task = clients.server.post("/v2/tasks", JSON, _task(uri).encode())
    do("image task show", task.json["id"])
    do("image add project", three, "other")
    do("image member list", three)
    do("image member get", three, "other")
    do("image remove project", three, "other")
    for action, argument in (("queue", one), ("list", None), ("delete", one), ("clear", None)):
        do(f"cached image {action}", *([argument] if argument else []))
    metadef = "image metadef"
    do(f"{metadef} namespace create", "--public", name)
    do(f"{metadef} namespace list")
    do(f"{metadef} namespace set", "--public", "--tag", "t", name)
    do(f"{metadef} namespace show", name)
    do(f"{metadef} namespace unset", "--all-tags", name)
    do(f"{metadef} resource type list")
    do(f"{metadef} resource type association create", name, "OS::Glance::Image")
    do(f"{metadef} resource type association list", name)
    do(f"{metadef} resource type association delete", name, "OS::Glance::Image")
    cores = ("--name", "cores", "--title", "Cores", "--type", "integer", "--schema", '{"minimum": 1}')
    do(f"{metadef} property create", *cores, name)
    do(f"{metadef} property list", name)
    do(f"{metadef} property set", "--title", "All", name, "cores")
    do(f"{metadef} property show", name, "cores")
    do(f"{metadef} property delete", name, "cores")
    do(f"{metadef} object create", "--namespace", name, "limits")
    limits = {"name": "limits", "properties": {"quota": {"title": "Quota", "type": "integer"}}}
    path = f"/v2/metadefs/namespaces/{name}/objects/limits"
    clients.server.put(path, JSON, json.dumps(limits).encode())
    do(f"{metadef} object list", name)
    do(f"{metadef} object show", name, "limits")
    do(f"{metadef} object property show", name, "limits", "quota")
    do(f"{metadef} object update", "--name", "bounds", name, "limits")
    do(f"{metadef} object delete", name, "bounds")
    do(f"{metadef} namespace delete", name)
    do("image delete", one, two, three)
    return do.verdict(f"python-openstackclient {version}", commands)


def try_glance(clients: Clients, folder: Path, uri: str) -> Verdict:
    """Try every `glance ...` of v2. A task fetches the URI."""
    listed = clients.glance("bash-completion").split()
    commands = {word for word in listed if not word.startswith("-")} - {"help", "bash-completion"}
    version = clients.glance("--version").split()[-1]
    (file := folder / "disk.raw").write_bytes(BYTES)
    one, two, three, name = fresh(), fresh(), fresh(), f"Judge::{fresh()}"
    # The client reads an image's bytes from standard input unless that is a terminal, so it is closed.
    closed = ("/bin/sh", "-c", 'exec "$0" "$@" <&-', clients.bin / "glance")
    do = Commands(partial(clients.run, *closed, env=clients.glance_env))
    known = (
        "--os-distro",
        "debian",
        "--os-version",
        "12",
        "--architecture",
        "x86_64",
        "--kernel-id",
        fresh(),
    )
    do("image-create", "--id", one, "--name", "one", "--file", file, *FORMATS, *known)
    # r1-G1: these options exist because our schema declares the properties, also in a new home folder.
    assert (
        clients.server.get(f"/v2/images/{one}").json.items()
        >= {"os_distro": "debian", "os_version": "12"}.items()
    )
    do("image-create", "--id", two, "--name", "two", *FORMATS)
    do("image-create", "--id", three, "--name", "three", *FORMATS)
    do("image-create-via-import", "--import-method", "glance-direct", "--file", file, *FORMATS)
    do("image-update", "--description", "changed", one)
    do("image-list", "--property-filter", "os_distro=debian", "--sort", "name:asc")
    do("image-show", one)
    do("image-download", "--file", folder / "saved", one)
    do("image-upload", "--file", file, three)
    do("image-stage", "--file", file, two)
    do("image-import", "--import-method", "glance-direct", two)
    _settle(clients, two)
    do("image-import", "--import-method", "copy-image", "--stores", "cold", one)
    _settle(clients, one)
    do("image-tasks", one)
    do("usage")
    do("explain", "image")
    do("import-info")
    do("stores-info", "--detail")
    do("stores-delete", "--store", "cold", one)
    do("image-deactivate", one)
    do("image-reactivate", one)
    do("image-tag-update", one, "t")
    do("image-tag-delete", one, "t")
    do("member-create", three, "other")
    do("member-list", "--image-id", three)
    do("member-get", three, "other")
    do("member-update", three, "other", "accepted")
    do("member-delete", three, "other")
    for command in ("location-add", "location-delete", "location-update", "add-location"):
        do(command, "--url", "http://127.0.0.1/x", three)
    do("cache-queue", one)
    do("cache-list")
    do("cache-nodes-list", one)
    do("cache-delete", one)
    for command in ("cache-clear", "cache-clean", "cache-prune"):
        do(command)
    do("task-create", "--type", "import", "--input", json.dumps(json.loads(_task(uri))["input"]))
    do("task-list")
    do("task-show", clients.server.get("/v2/tasks").json["tasks"][0]["id"])
    _try_glance_definitions(do, name, folder)
    do("image-delete", one)
    return do.verdict(f"python-glanceclient {version}", commands)


def _try_glance_definitions(do: Commands, name: str, folder: Path) -> None:
    (whole := folder / "whole.json").write_text(json.dumps({"namespace": f"{name}x", "visibility": "public"}))
    do("md-namespace-import", "--file", whole)
    do("md-namespace-create", name)
    do("md-namespace-update", "--display-name", "J", name)
    do("md-namespace-show", name)
    do("md-namespace-list")
    do("md-resource-type-list")
    do("md-resource-type-associate", "--name", "OS::Glance::Image", name)
    do("md-namespace-resource-type-list", name)
    do("md-resource-type-deassociate", name, "OS::Glance::Image")
    cores = ("--name", "cores", "--title", "Cores", "--type", "integer", "--schema", '{"minimum": 1}')
    do("md-property-create", *cores, name)
    do("md-property-update", "--title", "All", name, "cores")
    do("md-property-show", name, "cores")
    do("md-property-list", name)
    do("md-property-delete", name, "cores")
    do("md-namespace-properties-delete", name)
    quota = '{"properties": {"quota": {"title": "Quota", "type": "integer"}}}'
    do("md-object-create", "--name", "limits", "--schema", quota, name)
    do("md-object-update", "--name", "limits", "--schema", quota, name, "limits")
    do("md-object-show", name, "limits")
    do("md-object-property-show", name, "limits", "quota")
    do("md-object-list", name)
    do("md-object-delete", name, "limits")
    do("md-namespace-objects-delete", name)
    do("md-tag-create", "--name", "a", name)
    do("md-tag-create-multiple", "--names", "b,c", name)
    do("md-tag-update", "--name", "d", name, "b")
    do("md-tag-show", name, "d")
    do("md-tag-list", name)
    do("md-tag-delete", name, "d")
    do("md-namespace-tags-delete", name)
    do("md-namespace-delete", name)
