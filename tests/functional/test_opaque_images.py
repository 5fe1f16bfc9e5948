"""Kernels, disks and volumes are accepted as declared; formats that refer to files are not."""

from __future__ import annotations

import struct

import pytest

from tests.functional.storing import DIALECTS, Store, by_classic, by_type, by_v1, imported, stage
from tests.support import opaque
from tests.support.server import OCTETS, Server, meta

BARE = {"container_format": "bare"}
every_dialect = pytest.mark.parametrize("store", DIALECTS.values(), ids=DIALECTS.keys())
#: Some of the files; core/tests/transfers/test_inspection.py inspects all of them.
SOME = ("an empty boot sector", "a kernel", "a hybrid GPT", "LUKS 2")


@pytest.mark.parametrize("name", SOME)
def test_opaque_bytes_are_accepted_as_raw_disk_kernel_and_ramdisk(server: Server, name: str) -> None:
    """r1-B1: the response used to be 415 "The image is not safe: mbr"."""
    data = opaque.FILES[name]
    for dialect, store in DIALECTS.items():
        for disk, container in (("raw", "bare"), ("aki", "aki"), ("ari", "ari")):
            outcome = store(server, data, disk_format=disk, container_format=container)
            assert outcome.taken, (dialect, disk, outcome.why)
    for disk in ("raw", "aki", "ari", "ami"):
        assert by_type(server, data, disk_format=disk).taken
    assert by_classic(server, data).taken


@every_dialect
def test_opaque_bytes_are_refused_as_an_image_of_another_format(server: Server, store: Store) -> None:
    data = opaque.FILES["a kernel"]
    for declared in ("qcow2", "iso"):
        outcome = store(server, data, disk_format=declared, **BARE)
        assert not outcome.taken
        assert f"The image is declared as {declared}, but it is raw." in outcome.why


def test_staged_bytes_are_inspected_like_uploads(server: Server) -> None:
    """r1-B1, r1-B7, r1-B10: imports use the same inspection."""
    taken = [(opaque.FILES[name], "raw") for name in ("a kernel", "LUKS 2", "a hybrid GPT")]
    taken += [(opaque.udf(), "iso"), (opaque.qcow2(1 << 4), "qcow2")]
    refused = {"it is qcow2": (opaque.qcow2(), "raw"), "with xz": (opaque.COMPRESSED["xz"], "qcow2")}
    good = [stage(server, data, disk_format=declared, **BARE) for data, declared in taken]
    bad = {
        why: stage(server, data, disk_format=declared, **BARE) for why, (data, declared) in refused.items()
    }
    for image_id in good:
        assert imported(server, image_id).taken
    for why, image_id in bad.items():
        outcome = imported(server, image_id)
        assert (outcome.taken, why in outcome.why) == (False, True), outcome


@every_dialect
def test_another_format_declared_as_an_opaque_one_is_refused(server: Server, store: Store) -> None:
    """r1-B1: a declaration as opaque does not allow other formats."""
    footer = struct.pack(">8sIIQ16sQQIIII", b"conectix", 2, 0x10000, 2**64 - 1, b"", 512, 512, 0, 2, 0, 0)
    others = {
        "qcow2": opaque.qcow2(),
        "vhd": opaque.FILES["a kernel"] + footer.ljust(512, b"\0"),
        "begins like vmdk (COWD)": b"COWD" + bytes(2000),
        "reads like a descriptor": b'# Disk DescriptorFile\nRW 1 FLAT "/etc/passwd" 0\n'.ljust(2000, b"\0"),
    }
    for sentence, data in others.items():
        outcome = store(server, data, disk_format="raw", **BARE)
        assert not outcome.taken, sentence
        assert sentence in outcome.why


@every_dialect
def test_a_qcow2_with_extended_l2_is_accepted_and_one_with_a_data_file_refused(
    server: Server, store: Store
) -> None:
    """r1-B7: the response used to be 415 "The image is not safe: unknown_features"."""
    assert store(server, opaque.qcow2(1 << 4), disk_format="qcow2", **BARE).taken
    assert not store(server, opaque.qcow2(1 << 4), disk_format="raw", **BARE).taken
    refused = store(server, opaque.qcow2(1 << 4 | 1 << 2), disk_format="qcow2", **BARE)
    assert "not safe: data_file" in refused.why


@every_dialect
def test_a_disc_with_only_udf_is_a_disc(server: Server, store: Store) -> None:
    """r1-B7: the response used to be 415 "it is raw"."""
    assert store(server, opaque.udf(), disk_format="iso", **BARE).taken


@every_dialect
def test_a_compressed_disk_is_refused_unless_declared_as_compressed(server: Server, store: Store) -> None:
    """r1-B10, r1-G3: the message used to be "it is raw", and `compressed` was not a container format."""
    for name in ("gzip", "xz"):
        data = opaque.COMPRESSED[name]
        outcome = store(server, data, disk_format="qcow2", **BARE)
        assert f"it looks like a file compressed with {name}: decompress it" in outcome.why
        assert store(server, data, disk_format="qcow2", container_format="compressed").taken


def test_a_compressed_disk_is_refused_when_it_is_declared_later(server: Server) -> None:
    """r1-B10: the order of declaration and upload makes no difference."""
    image_id = server.post("/images", {**OCTETS, **meta(name="later")}, opaque.COMPRESSED["xz"]).image["id"]
    answer = server.put(f"/images/{image_id}", meta(disk_format="qcow2"))
    assert (answer.status, "compressed with xz" in answer.text) == (409, True)
    answer = server.put(f"/images/{image_id}", meta(disk_format="qcow2", container_format="compressed"))
    assert answer.status == 200, answer.text


def test_a_refused_image_leaves_no_bytes(server: Server) -> None:
    before = len(server.blobs())
    assert not by_v1(server, opaque.qcow2(), disk_format="raw", **BARE).taken
    assert len(server.blobs()) == before
