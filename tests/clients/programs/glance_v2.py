"""Use glanceclient as nova and cinder do, and print the results as JSON: `glance_v2.py URL TOKEN FILE`."""

import hashlib
import json
import sys
from pathlib import Path

import glanceclient

url, token, path = sys.argv[1:]
data = Path(path).read_bytes()
glance = glanceclient.Client("2", endpoint=url, token=token)
seen = {}

# A snapshot: made without formats, updated, uploaded in chunks.
made = glance.images.create(name="snapshot", visibility="private", base_image_ref="none")
updated = glance.images.update(
    made["id"], disk_format="raw", container_format="bare", tags=["a", "b"], image_type="snapshot"
)
seen["updated"] = [updated["disk_format"], sorted(updated["tags"]), updated["image_type"]]
with Path(path).open("rb") as file:
    glance.images.upload(made["id"], file)
shown = glance.images.get(made["id"])
seen["uploaded"] = [shown["status"], shown["size"] == len(data)]
seen["hash"] = hashlib.new(shown["os_hash_algo"], data).hexdigest() == shown["os_hash_value"]
seen["bytes"] = b"".join(glance.images.data(made["id"])) == data
seen["removed"] = "image_type" in glance.images.update(made["id"], remove_props=["image_type"])

# A snapshot of an instance that boots from a volume has no bytes.
empty = glance.images.create(name="volume", disk_format="raw", container_format="bare")
glance.images.upload(empty["id"], "")
seen["empty"] = [glance.images.get(empty["id"])["status"], glance.images.get(empty["id"])["size"]]
queued = glance.images.create(name="queued")
seen["no data"] = glance.images.data(queued["id"]).wrapped is None
seen["listed"] = sorted(
    one["name"]
    for one in glance.images.list(filters={"owner": made["owner"]}, page_size=1)
    if one["id"] in (made["id"], empty["id"], queued["id"])
)
for one in (made, empty, queued):
    glance.images.delete(one["id"])
try:
    glance.images.get(made["id"])
except glanceclient.exc.HTTPNotFound as error:
    seen["gone"] = str(error)
print(json.dumps(seen))
