"""Discovery: each defect of a plugin is reported in one sentence that names driver and distribution."""

import pytest

from calotype.config.plugins import Installed, Kind
from calotype.stores import ConfigurationError, Store, discovery
from calotype.stores.discovery import Driver, load
from core.tests.stores.conftest import DRIVER

CONTRACT = "from calotype.stores import Store, StoreOptions\n"


def installed() -> list[str]:
    return Installed().names(discovery.DRIVER)


def loaded(name: str) -> Driver:
    return load(Installed(), name)


def refused(name: str, store: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(Installed(), name, store)
    sentence = str(caught.value)
    assert sentence.startswith(f"store '{store or name}': ")
    assert "\n" not in sentence
    return sentence


def test_a_driver_is_loaded_with_its_distribution(install):
    distribution = install("tape")
    driver = loaded("tape")

    assert (driver.name, driver.distribution) == ("tape", distribution)
    assert driver.version.startswith("2.")
    assert issubclass(driver.store_class, Store)


def test_a_plugin_is_found_as_soon_as_it_is_installed(install):
    assert "tape" not in installed()
    install("tape")

    assert "tape" in installed()
    assert installed() == sorted(installed())


def test_listing_drivers_loads_none_of_them(install):
    install("tape", "raise AssertionError('it was imported')")

    assert "tape" in installed()


def test_a_missing_driver_is_reported_with_the_installed_ones(install):
    install("tape")
    sentence = refused("tpae", "deep")

    assert sentence.startswith("store 'deep': no driver 'tpae' is installed (installed: ")
    assert "tape" in sentence


def test_a_missing_driver_is_reported_even_if_none_is_installed(monkeypatch):
    monkeypatch.setattr("calotype.stores.discovery.DRIVER", Kind("driver", "calotype.stores.nowhere"))

    sentence = "no driver 'tape' is installed (installed: none): install it, or name another one in "
    assert refused("tape", "deep") == f"store 'deep': {sentence}store.deep.driver"


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        (
            "import not_installed_anywhere",
            "Driver",
            "ModuleNotFoundError: No module",
        ),
        ("1 / 0", "Driver", "ZeroDivisionError: division by zero"),
        ("def (", "Driver", "SyntaxError: "),
        ("x = 1", "Driver", "AttributeError: "),
    ],
)
def test_a_broken_plugin_is_reported_with_its_distribution_and_the_reason(install, source, target, why):
    distribution = install("tape", source, target=target)
    sentence = refused("tape")

    assert "driver 'tape' (throwaway_" in sentence
    assert f" of {distribution}) cannot be loaded: {why}" in sentence


def test_a_driver_for_contract_1_is_refused_in_one_sentence(install):
    """r1-E14"""
    install("tape", "from calotype.stores import Capability, Store\n")

    assert refused("tape").endswith(
        ". It was written for version 1 of the driver contract, and this core has 2.0: install a newer "
        "version of the driver"
    )


def test_a_driver_that_two_distributions_provide_is_refused(install):
    install("tape", distribution="acme-tape")
    install("disk", distribution="between")
    install("tape", distribution="other-tape")

    assert (
        refused("tape") == "store 'tape': driver 'tape' is installed more than once, by acme-tape, "
        "other-tape: uninstall all but one"
    )


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("class Driver: pass", "is not a subclass of calotype.stores.Store"),
        ("def Driver(name, options): pass", "is not a subclass of calotype.stores.Store"),
        (
            DRIVER + "    api_version = (3, 0)\n",
            "was written for version 3.0 of the driver contract; this core has 2.0",
        ),
        (
            DRIVER + "    api_version = (2, 1)\n",
            "was written for version 2.1 of the driver contract; this core has 2.0",
        ),
        (DRIVER + "    api_version = (0, 9)\n", "was written for version 0.9"),
        (DRIVER + "    api_version = '1.0'\n", "has no api_version"),
        (DRIVER + "    api_version = 1\n", "has no api_version"),
        (
            DRIVER + "    Options = dict\n",
            "has Options that are not a subclass of calotype.stores.StoreOptions",
        ),
        (
            DRIVER + "    class Options(StoreOptions):\n        redirect: bool = False\n",
            "has options that the core reads itself: redirect",
        ),
        (DRIVER + "    Options = StoreOptions()\n", "has Options that are not a subclass"),
        (CONTRACT + "class Driver(Store):\n    pass\n", "has no api_version"),
        (CONTRACT + "class Driver(Store):\n    api_version = (2, 0)\n", "lacks get, size"),
        (
            CONTRACT + "class Driver(Store):\n    api_version = (2, 0)\n"
            "    def get(self, location, offset=0, length=None): ...\n",
            "lacks size",
        ),
        (
            DRIVER + "    def get(self, location): ...\n",
            "has get(self, location) where the contract calls get(self, location",
        ),
        (DRIVER + "    def add(self, key, source, size): ...\n", "has add(self, key, source, size) where"),
        (
            DRIVER + "    def delete(self): ...\n",
            "has delete(self) where the contract calls delete(",
        ),
        (
            DRIVER + "    def __init__(self, name): ...\n",
            "has __init__(self, name) where the",
        ),
        (DRIVER + "    def close(self, now): ...\n", "has close(self, now) where"),
        (
            DRIVER + "    locate = WritableStore.locate\n",
            "lacks locate",
        ),
        (DRIVER + "    def blobs(self, now): ...\n", "has blobs(self, now) where"),
    ],
)
def test_a_driver_whose_methods_differ_from_the_contract_is_refused(install, source, why):
    distribution = install("tape", source)
    sentence = refused("tape")

    assert f"driver 'tape' (of {distribution} 2." in sentence
    assert why in sentence


@pytest.mark.parametrize(
    "source",
    [
        DRIVER + "    def get(self, location, *args, **kw): ...\n",
        DRIVER + "    def get(self, where, start=0, count=None, extra=1): ...\n",
        DRIVER + "    def own(self, whatever): ...\n",
        DRIVER + "    def _get(self): ...\n",
    ],
)
def test_a_driver_that_accepts_the_calls_of_the_contract_is_loaded(install, source):
    install("tape", source)

    assert loaded("tape").name == "tape"
