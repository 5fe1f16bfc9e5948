"""The conformance kit for a configured store, which may contain other data.

    pytest --pyargs calotype.testing.live --ini production.ini --store archive

Keys are random, and everything is deleted after each case. Other uploads may run at the same time. Cases that
need external bytes (`External`) are not run.
"""

from __future__ import annotations

import plaster
import pytest

from calotype.config.interpolation import SettingsError
from calotype.config.plugins import Installed
from calotype.config.section import read_settings
from calotype.stores import External, Store, StoreError, WritableStore
from calotype.stores.catalog import build_catalog
from calotype.stores.checked import CheckedStore
from calotype.testing.conformance import StoreConformance


class TestLiveStore(StoreConformance):
    """One configured store, opened anew for each case."""

    alone = False
    #: A driver may write files that have no name yet; only the driver's own tests can say whether it does.
    leaves_attempts = False
    sparse = False  # a quota may count the zeros

    @pytest.fixture
    def store(self, pytestconfig: pytest.Config) -> Store:
        checked = _open(pytestconfig)
        if not checked.can(WritableStore):
            pytest.fail(f"store '{checked.name}' takes no uploads, or is read-only: there is nothing to test")
        driver = checked.driver
        driver.withheld |= {External}
        return driver


def _open(config: pytest.Config) -> CheckedStore:
    """Return the store that the command line names.

    Raises:
        pytest.UsageError: an option is missing, or the ini file has no such store.
    """
    ini, name = config.getoption("--ini", None), config.getoption("--store", None)
    if not ini or not name:
        raise pytest.UsageError("the live kit needs --ini FILE and --store NAME")
    variables = dict(pair.split("=", 1) for pair in config.getoption("--set") if "=" in pair)
    try:
        section = plaster.get_loader(ini, protocols=["wsgi"]).get_wsgi_app_settings(defaults=variables)
        settings = read_settings(section.global_conf, section)
        catalog = build_catalog(
            settings.stores,
            settings.default_store,
            settings.store_options,
            settings.digests,
            Installed(),
        )
        return catalog[name]
    except KeyError:
        raise pytest.UsageError(f"{ini} has no store '{name}'") from None
    except (LookupError, OSError, SettingsError, StoreError) as error:
        raise pytest.UsageError(f"{ini}: {error}") from error
