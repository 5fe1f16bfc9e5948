"""Use openstacksdk like a program, and print the results as JSON: `sdk_v2.py FILE`."""

import json
import sys
import time
from pathlib import Path

import openstack

path = sys.argv[1]
cloud = openstack.connect()
image = cloud.image
seen = {}

raw = {"filename": path, "disk_format": "raw", "container_format": "bare"}
made = cloud.create_image("sdk", wait=True, validate_checksum=True, foo="bar", **raw)
seen["created"] = [made.status, made.name, made.properties.get("foo")]
seen["again"] = cloud.create_image("sdk", validate_checksum=True, **raw).id == made.id
seen["found"] = image.find_image("sdk").id == made.id
seen["listed"] = made.id in [one.id for one in image.images(limit=1)]
seen["missing"] = image.find_image("no such image")
updated = image.update_image(made, name="renamed", min_ram=64, new="property")
seen["updated"] = [updated.name, updated.min_ram, updated.properties.get("new")]
image.add_tag(made, "tag")
image.add_tag(made, "other")
image.remove_tag(made, "other")
seen["tags"] = image.get_image(made).tags
image.deactivate_image(made)
seen["deactivated"] = image.get_image(made).status
image.reactivate_image(made)
member = image.add_member(made, member="somebody")
seen["member"] = [member.member_id, member.status, [one.member_id for one in image.members(made)]]
image.remove_member("somebody", image=made)
seen["members"] = len(list(image.members(made)))
seen["bytes"] = image.download_image(made).content == Path(path).read_bytes()
seen["methods"] = image.get_import_info().import_methods["value"]
seen["stores"] = [one.id for one in image.stores()]

imported = image.create_image("imported", use_import=True, **raw)
for _ in range(600):
    imported = image.get_image(imported)
    if imported.status == "active":
        break
    time.sleep(0.1)
seen["imported"] = imported.status
try:
    image.create_image("bad", disk_format="floppy", container_format="bare", allow_duplicates=True)
except openstack.exceptions.BadRequestException as error:
    seen["refused"] = str(error)
for one in (made, imported):
    cloud.delete_image(one.id, wait=True)
seen["deleted"] = image.find_image(made.id)
print(json.dumps(seen))
