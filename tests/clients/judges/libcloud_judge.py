"""apache-libcloud's OpenStack driver, all its calls about images.

`URL USER PASSWORD PROJECT REGION IMAGE PROJECT2`
"""

import sys

from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider
from report import Report

url, user, password, project, region, image_id, other = sys.argv[1:]
report = Report("apache-libcloud")
driver = get_driver(Provider.OPENSTACK)(
    user,
    password,
    api_version="2.2",
    ex_force_auth_url=url,
    ex_force_auth_version="3.x_password",
    ex_tenant_name=project,
    ex_force_service_region=region,
    ex_domain_name="Default",
)
with report.check("list_images"):
    assert image_id in [image.id for image in driver.list_images()]
with report.check("get_image"):
    image = driver.get_image(image_id)
    assert (image.name, image.extra["visibility"], image.extra["status"]) == ("judged", "shared", "active")
with report.check("ex_update_image"):
    changed = driver.ex_update_image(image_id, [{"op": "replace", "path": "/name", "value": "renamed"}])
    assert changed.name == "renamed"
with report.check("ex_create_image_member"):
    assert driver.ex_create_image_member(image_id, other).state == "pending"
with report.check("ex_list_image_members"):
    assert [member.id for member in driver.ex_list_image_members(image_id)] == [other]
with report.check("ex_get_image_member"):
    assert driver.ex_get_image_member(image_id, other).image_id == image_id
with report.check("ex_accept_image_member, of another project: refused"):
    try:
        driver.ex_accept_image_member(image_id, other)
    except BaseHTTPError as error:
        refused = error.code
    else:
        refused = None
    assert refused == 403
report.print()
