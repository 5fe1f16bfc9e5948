"""The catalog: the configured stores, the default, and one sentence for each mistake."""

import sys

import pytest

from calotype.config.plugins import Installed
from calotype.stores import BadLocation, ConfigurationError, External, WritableStore
from calotype.stores.catalog import Catalog, build_catalog
from calotype.testing import MemoryStore
from core.tests.stores.conftest import DRIVER
from tests.support.workbench import make_catalog

STRICT = """
from calotype.stores import StoreOptions
from calotype.testing.memory import MemoryStore

class Options(MemoryStore.Options):
    path: str

class Driver(MemoryStore):
    Options = Options
"""
READING = """
from calotype.stores import External, Store

class Driver(Store, External):
    api_version = (2, 0)
    schemes = ("tape",)
    def get(self, location, offset=0, length=None): ...
    def size(self, location): ...
    def register(self, uri): ...
"""


def build(names=None, default=None, **options) -> Catalog:
    return build_catalog(names, default, options, ("sha256",), Installed())


def refused(*args, **kw) -> str:
    with pytest.raises(ConfigurationError) as caught:
        build(*args, **kw)
    return str(caught.value)


# ---------------------------------------------------------------- named


def test_the_named_stores_are_on_in_the_given_order(install):
    install("tape")
    install("disk", STRICT)
    catalog = build(("tape", "disk"), disk={"path": "/x"})

    assert [store.name for store in catalog] == ["tape", "disk"]
    assert "tape" in catalog
    assert "memory" not in catalog
    assert catalog["disk"].driver.options.path == "/x"
    with pytest.raises(KeyError):
        catalog["memory"]


def test_one_driver_can_serve_two_stores(install):
    install("disk", STRICT)
    catalog = build(
        ("fast", "slow"), fast={"driver": "disk", "path": "/f"}, slow={"driver": "disk", "path": "/s"}
    )

    assert [store.driver.options.path for store in catalog] == ["/f", "/s"]
    assert {entry.driver.name for entry in catalog.entries.values()} == {"disk"}


def test_the_settings_need_not_name_a_store():
    assert list(build(())) == []


@pytest.mark.parametrize("name", ["Tape", "1tape", "a b", "a.b", "-a", "a" * 64, "caf\xe9", "a\n"])
def test_an_invalid_name_of_a_store_is_refused(install, name):
    install("tape")

    assert "a store's name has 1 to 63 lower-case letters" in refused((name,), **{name: {"driver": "tape"}})


def test_a_named_store_whose_driver_is_missing_stops_the_start():
    assert "no driver 'nowhere' is installed" in refused(("nowhere",))


def test_a_named_store_that_lacks_an_option_stops_the_start(install):
    install("disk", STRICT)

    assert refused(("disk",)) == "store 'disk': option path is missing"


def test_a_named_store_with_an_unknown_option_stops_the_start(install):
    install("disk", STRICT)

    assert "unknown option pth (did you mean path?)" in refused(("disk",), disk={"pth": "/x", "path": "/x"})


def test_options_of_a_store_that_is_not_named_stop_the_start(install):
    install("tape")

    assert (
        refused(("tape",), tpae={"x": "y"})
        == "store 'tpae': it has options but is not named in calotype.stores (did you mean tape?)"
    )


def test_a_driver_that_fails_in_its_constructor_stops_the_start_with_a_sentence(install):
    install("tape", DRIVER + "    def __init__(self, name, options): raise OSError('password=hunter2')\n")
    sentence = refused(("tape",))

    assert sentence.startswith("store 'tape': ")
    assert "OSError" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("key", ["read_only", "create"])
def test_a_flag_that_is_neither_true_nor_false_stops_the_start(install, key):
    install("tape")

    sentence = f"store 'tape': option {key}: must be true or false, not 'perhaps'"
    assert refused(("tape",), tape={key: "perhaps"}) == sentence


# ---------------------------------------------------------------- unnamed


def test_if_no_store_is_named_those_with_a_key_are_on_and_the_others_have_a_reason(install, caplog):
    install("tape")
    install("disk", STRICT)
    install("broken", "import not_installed_anywhere")
    catalog = build(tape={"driver": "tape"}, disk={"read_only": "true"}, broken={"path": "/x"})

    assert list(catalog.entries) == ["tape"]
    assert catalog.off["disk"] == "option path is missing"
    assert "cannot be loaded" in catalog.off["broken"]
    assert "store 'broken'" in caplog.text


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "import not_installed_anywhere", DRIVER])
def test_if_no_store_is_named_a_driver_without_a_key_is_off_and_is_not_imported(install, caplog, source):
    install("tape")
    install("other", f"import sys\nsys.other_was_imported = True\n{source}")
    catalog = build(tape={"driver": "tape"})

    assert list(catalog.entries) == ["tape"]
    assert catalog.off["other"] == "no key store.other.* is set"
    assert not hasattr(sys, "other_was_imported")
    assert caplog.text == ""


def test_if_no_store_is_named_the_default_store_is_on_without_a_key(install):
    install("tape")
    catalog = build(default="tape")

    assert list(catalog.entries) == ["tape"]
    assert catalog.default == "tape"


