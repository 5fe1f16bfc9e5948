"""Upkeep: the work of background workers, and checks that operators start themselves."""

from __future__ import annotations

import threading
from dataclasses import replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.events import outbox
from calotype.events.webhooks import Webhook, open_webhooks
from calotype.images.audit import forget_old
from calotype.images.download_counts import DownloadCounts
from calotype.model.audit import Actor
from calotype.model.findings import FindingKind
from calotype.stores.catalog import Catalog
from calotype.stores.contract import WritableStore
from calotype.stores.errors import StoreError
from calotype.transfers.comparing import Pace
from calotype.transfers.copies import Copies
from calotype.transfers.jobs import Jobs
from calotype.transfers.leases import Leases
from calotype.transfers.scrubbing import Rechecked, Scrubber, look_twice
from calotype.transfers.sweeper import Sweeper, Swept
from calotype.transfers.transfers import Transfers


class Upkeep:
    """The verbs of workers and operators. All threads share an instance. `copies` handles bad copies,
    and `downloads` counts downloads."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings):
        self._database = database
        self._stores = stores
        self._settings = settings
        self.copies = Copies(database)
        self.downloads = DownloadCounts(database, settings.download_retention)
        self._leases = Leases(database, settings.lease)
        self._transfers = Transfers(database, stores, settings, self._leases, self.copies)
        self._sweeper = Sweeper(database, self._leases, self._transfers.removal)
        self._jobs = Jobs(database, stores, settings, self._transfers)

    @property
    def owner(self) -> str:
        """The owner of the leases that this process takes."""
        return self._leases.owner

    def close(self) -> None:
        """Write the downloads that are counted, and stop renewing leases."""
        self.downloads.write()
        self._leases.close()

    def scrubbers(self, ending: threading.Event, *, only: str | None = None) -> list[Scrubber]:
        """Return a scrubber for each store that is scrubbed, or only for the store `only`.

        Setting `ending` ends the scrubbers.
        """
        settings = self._settings
        return [
            Scrubber(self._database, store, self._transfers, settings.scrub_period, Pace(rate, ending))
            for store in self._stores
            if store.scrub
            and only in (None, store.name)
            and (rate := store.scrub_rate or settings.scrub_rate)
            and isinstance(store.driver, WritableStore)  # other stores do not hold our bytes
        ]

    def webhooks(self, ending: threading.Event) -> list[Webhook]:
        """Return the webhooks that the settings name. Setting `ending` ends their work.

        Raises:
            SettingsError: a URL or a secret cannot be used.
        """
        return open_webhooks(self._settings, self._database, self._leases, ending)

    @retry_on_conflict
    def resume_scrub(self, store: str) -> bool:
        """Let a store's scrubber continue where it stopped, and return whether it had stopped.

        The scrubber checks the copies in quarantine first.
        """
        with self._database.unit() as unit:
            if not unit.scrubs.resume(store):
                return False
            unit.scrubs.make_quarantined_due(store)
            unit.close_findings(store, FindingKind.SCRUB_STOPPED, store)
            return True

    def recheck(self, image_id: str, actor: Actor) -> list[Rechecked]:
        """Read all copies of an image now, quarantine the bad ones, and release the good ones.

        Raises:
            StoreError: a store is unavailable or cannot read its copy; that copy stays unchanged.
        """
        checked = []
        for copy in self._database.scrubs.copies(image_id):
            if copy.store not in self._stores:
                raise StoreError(copy.store, "it is not configured on this server")
            fault = look_twice(self._stores[copy.store], copy, lambda count: None)
            if fault is None:
                self.copies.keep(copy, actor)
            else:
                self.copies.quarantine(copy, fault, actor)
            checked.append(Rechecked(copy, fault))
        return checked

    def work(self) -> bool:
        """Do one job that no process is working on, and return whether there was one."""
        return self._jobs.run_next()

    def sweep(self, *, once: bool = False) -> Swept:
        """End abandoned attempts, and remove bytes pending delete and old audit records, events and counts.

        See `Sweeper.sweep`.
        """
        swept = self._sweeper.sweep(once=once)
        records = forget_old(self._database, self._settings.audit_retention)
        events = outbox.forget_old(self._database, self._settings.event_retention)
        days = self.downloads.forget_old()
        return replace(swept, full=records or events or days or swept.full)
