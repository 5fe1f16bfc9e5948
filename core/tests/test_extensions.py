"""Extensions: which are on, what they add, and one sentence for each defect."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from webtest import TestApp

from calotype.app import make_app, plan_background
from calotype.config.interpolation import SettingsError
from calotype.config.section import read_settings
from calotype.config.settings import Settings
from calotype.extensions import branches_of, load_extensions
from calotype.transfers.heartbeat import Heartbeat
from core.tests.stores.conftest import install
from tests.support.workbench import Bench

__all__ = ["install"]
Install = Callable[..., str]

PLAIN = "def includeme(config): pass\n"
GREETER = '''
from pyramid.response import Response
from calotype.api.http.resources import Resource, Root
from calotype.config.options import Options as Base
from calotype.model import policy
from calotype.transfers.workers import Scope, Work

class Options(Base):
    word: str = "hello"
    times: int = 1

class Greeting(Resource):
    """/greeting"""

def includeme(config):
    options = config.extension_options("greeter")
    config.add_child(Root, "greeting", Greeting)
    view = lambda context, request: Response(options.word * options.times)
    config.add_view(view, context=Greeting, permission=policy.LIST)

def work(service, options):
    return [Work("greeter", 60, lambda: False, Scope.PER_PROCESS)]
'''


@pytest.fixture
def extend(install: Install) -> Install:
    """Install an extension: `extend("faces", source)` returns its distribution's name."""
    return partial(install, target="", group="calotype.extensions")


def configure(**keys: str) -> Settings:
    """Return settings with these ini keys; `__` stands for a dot."""
    given = {key.replace("__", "."): text for key, text in keys.items()}
    return read_settings({}, {"sqlalchemy.url": "sqlite://", **given})


def names(**keys: str) -> list[str]:
    return [one.name for one in load_extensions(configure(**keys))]


def refused(**keys: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_extensions(configure(**keys))
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_dialects_metadefs_and_the_console_are_on_and_others_only_if_the_ini_file_has_a_key_for_them(
    extend: Install,
) -> None:
    extend("faces", PLAIN)
    extend("alerts", "from calotype.config.options import Options as Base\n" + PLAIN + OPTION)
    assert names() == ["v1", "v2", "uploads", "metadefs", "console"]
    assert names(calotype__extensions="faces") == ["v1", "v2", "uploads", "metadefs", "console", "faces"]
    assert names(calotype__extensions="faces, alerts") == [
        "v1",
        "v2",
        "uploads",
        "metadefs",
        "console",
        "faces",
        "alerts",
    ]
    assert names(extension__alerts__word="x") == ["v1", "v2", "uploads", "metadefs", "console", "alerts"]
    assert names(extension__metadefs__enabled="false") == ["v1", "v2", "uploads", "console"]
    assert names(calotype__extensions="faces", extension__faces__enabled="no") == [
        "v1",
        "v2",
        "uploads",
        "metadefs",
        "console",
    ]
    assert names(extension__nowhere__enabled="false", calotype__dialects="v2") == [
        "v2",
        "metadefs",
        "console",
    ]


OPTION = """
class Options(Base):
    word: str = "hello"
"""


def test_an_extension_that_is_off_is_not_even_imported(extend: Install) -> None:
    extend("faces", "raise SystemExit(3)")
    assert "faces" not in names()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import nosuchmodule", "cannot be loaded: ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3"),
        ("x = 1", "has no includeme(config)"),
        (PLAIN + "Options = dict", "not a subclass of calotype.config.options.Options"),
        (PLAIN + "MIGRATIONS = 'here'", "has MIGRATIONS that are not a Branch of the name 'faces'"),
        (PLAIN + "work = 7", "has an attribute `work` that is not a function"),
    ],
)
def test_a_broken_extension_is_refused_with_one_sentence_that_names_it(
    source: str, told: str, extend: Install
) -> None:
    distribution = extend("faces", source)
    sentence = refused(calotype__extensions="faces")
    assert sentence.startswith("calotype.extensions: extension 'faces' (")
    assert told in sentence
    assert distribution in sentence


def test_an_extension_that_is_missing_installed_twice_or_misnamed_is_refused(extend: Install) -> None:
    extend("faces", PLAIN)
    sentence = refused(calotype__extensions="fases")
    assert "no extension 'fases' is installed (installed: console, faces, metadefs)" in sentence
    assert "did you mean faces?" in sentence
    assert "extension.fases: no extension 'fases' is installed" in refused(extension__fases__word="x")
    assert "no dialect 'v3' is installed (installed: uploads, v1, v2)" in refused(calotype__dialects="v3")
    extend("Bad-Name", PLAIN)
    assert "must have a name of at most 31 lower-case letters" in refused(calotype__extensions="Bad-Name")
    extend("faces", PLAIN, distribution="calotype-other-faces")
    assert "extension 'faces' is installed more than once" in refused(calotype__extensions="faces")


def test_an_invalid_option_is_refused(extend: Install) -> None:
    extend("greeter", GREETER)
    sentence = refused(extension__greeter__wrod="x")
    assert sentence == "extension 'greeter': unknown option wrod (did you mean word?)"
    assert "option times: must be a whole number, not 'many'" in refused(extension__greeter__times="many")
    assert "extension.greeter.enabled: must be true or false, not 'perhaps'" in refused(
        extension__greeter__enabled="perhaps"
    )


def serve(bench: Bench, **keys: str) -> TestApp:
    bench.settings = configure(**keys)
    return TestApp(make_app(bench.service))


def test_an_extension_can_have_a_route_options_and_background_work(bench: Bench, extend: Install) -> None:
    extend("greeter", GREETER)
    app = serve(bench, extension__greeter__times="2")
    assert app.get("/greeting").text == "hellohello"
    background = plan_background(bench.service, Heartbeat(bench.database))
    assert "greeter" in [work.name for work in background]
    assert serve(bench).get("/greeting", status=404)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            "def includeme(config): raise ValueError('hunter2')",
            "extension 'faces' (calotype-store-faces) failed",
        ),
        ("def includeme(config): raise SystemExit(3)", "failed with SystemExit"),
        (
            GREETER.replace('"greeter"', '"faces"').replace('"greeting"', '"images"'),
            "cannot be used together",
        ),
        (PLAIN + "def work(service, options): return [1/0]", "failed with ZeroDivisionError"),
    ],
)
def test_an_extension_that_fails_ends_the_start_with_a_sentence_that_names_it(
    source: str, told: str, bench: Bench, extend: Install
) -> None:
    extend("faces", source)

    def start() -> None:
        serve(bench, calotype__extensions="faces")
        plan_background(bench.service, Heartbeat(bench.database))

    with pytest.raises(SettingsError) as caught:
        start()
    assert told in str(caught.value)
    assert "faces" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dialect_that_is_off_leaves_no_route(bench: Bench) -> None:
    app = serve(bench, calotype__dialects="v1")
    for path in ("/v2/images", "/v2", "/v2/metadefs/namespaces", "/v2.15/images", "/v2/schemas/metadefs/tag"):
        app.get(path, status=404)
    assert {one["id"] for one in app.get("/versions").json["versions"]} == {"v1.0", "v1.1"}
    app.get("/v1/images", status=200)
    app = serve(bench, calotype__dialects="")
    app.get("/v1/images", status=404)
    app.get("/images", status=200)


def test_only_extensions_with_tables_have_a_branch() -> None:
    assert [one.name for one in branches_of(load_extensions(configure()))] == ["core", "metadefs"]
    off = configure(extension__metadefs__enabled="false")
    assert [one.name for one in branches_of(load_extensions(off))] == ["core"]
