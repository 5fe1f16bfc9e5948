"""The application as a server calls it: ranges, errors, and one line in the log for each request."""

import gc
import importlib
import inspect
import logging
import pkgutil
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request
from webtest import TestApp

import calotype
from calotype.api.http.errors import STATUS
from calotype.api.http.targets import PATH_MAX
from calotype.app import make_app
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.stores import SourceError, StoreError
from calotype.testing import Trickle, pattern
from calotype.transfers.readers import Announced
from tests.support.workbench import make_bench

SIZE = 100
DATA = pattern(SIZE)


@pytest.fixture
def app(bench):
    return TestApp(make_app(bench.service))


@pytest.fixture
def image(bench):
    return bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))


@pytest.fixture(scope="module")
def served(template):
    """Return an application with images of several sizes, and their paths by size."""
    with make_bench(template) as bench:
        paths = {}
        for size in (0, 1, 2, 10):
            made = bench.lifecycle.upload(
                Change(bench.caller, ImageFields()), Announced(Trickle(pattern(size)))
            )
            paths[size] = f"/images/{made.id}"
        yield TestApp(make_app(bench.service)), paths


# ---------------------------------------------------------------- paths


def test_w_25_unknown_paths_are_not_remembered(app):
    """Pyramid keeps the segments of the last thousand paths, so as many requests come before the measure."""

    def ask(numbers):
        for number in numbers:
            assert app.get(f"/{number:0{PATH_MAX - 1}}", status=404).status_int == 404
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = ask(range(1100))
        assert ask(range(1100, 1600)) - before < 500 * PATH_MAX // 2
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------- ranges


def model(text: str, size: int) -> range | None:
    """Return the first range (RFC 9110 14), None for the whole image, or an empty range for 416."""
    unit, _, ranges = text.partition("=")
    first, dash, last = ranges.split(",")[0].strip().partition("-")
    if unit != "bytes" or not dash or not (first + last).isdigit():
        return None
    if not first:
        return range(max(size - int(last), 0), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


@settings(max_examples=120)
@given(
    size=st.sampled_from([0, 1, 2, 10]),
    first=st.none() | st.integers(0, 12),
    last=st.none() | st.integers(0, 12),
)
def test_any_range_returns_the_same_bytes_as_slicing(served, size, first, last):
    if first is None and last is None:
        return
    app, paths = served
    text = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    wanted, data = model(text, size), pattern(size)
    answer = app.get(paths[size], headers={"Range": text}, expect_errors=True)

    if wanted is None:
        assert (answer.status_int, answer.body) == (200, data)
    elif len(wanted) == 0:
        assert answer.status_int == 416
        assert answer.headers["Content-Range"] == f"bytes */{size}"
    else:
        assert (answer.status_int, answer.body) == (206, data[wanted.start : wanted.stop])
        assert answer.headers["Content-Range"] == f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
        assert answer.headers["Content-Length"] == str(len(wanted))


@pytest.mark.parametrize(
    "text", ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=5-2", f"bytes={'9' * 5000}-"]
)
def test_an_invalid_range_gets_the_whole_image(app, image, text):
    answer = app.get(f"/images/{image.id}", headers={"Range": text}, expect_errors=True)

    assert (answer.status_int, answer.body) == (200, DATA)


def test_if_range_with_another_etag_gets_the_whole_image(app, image):
    path, range_ = f"/images/{image.id}", {"Range": "bytes=0-1"}
    etag = app.get(path).headers["ETag"]

    assert app.get(path, headers={**range_, "If-Range": etag}).status_int == 206
    assert app.get(path, headers={**range_, "If-Range": '"other"'}).body == DATA


def test_bytes_that_the_client_already_has_are_not_sent(app, image):
    path, app.lint = f"/images/{image.id}", False  # which would have a 304 without a Content-Type
    etag = app.get(path).headers["ETag"]

    assert app.get(path, headers={"If-None-Match": etag}).status_int == 304
    assert app.get(path, headers={"If-None-Match": "*"}).status_int == 304
    assert app.get(path, headers={"If-None-Match": '"other"'}).body == DATA


# ---------------------------------------------------------------- errors


#: The packages below HTTP whose exceptions can reach a view.
BELOW = ("model", "stores", "database", "identity", "transfers", "images")


def exceptions() -> list[type[Exception]]:
    """Return every exception class of the layers below HTTP."""
    found = set()
    for info in pkgutil.walk_packages(calotype.__path__, "calotype."):
        below = info.name.split(".")[1] in BELOW
        if below and "migrations" not in info.name:
            module = importlib.import_module(info.name)
            found |= {
                value
                for _, value in inspect.getmembers(module, inspect.isclass)
                if issubclass(value, Exception) and value.__module__.startswith("calotype.")
            }
    return sorted(found, key=lambda kind: kind.__qualname__)


#: Exceptions that never reach a view, because they stop the start or are caught by their callers.
INSIDE = {
    *("DatabaseError", "SchemaMismatch", "SettingsError", "TokensNotWritten", "_Broken", "Interrupted"),
    *("OptionsError", "PluginError", "Unanswered", "InvalidText"),
}


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__qualname__)
def test_every_exception_that_can_reach_a_view_has_a_status(kind):
    row = next((base for base in kind.__mro__ if base in STATUS), None)

    assert (row is None) == (kind.__name__ in INSIDE)


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__qualname__)
def test_errors_of_clients_are_4xx_and_errors_of_stores_5xx(kind):
    if issubclass(kind, SourceError):
        assert 400 <= STATUS[kind] < 500
    elif kind is StoreError:
        assert STATUS[kind] >= 500


