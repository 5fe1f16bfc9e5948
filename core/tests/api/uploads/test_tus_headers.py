"""The headers of tus: what a client writes is read back, and everything else is refused."""

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.api.http.request import Request
from calotype.api.uploads.metadata import read_metadata, read_new
from calotype.api.uploads.tus_headers import (
    CHECKSUMS,
    Note,
    decode_base64,
    read_checksum,
    read_concat,
    read_length,
    read_number,
)
from calotype.config.settings import Settings
from calotype.model.fields import InvalidRequest, RequestTooLarge

SETTINGS = Settings.model_validate({"sqlalchemy.url": "sqlite://"})
ID = "00000000-0000-4000-8000-00000000dead"
KEYS = st.from_regex(r"[!-+\--~]{1,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
IDS = st.uuids().map(str)
ID = "1d5c8f52-0d5f-4d0a-9a57-2f0a4d0c7b11"


def asked(**headers):
    """Return a request with these headers; `_` stands for `-`."""
    return Request.blank("/", headers={name.replace("_", "-"): value for name, value in headers.items()})


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@given(st.dictionaries(KEYS, TEXTS, max_size=6), st.sampled_from([",", ", ", " ,"]))
def test_pairs_are_read_as_they_were_written(pairs, comma):
    written = comma.join(f"{key} {encoded(value)}" if value else key for key, value in pairs.items())

    assert read_metadata(written) == pairs


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_any_other_text_is_refused_or_read_as_pairs(text):
    try:
        read = read_metadata(text)
    except (InvalidRequest, RequestTooLarge):
        return

    assert all(key and key.isascii() and " " not in key and "," not in key for key in read)


@given(st.binary(max_size=40))
def test_base64_is_read_strictly(data):
    text = base64.b64encode(data).decode()

    assert decode_base64("x", text) == data
    for wrong in (text.rstrip("="), f"{text}=", f"{text[:1]}\n{text[1:]}", f"-{text}"):
        if wrong != text:
            with pytest.raises(InvalidRequest):
                decode_base64("x", wrong)


@given(st.lists(IDS, min_size=1, max_size=5), st.sampled_from(["", "https://a.example", "http://b:9292/api"]))
def test_a_concatenation_names_sessions_by_urls_or_paths(ids, base):
    urls = " ".join(f"{base}/uploads/{one}" for one in ids)

    assert read_concat(asked(Upload_Concat=f"final;{urls}")) == ids


@pytest.mark.parametrize(
    "text",
    [
        "final",
        "final;",
        "final; ",
        f"final;/uploads/{ID} ",
        f"final;/uploads/{ID}/x",
        f"final;/upload/{ID}",
        f"final;/uploads/{ID}?x",
        f"final;ftp://x/uploads/{ID}",
        "partial;",
        "",
    ],
)
def test_another_concatenation_is_refused(text):
    with pytest.raises(InvalidRequest):
        read_concat(asked(Upload_Concat=text))


def test_a_request_without_the_header_concatenates_nothing():
    assert read_concat(asked()) is None
    assert read_concat(asked(Upload_Concat="partial")) == []


@given(st.sampled_from(sorted(CHECKSUMS)), st.binary(max_size=40))
def test_a_checksum_has_the_length_of_its_algorithm(algorithm, digest):
    request = asked(Upload_Checksum=f"{algorithm} {base64.b64encode(digest).decode()}")
    if len(digest) == CHECKSUMS[algorithm]:
        assert read_checksum(request) == {algorithm: digest}
    else:
        with pytest.raises(InvalidRequest, match=f"has {CHECKSUMS[algorithm]} bytes"):
            read_checksum(request)


def test_a_crc32_is_big_endian():
    header = f"crc32 {base64.b64encode(zlib.crc32(b'123456789').to_bytes(4, 'big')).decode()}"

    assert read_checksum(asked(Upload_Checksum=header)) == {"crc32": bytes.fromhex("cbf43926")}


@given(st.integers(0, 10**18 - 1))
def test_numbers_are_digits(number):
    assert read_number(asked(Upload_Offset=f"{number}"), "Upload-Offset") == number
    for text in (f"+{number}", f" {number}x", f"{number}.0", f"-{number}", "\xb2"):
        with pytest.raises(InvalidRequest):
            read_number(asked(Upload_Offset=text), "Upload-Offset")


def test_a_creation_has_one_length():
    assert read_length(asked(Upload_Length="5")) == 5
    assert read_length(asked(Upload_Defer_Length="1")) is None
    for headers in ({}, {"Upload_Length": "5", "Upload_Defer_Length": "1"}, {"Upload_Defer_Length": "0"}):
        with pytest.raises(InvalidRequest):
            read_length(asked(**headers))


@given(TEXTS, st.sampled_from(["", "partial", "final;/uploads/x"]))
def test_a_note_is_read_as_it_was_written(metadata, concat):
    class Session:
        note = Note(metadata, concat).dump()

    assert Note.of(Session) == Note(metadata, concat)
    assert Note.of(Session).is_final is concat.startswith("final")


@pytest.mark.parametrize(
    ("given", "name", "disk_format"),
    [
        ({"filename": "debian.qcow2"}, "debian.qcow2", "qcow2"),
        ({"filename": "Debian.ISO", "filetype": "application/x-cd-image"}, "Debian.ISO", "iso"),
        ({"filename": "disk.img"}, "disk.img", None),
        ({"filename": "disk.qcow2", "disk_format": "raw", "name": "disk"}, "disk", "raw"),
        ({"name": "disk.vmdk"}, "disk.vmdk", "vmdk"),
        ({"disk_format": "raw"}, None, "raw"),
    ],
)
def test_a_file_name_is_the_name_of_the_image_and_tells_its_format(given, name, disk_format):
    read = read_new(given, SETTINGS)

    assert (read.fields.get("name"), read.fields["disk_format"]) == (name, disk_format)
    assert read.fields["container_format"] == "bare"


def test_metadata_sets_every_field_of_an_image():
    read = read_new(
        {
            "name": "n",
            "disk_format": "ami",
            "container_format": "ami",
            "visibility": "private",
            "protected": "true",
            "os_hidden": "false",
            "min_disk": "1",
            "min_ram": "2",
            "tags": "a,b,a",
            "store": "fast",
            "property-hw:Cpu": "4",
            "relativePath": "null",
        },
        SETTINGS,
    )

    assert read.fields == {
        "name": "n",
        "disk_format": "ami",
        "container_format": "ami",
        "visibility": "private",
        "protected": True,
        "os_hidden": False,
        "min_disk": 1,
        "min_ram": 2,
    }
    assert (read.tags, read.store, read.properties) == (("a", "b"), "fast", {"hw:Cpu": "4"})
