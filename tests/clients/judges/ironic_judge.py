"""ironic's client of images, as deploys fetch them: `URL TOKEN PROJECT IMAGE FOLDER`."""

import sys
from pathlib import Path

import ironic.common.image_service  # noqa: F401 - first, because it and the next import each other
from ironic.common import context, exception
from ironic.common.glance_service import image_service
from ironic.conf import CONF
from report import Report

url, token, project, image_id, folder = sys.argv[1:]
CONF([], project="ironic", default_config_files=[])
CONF.set_override("auth_type", "none", "glance")
CONF.set_override("endpoint_override", url, "glance")
CONF.set_override("auth_strategy", "noauth")
CONF.set_override("allow_image_access_via_auth_token", True)
caller = context.RequestContext(auth_token=token, project_id=project)
images = image_service.GlanceImageService(context=caller)
report = Report("ironic")

with report.check("show"):
    shown = images.show(image_id)
    assert (shown["id"], shown["status"], shown["properties"]["os_distro"]) == (image_id, "active", "debian")
with report.check("download"):
    path = Path(folder) / "downloaded"
    with path.open("wb") as file:
        images.download(image_id, file)
    assert path.stat().st_size == shown["size"]
with report.check("what is not there"):
    try:
        images.show("00000000-0000-4000-8000-00000000dead")
    except exception.ImageNotFound:
        pass
    else:
        raise AssertionError("found")
report.print()