def test_if_no_store_is_named_a_store_can_have_options_and_another_name_than_its_driver(install):
    install("disk", STRICT)
    catalog = build(fast={"driver": "disk", "path": "/f"})

    assert catalog["fast"].driver.options.path == "/f"
    assert "disk" in catalog.off


def test_if_no_store_is_named_options_for_a_missing_driver_leave_the_other_stores_on(install):
    install("tape")
    catalog = build(gone={"path": "/x"}, tape={"driver": "tape"})

    assert "no driver 'gone' is installed" in catalog.off["gone"]
    assert "tape" in catalog


def test_if_no_store_is_named_a_wrong_option_still_stops_the_start(install):
    install("tape")

    assert "unknown option capacty (did you mean capacity?)" in refused(tape={"capacty": "1"})


def test_a_default_store_that_cannot_be_built_without_options_is_off(install):
    """r1-D7: no key and no list names it."""
    install("tape", DRIVER + FAILING_INIT.format("raise ConfigurationError(name, 'it needs a reel')"))

    assert build(default="tape").off["tape"] == "it needs a reel"
    assert "it needs a reel" in refused(tape={"capacity": "1"})


# ---------------------------------------------------------------- drivers whose own code fails

FAILING_INIT = """
    def __init__(self, name, options):
        import sys
        from calotype.stores import ConfigurationError
        {}
"""
FAILING_OPTIONS = """
    class Options(MemoryStore.Options):
{}
"""
#: What a driver's code does before it has stored anything -> what is said of it.
HOSTILE = {
    "exits at import": ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3"),
    "asserts at import": ("assert False, 'never'", "cannot be loaded: AssertionError: never"),
    "ends a generator at import": ("raise GeneratorExit", "cannot be loaded: GeneratorExit: "),
    "exits when built": (DRIVER + FAILING_INIT.format("sys.exit(3)"), "failed with SystemExit"),
    "raises when built": (DRIVER + FAILING_INIT.format("raise OSError('secret')"), "failed with OSError"),
    "cannot tell what it can do": (
        DRIVER
        + "    withheld = property(lambda self: 1 / 0)\n"
        + "    def __init__(self, name, options): self.name = name\n",
        "failed with ZeroDivisionError",
    ),
    "withholds something that is no set": (
        DRIVER + "    withheld = property(lambda self: 7)\n",
        "failed with TypeError",
    ),
    "has options that fail": (
        DRIVER
        + FAILING_OPTIONS.format("        def model_post_init(self, context): raise KeyError('secret')"),
        "failed with KeyError",
    ),
    "exits when asked for its contract": (
        """
        import sys
        from calotype.stores import Store

        class Meta(type(Store)):
            api_version = property(lambda self: sys.exit(3))

        class Driver(Store, metaclass=Meta):
            pass
        """,
        "failed with SystemExit",
    ),
}


