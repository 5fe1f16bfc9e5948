"""Print what openstacksdk reads from Images v1, as JSON. Arguments: endpoint, token (may be empty), file.

If environment variables name a Keystone, the token comes from it.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

import openstack

endpoint, token, path = sys.argv[1:]
if "OS_AUTH_URL" in os.environ:
    connection = openstack.connect(image_api_version="1", image_endpoint_override=endpoint)
elif token:
    connection = openstack.connect(
        auth_type="admin_token",
        auth={"endpoint": endpoint, "token": token},
        image_api_version="1",
        image_endpoint_override=endpoint,
    )
else:
    connection = openstack.connection.Connection(auth_type="none", endpoint=endpoint, image_api_version="1")
data = pathlib.Path(path).read_bytes()
image = connection.image
seen: dict[str, object] = {"api": connection.config.get_api_version("image")}

made = connection.create_image(
    "sdk-file",
    filename=path,
    disk_format="raw",
    container_format="bare",
    wait=True,
    validate_checksum=True,
    meta={"kernel_id": 5},
)
seen["created from a file"] = [made.status, made.size, made.properties.get("kernel_id")]
made = connection.create_image(
    "sdk-data", data=data, disk_format="raw", container_format="bare", wait=True, timeout=60
)
seen["created from data"] = [made.name, made.status]
listed = {one.name for one in image.images()}
many = [one.name for one in image.images() if (one.name or "").startswith("many-")]
seen["more than a page"] = len(many) == len(set(many)) == 60
seen["listed"] = {"sdk-file", "sdk-data"} <= listed
seen["listed by the cloud layer"] = {"sdk-file", "sdk-data"} <= {one.name for one in connection.list_images()}
seen["filtered"] = [one.name for one in image.images(name="sdk-data")]
seen["pages"] = len({one.id for one in image.images(limit=1)}) == len(list(image.images()))
found = image.find_image("sdk-file")
seen["found by name"] = found.name
seen["found by id"] = image.find_image(found.id).name
seen["not found"] = image.find_image("nosuch")
got = image.get_image(found.id)
seen["got"] = [got.name, got.status, got.size]
image.update_image(found.id, name="renamed")
seen["updated"] = [image.get_image(found.id).name, image.get_image(found.id).properties.get("kernel_id")]
seen["property update answers"] = image.update_image_properties(found.id, meta={"k": "v"}) in (True, False)
seen["downloaded"] = image.download_image(found.id).content == data
target = pathlib.Path(path).with_name("sdk-download")
image.download_image(found.id, output=str(target))
seen["downloaded to a file"] = target.read_bytes() == data
stream = image.download_image(found.id, stream=True)
seen["downloaded as a stream"] = b"".join(stream.iter_content(1000)) == data
uploaded = image.upload_image(name="sdk-reserved", disk_format="raw", container_format="bare")
seen["reserved"] = [uploaded.name, uploaded.status]
for name in ("renamed", "sdk-data", "sdk-reserved"):
    seen[f"deleted {name}"] = connection.delete_image(image.find_image(name).id, wait=True)
seen["left"] = sorted({one.name for one in image.images()} & {"renamed", "sdk-data", "sdk-reserved"})
image.delete_image(found.id)  # a second delete is ignored
print(json.dumps(seen))
