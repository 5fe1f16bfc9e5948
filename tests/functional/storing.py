"""Store an image through each dialect, or by an import, and return the outcome."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Outcome:
    """Whether the bytes were accepted, and otherwise the reason."""

    taken: bool
    why: str = ""


def _outcome(answer: Answer) -> Outcome:
    assert answer.status in (200, 201, 204, 415), (answer.status, answer.text)
    return Outcome(answer.status != 415, answer.text if answer.status == 415 else "")


def by_classic(server: Server, data: bytes, **formats: str) -> Outcome:
    """POST /images, with both formats or with neither."""
    return _outcome(server.post("/images", {**OCTETS, **meta(**formats)}, data))


def by_type(server: Server, data: bytes, **formats: str) -> Outcome:
    """POST /images with `type`, which stands for both formats."""
    kinds = {"aki": "kernel", "ari": "ramdisk", "raw": "raw", "ami": "machine"}
    return _outcome(server.post("/images", {**OCTETS, **meta(type=kinds[formats["disk_format"]])}, data))


def by_v1(server: Server, data: bytes, **formats: str) -> Outcome:
    """POST /v1/images"""
    return _outcome(server.post("/v1/images", {**OCTETS, **meta(name="stored", **formats)}, data))


def by_v2(server: Server, data: bytes, **formats: str) -> Outcome:
    """POST /v2/images, and then PUT the file."""
    image_id = server.post("/v2/images", JSON, json.dumps(formats).encode()).json["id"]
    return _outcome(server.put(f"/v2/images/{image_id}/file", OCTETS, data))


def stage(server: Server, data: bytes, **formats: str) -> str:
    """Import staged bytes into a new image, and return its id."""
    image_id = server.post("/v2/images", JSON, json.dumps(formats).encode()).json["id"]
    assert server.put(f"/v2/images/{image_id}/stage", OCTETS, data).status == 204
    order = json.dumps({"method": {"name": "glance-direct"}}).encode()
    assert server.post(f"/v2/images/{image_id}/import", JSON, order).status == 202
    return image_id


def imported(server: Server, image_id: str) -> Outcome:
    """Wait for the import, and return its outcome."""
    end = time.monotonic() + 60
    while (image := server.get(f"/v2/images/{image_id}").json)["status"] in ("importing", "uploading"):
        assert time.monotonic() < end, image
        time.sleep(0.02)
    (task,) = server.get(f"/v2/images/{image_id}/tasks").json["tasks"]
    return Outcome(image["status"] == "active", task["message"])


Store = Callable[..., Outcome]
DIALECTS: dict[str, Store] = {"classic": by_classic, "v1": by_v1, "v2": by_v2}
