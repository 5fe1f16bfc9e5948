"""cinder's client of images, which reads and writes volumes: `URL TOKEN PROJECT FOLDER`."""

import io
import sys
from pathlib import Path

import cinder.image.image_utils  # noqa: F401 - first, because it and `glance` import each other
from cinder import context, exception
from cinder.common import config  # noqa: F401 - registers what the client reads
from cinder.image import glance
from oslo_config import cfg
from report import Report

url, token, project, folder = sys.argv[1:]
BYTES = bytes(range(256)) * 400
cfg.CONF([], project="cinder", default_config_files=[])
cfg.CONF.set_override("glance_api_servers", [url])
cfg.CONF.set_override("glance_num_retries", 0)
caller = context.RequestContext("user", project, auth_token=token, service_catalog=[])
images = glance.GlanceImageService()
report = Report("cinder")
META = {"disk_format": "raw", "container_format": "bare"}

with report.check("create and update: an image of an encrypted volume"):
    key = {"cinder_encryption_key_id": "k", "cinder_encryption_key_deletion_policy": "on_image_deletion"}
    made = images.create(caller, {"name": "of a volume", **META, "properties": key})
    images.update(caller, made["id"], {}, io.BytesIO(BYTES), purge_props=False)
    shown = images.show(caller, made["id"])
    assert (shown["status"], shown["size"]) == ("active", len(BYTES))
    assert shown["properties"].items() >= key.items()
with report.check("download"):
    path = Path(folder) / "downloaded"
    with path.open("wb") as file:
        images.download(caller, made["id"], file)
    assert path.read_bytes() == BYTES
with report.check("get_location: it never leaves the service"):
    assert images.get_location(caller, made["id"]) == (None, [])
with report.check("detail"):
    assert made["id"] in [image["id"] for image in images.detail(caller, filters={"name": "of a volume"})]
with report.check("get_stores, get_import_info"):
    assert "fast" in [store["id"] for store in images.get_stores(caller)["stores"]]
with report.check("compressed images are known"):
    packed = images.create(
        caller, {"name": "packed", "disk_format": "qcow2", "container_format": "compressed"}
    )
    images.delete(caller, packed["id"])
with report.check("update purges properties"):
    purged = images.update(caller, made["id"], {"name": "renamed", "properties": {"a": "b"}})
    assert (purged["name"], purged["properties"]) == ("renamed", {"a": "b"})
with report.check("delete, and what is not there"):
    images.delete(caller, made["id"])
    try:
        images.show(caller, made["id"])
    except exception.ImageNotFound:
        pass
    else:
        raise AssertionError("found")
report.print()