def test_an_unexpected_exception_is_logged_once_and_its_500_shows_no_details(
    bench, app, image, caplog, monkeypatch
):
    def fail(*args, **kw):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(bench.lifecycle, "delete", fail)
    answer = app.delete(f"/images/{image.id}", expect_errors=True)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]

    assert answer.status_int == 500
    assert "hunter2" not in answer.text + str(answer.headers)
    assert "RuntimeError" not in answer.text
    assert len(errors) == 1
    assert answer.headers["x-openstack-request-id"] in errors[0].getMessage()


def test_a_path_that_is_not_utf_8_is_400(app):
    assert _call(app, PATH_INFO="/images/\xff").startswith("400 ")


def _call(app: TestApp, **environ: str) -> str:
    """Call the application directly, because clients would correct the request; return the status."""
    request = Request.blank("/")
    request.environ.update(environ)
    return request.get_response(app.app).status


# ---------------------------------------------------------------- the access log


def test_each_request_is_logged_in_one_line_with_its_id_status_and_bytes(app, image, caplog):
    caplog.set_level(logging.INFO, "calotype.access")
    answer = app.get(f"/images/{image.id}")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "calotype.access"]

    assert f"id={answer.headers['x-openstack-request-id']} " in line
    assert f'method=GET path="/images/{image.id}" status=200 in=0 out={SIZE} ' in line


def test_the_log_counts_no_bytes_for_a_head(app, image, caplog):
    caplog.set_level(logging.INFO, "calotype.access")
    app.head(f"/images/{image.id}")

    assert " out=0 " in caplog.records[-1].getMessage()


@pytest.mark.parametrize("bad", ["\r", "\n", "\r\n", "\x1b[31m", '"', "\\", " ", "\x00", "\x7f", "\xc3\xa9"])
def test_a_path_cannot_forge_a_line_of_the_log(app, caplog, bad):
    caplog.set_level(logging.INFO, "calotype.access")
    _call(app, PATH_INFO=f"/images/a{bad}id=forged status=200")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "calotype.access"]
    path = line.split('path="')[1].split('"')[0]

    assert line.isprintable()
    assert line.count('"') == 2
    assert path.startswith("/images/a%")
    assert " " not in path


def test_a_long_path_is_cut_in_the_log(app, caplog):
    caplog.set_level(logging.INFO, "calotype.access")
    _call(app, PATH_INFO="/" + "a" * 10_000)

    assert len(caplog.records[-1].getMessage()) < 600


def test_a_client_does_not_choose_the_request_id(app):
    given_id = "req-00000000-0000-0000-0000-000000000000"
    answer = app.get("/images", headers={"x-openstack-request-id": given_id})

    assert answer.headers["x-openstack-request-id"] != given_id
