"""An image looks the same in classic and v1, whichever of them created or changed it."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from webtest import TestApp

from calotype.app import make_app
from calotype.model.property_names import is_reserved
from tests.support.workbench import make_bench

META = "x-image-meta-"
#: Fields with the same name and form in both dialects.
COMMON = (
    *("id", "name", "size", "status", "is_public", "disk_format", "container_format", "checksum"),
    *("min_disk", "min_ram", "owner", "protected", "created_at", "deleted", "properties"),
)
OCTETS = {"Content-Type": "application/octet-stream"}

# Blanks at the ends do not survive HTTP. Other tests have the values that every dialect refuses.
texts = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=30)
texts = texts.map(str.strip).filter(bool)
names = st.from_regex(r"[a-z0-9_.]{1,20}", fullmatch=True).filter(lambda name: not is_reserved(name))
flags = st.sampled_from(["True", "False", "1", "0", "on", "junk"])
formats = st.sampled_from([("raw", "bare"), ("qcow2", "ovf"), ("ami", "ami"), ("vmdk", "ova")])
fields = st.fixed_dictionaries(
    {},
    optional={
        "name": texts,
        "is_public": flags,
        "protected": flags,
        "min_disk": st.integers(0, 2**31 - 1).map(str),
        "min_ram": st.integers(0, 2**31 - 1).map(str),
        "owner": texts,
    },
)
properties = st.dictionaries(names, texts, max_size=5)


@st.composite
def drafts(draw):
    """Draw meta headers as WSGI passes them, with or without a type."""
    given_fields = draw(fields)
    if kind := draw(st.none() | formats):
        given_fields |= {"disk_format": kind[0], "container_format": kind[1]}
    texts_of = {f"{META}{name}": text for name, text in given_fields.items()}
    texts_of |= {f"{META}property-{name}": text for name, text in draw(properties).items()}
    return {name: text.encode().decode("latin-1") for name, text in texts_of.items()}


@pytest.fixture(scope="module")
def app(template):
    with make_bench(template) as bench:
        made = TestApp(make_app(bench.service))
        made.lint = False  # lint refuses headers that are not ASCII
        yield made


def told(headers):
    """Return the meta headers without null, which classic writes as `None` and v1 omits."""
    found = {name.lower(): value for name, value in headers.items() if name.lower().startswith(META)}
    return {name.removeprefix(META): value for name, value in found.items() if value != "None"}


def listed(app, path, image_id):
    images = app.get(path).json["images"]
    return next(({k: image[k] for k in COMMON} for image in images if image["id"] == image_id), None)


def assert_agreed(app, image_id):
    """Compare the responses to HEAD and PUT, and the entries in the lists of public images."""
    heads = [told(app.head(f"{base}/images/{image_id}").headers) for base in ("", "/v1")]
    shown = [{k: v for k, v in head.items() if k in COMMON or k.startswith("property-")} for head in heads]
    assert shown[0] == shown[1]
    lists = [listed(app, f"{base}/images/detail?limit=1000", image_id) for base in ("", "/v1")]
    if shown[0]["status"] == "killed":
        assert lists[1] is None  # v1 lists killed images only on request
    elif shown[0]["is_public"] == "True":
        assert lists[0] == lists[1]
    else:
        assert lists[0] is None


@settings(max_examples=12)
@example(draft={}, change={f"{META}is_public": "True"}, body=b"vhdxfile", data=None)
@given(draft=drafts(), change=drafts(), body=st.none() | st.binary(min_size=1, max_size=50), data=st.data())
def test_an_image_is_the_same_through_both_dialects(app, draft, change, body, data):
    making, changing = data.draw(st.permutations(["", "/v1"])) if data else ("", "/v1")
    asked = app.post(f"{making}/images", headers=draft, expect_errors=True)
    assert asked.status_int in (200, 201), asked.text
    image_id = asked.json["image"]["id"]
    try:
        assert_agreed(app, image_id)
        answer = app.put(f"{changing}/images/{image_id}", headers=change, expect_errors=True)
        assert answer.status_int == 200, answer.text
        assert_agreed(app, image_id)
        if body is not None:
            app.put(f"/images/{image_id}", body, headers=OCTETS, expect_errors=True)
            assert_agreed(app, image_id)
            gets = [app.get(f"{base}/images/{image_id}", expect_errors=True) for base in ("", "/v1")]
            assert gets[0].status_int == gets[1].status_int
            if gets[0].status_int == 200:
                assert gets[0].body == gets[1].body == body
    finally:
        app.put(f"/images/{image_id}", headers={f"{META}protected": "False"})
        app.delete(f"{changing}/images/{image_id}")
    assert app.get(f"/images/{image_id}", expect_errors=True).status_int == 404
    assert app.get(f"/v1/images/{image_id}", expect_errors=True).status_int == 404