@pytest.mark.parametrize(("source", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_store_whose_driver_cannot_be_loaded_or_built_is_off_or_stops_the_start_if_it_is_named(
    install, source, told
):
    """r1-D7: the message names the driver and its distribution, and contains nothing that may be a secret."""
    install("tape")
    distribution = install("bad", source)
    catalog = build(bad={"capacity": "7"}, tape={"driver": "tape"})

    for said in (catalog.off["bad"], refused(("bad",)), build(default="bad").off["bad"]):
        assert told in said
        assert "driver 'bad'" in said
        assert distribution in said
        assert "secret" not in said
    assert "tape" in catalog


def test_if_no_store_is_named_a_driver_that_fails_to_list_missing_options_is_off(install):
    """r1-D7"""
    failing = "        @classmethod\n        def missing(cls, given): raise RuntimeError"
    install("bad", DRIVER + FAILING_OPTIONS.format(failing))

    assert build(bad={"path": "/x"}).off["bad"].endswith("failed with RuntimeError")


def test_the_withheld_abilities_may_be_a_property(install):
    install("tape", DRIVER + "    withheld = property(lambda self: frozenset({External}))\n")

    tape = build(("tape",))["tape"]
    assert tape.can(WritableStore)
    assert not tape.can(External)


def test_the_log_names_a_driver_that_takes_long_to_load(install, caplog, monkeypatch):
    """r1-D7: no other message explains a start that hangs."""
    monkeypatch.setattr("calotype.config.plugins._SLOW", 0.01)
    install("tape", "import time\ntime.sleep(0.2)\n" + DRIVER)

    build(("tape",))
    assert "driver 'tape' (calotype-store-tape) has been loading for" in caplog.text


def test_a_store_that_cannot_be_closed_does_not_prevent_the_others_from_closing(install, caplog):
    """r1-D7"""
    install("tape", DRIVER + "    def close(self): self.options.shelf.foreign['closed'] = b'yes'\n")
    install("bad", DRIVER + "    def close(self): raise SystemExit(3)\n")
    catalog = build(("bad", "tape"))
    catalog.close()

    assert catalog["tape"].driver.shelf.foreign == {"closed": b"yes"}
    assert "store 'bad': its driver could not be closed" in caplog.text


@pytest.mark.parametrize(
    "key", ["call_timeout", "stall_timeout", "max_calls", "max_uploads", "max_downloads"]
)
def test_the_capacity_of_a_store_is_a_setting_of_the_core(install, key):
    install("tape")

    assert build(("tape",), tape={key: "7"})["tape"].bulkhead.bounds.model_dump()[key] == 7
    assert f"option {key}: " in refused(("tape",), tape={key: "0"})
    assert f"option {key}: " in refused(("tape",), tape={key: "much"})


# ---------------------------------------------------------------- the default


def test_the_default_store_is_the_one_that_the_settings_name(install):
    install("tape")

    assert build(("tape", "deep"), "deep", deep={"driver": "tape"}).default == "deep"


def test_a_default_that_is_not_among_the_named_stores_stops_the_start(install):
    install("tape")

    assert "calotype.default_store names it" in refused(("tape",), "deep")


def test_if_no_store_is_named_a_missing_default_store_is_kept_and_logged(install, caplog):
    install("tape")
    catalog = build(default="gone")

    assert catalog.default == "gone"
    assert "'gone', which is not installed or not complete" in caplog.text


def test_without_a_named_default_the_store_file_is_the_default(install):
    install("tape")

    assert build(("deep", "file"), deep={"driver": "tape"}, file={"driver": "tape"}).default == "file"


def test_without_a_named_default_the_only_writable_store_is_the_default(install):
    install("tape")
    install("far", READING)

    assert build(("far", "tape")).default == "tape"
    assert build(("far",)).default is None


WITHHOLDING = DRIVER + "    withheld = frozenset({WritableStore})\n"


@pytest.mark.parametrize("source", [READING, WITHHOLDING])
@pytest.mark.parametrize("names", [("far", "tape"), None])
def test_a_default_store_that_takes_no_uploads_stops_the_start(install, names, source):
    """The start was silent, and each upload got 400."""
    install("tape")
    install("far", source)

    assert "it takes no uploads, so it cannot be calotype.default_store" in refused(names, "far")


def test_a_default_store_that_is_read_only_is_logged(install, caplog):
    install("tape")

    assert build(("tape", "b"), "tape", tape={"read_only": "yes"}, b={"driver": "tape"}).default == "tape"
    assert "store 'tape' takes no uploads, because store.tape.read_only is set" in caplog.text


def test_stores_that_take_no_uploads_are_logged(install, caplog):
    install("tape")
    assert build(("tape",), tape={"read_only": "yes"}).default is None
    assert "no store takes uploads, so each upload gets 400: tape" in caplog.text


def test_without_a_named_default_two_writable_stores_leave_the_choice_to_the_client(install):
    install("tape")

    assert build(("a", "b"), a={"driver": "tape"}, b={"driver": "tape"}).default is None
    assert build(("a", "b"), a={"driver": "tape"}, b={"driver": "tape", "read_only": "yes"}).default == "a"


# ---------------------------------------------------------------- flags


def test_a_read_only_store_takes_no_uploads(install):
    install("tape")
    catalog = build(("tape",), tape={"read_only": "true"})

    assert not catalog["tape"].can(WritableStore)
    assert catalog["tape"].can(External)


def test_the_stores_compute_the_digests_that_the_settings_name(install):
    install("tape")
    catalog = build_catalog(("tape",), None, {}, ("sha256",), Installed())

    assert catalog["tape"].algorithms == ("sha256",)


def test_closing_closes_every_store(install):
    install("tape", DRIVER + "    open = True\n    def close(self): self.open = False\n")
    catalog = build(("a", "b"), a={"driver": "tape"}, b={"driver": "tape"})
    catalog.close()

    assert [store.driver.open for store in catalog] == [False, False]


# ---------------------------------------------------------------- locations from outside


class Web(MemoryStore):
    schemes = ("http", "https")


class Dark(MemoryStore):
    schemes = ("dark",)
    withheld = frozenset({External})


def stores(*drivers) -> Catalog:
    return make_catalog(*(driver(driver.__name__.lower(), MemoryStore.Options()) for driver in drivers))


@pytest.mark.parametrize("uri", ["http://x/y", "HTTPS://x", "https:"])
def test_a_location_goes_to_the_store_of_its_scheme(uri):
    assert stores(MemoryStore, Web).external(uri).name == "web"


@pytest.mark.parametrize(
    "uri",
    ["ftp://x", "file:///etc/passwd", "/etc/passwd", "", "dark:x", " http://x", "\0", "x" * 5000],
)
def test_a_location_that_no_store_accepts_is_refused_and_not_quoted(uri):
    catalog = stores(Web, Dark)
    with pytest.raises(BadLocation, match="no store takes") as caught:
        catalog.external(uri)

    assert len(str(caught.value)) < 120
    assert "passwd" not in str(caught.value)


def test_a_scheme_that_two_stores_accept_is_refused():
    class Other(Web):
        pass

    with pytest.raises(BadLocation):
        stores(Web, Other).external("http://x")
