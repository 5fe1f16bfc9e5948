"""nova's client of images, GlanceImageServiceV2: `URL TOKEN PROJECT FOLDER`."""

import io
import sys
import uuid
from pathlib import Path

import nova.conf
from nova import context, exception, objects
from nova.image import glance
from report import Report

url, token, project, folder = sys.argv[1:]
BYTES = bytes(range(256)) * 400
nova.conf.CONF([], project="nova", default_config_files=[])
nova.conf.CONF.set_override("api_servers", [url], "glance")
nova.conf.CONF.set_override("num_retries", 0, "glance")
objects.register_all()
caller = context.RequestContext("user", project, auth_token=token, service_catalog=[])
images = glance.GlanceImageServiceV2()
report = Report("nova")
META = {"disk_format": "raw", "container_format": "bare", "is_public": False}

with report.check("create: a snapshot is reserved, with the properties of its instance"):
    properties = {
        "instance_uuid": str(uuid.uuid4()),
        "image_type": "snapshot",
        "base_image_ref": str(uuid.uuid4()),
        "block_device_mapping": [{"volume_size": size, "device_name": "/dev/vdb"} for size in range(1000)],
        "os_distro": "debian",
        "kernel_id": None,
    }
    made = images.create(caller, {"name": "snapshot", **META, "properties": properties})
    assert made["status"] == "queued"
    assert made["properties"].items() >= {k: v for k, v in properties.items() if v is not None}.items(), made
with report.check("update: its bytes"):
    changed = images.update(
        caller, made["id"], {"name": "snapshot", **META}, io.BytesIO(BYTES), purge_props=False
    )
    assert (changed["status"], changed["size"]) == ("active", len(BYTES))
    assert changed["properties"]["image_type"] == "snapshot"
with report.check("show"):
    shown = images.show(caller, made["id"])
    assert (shown["name"], shown["owner"], shown["is_public"], shown["deleted"]) == (
        "snapshot",
        project,
        False,
        False,
    )
with report.check("show, with locations: they never leave the service"):
    assert images.show(caller, made["id"], include_locations=True)["locations"] == []
with report.check("download, as a stream"):
    assert b"".join(images.download(caller, made["id"])) == BYTES
with report.check("download, to a file whose hash is checked"):
    path = Path(folder) / "downloaded"
    images.download(caller, made["id"], dst_path=str(path))
    assert path.read_bytes() == BYTES
with report.check("update: properties are purged"):
    purged = images.update(
        caller, made["id"], {"name": "renamed", "properties": {"a": "b"}}, purge_props=True
    )
    assert (purged["name"], purged["properties"]) == ("renamed", {"a": "b"})
with report.check("detail, filtered by properties and pages"):
    found = list(images.detail(caller, filters={"property-a": "b", "status": "active"}, page_size=1))
    assert made["id"] in [image["id"] for image in found]
with report.check("create with bytes"):
    second = images.create(caller, {"name": "second", **META}, io.BytesIO(BYTES))
    assert second["status"] == "active"
with report.check("create without bytes: a snapshot of a volume"):
    third = images.create(caller, {"name": "volumes", **META, "size": 0})
    assert third["status"] in ("queued", "active")
with report.check("image_import_copy: an administrator's alone"):
    try:
        images.image_import_copy(caller, second["id"], ["cold"])
    except exception.ImageNotAuthorized:
        pass
    else:
        raise AssertionError("a member was allowed to copy")
with report.check("delete, and what is not there"):
    for image in (made, second, third):
        images.delete(caller, image["id"])
    for ask in (images.show, images.delete, images.download):
        try:
            ask(caller, made["id"])
        except exception.ImageNotFound:
            continue
        raise AssertionError("found")
report.print()
