"""Counters and gauges for Prometheus. Labels come from fixed sets only, so that no client can add series."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.model.findings import FindingKind
from calotype.stores.catalog import Catalog
from calotype.transfers.probes import Probes, ProbeState

_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


class Metrics:
    """One process's metrics; safe to use by all threads."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, database: Database, scrub_period: float):
        self._collected = CollectorRegistry()
        self._requests = Histogram(
            "calotype_request_seconds",
            "Time from a request's head to its answer's.",
            ("method", "status"),
            buckets=_SECONDS,
            registry=self._collected,
        )
        self._bytes = Counter(
            "calotype_image_bytes", "Bytes of bodies.", ("direction",), registry=self._collected
        )
        self._stores = Histogram(
            "calotype_store_seconds",
            "Time that a store took for an operation.",
            ("store", "operation", "outcome"),
            buckets=_SECONDS,
            registry=self._collected,
        )
        self._bad_copies = Counter(
            "calotype_bad_copies",
            "Times that a download or the scrubber came across a copy that is damaged or gone.",
            ("store", "kind"),
            registry=self._collected,
        )
        self._collected.register(_Registered(database))
        self._collected.register(_Scrubs(database, scrub_period))

    def collect_stores(self, stores: Catalog, probes: Probes) -> None:
        """Tell what was last seen of each store, and how many of its calls hang."""
        self._collected.register(_Stores(stores, probes))

    def observe_request(self, method: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count an answered request; sizes of the bodies in bytes."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, f"{status // 100}xx").observe(seconds)
        self._bytes.labels("in").inc(received)
        self._bytes.labels("out").inc(sent)

    def observe_store(self, store: str, operation: str, outcome: str, seconds: float) -> None:
        """Count an operation of a store; `outcome` is ok or the name of an error's class."""
        self._stores.labels(store, operation, outcome).observe(seconds)

    def observe_bad_copy(self, store: str, kind: FindingKind) -> None:
        """Count that a copy was found damaged or gone."""
        self._bad_copies.labels(store, kind).inc()

    def render(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self._collected)


class _Stores(Collector):
    """Gauges of what this process knows of its stores; asks none of them."""

    def __init__(self, stores: Catalog, probes: Probes):
        self._stores = stores
        self._probes = probes

    def collect(self) -> Iterator[GaugeMetricFamily]:
        state = GaugeMetricFamily(
            "calotype_store_state",
            "1 for the state in which the store was last seen.",
            labels=["store", "state"],
        )
        hanging = GaugeMetricFamily(
            "calotype_store_hanging_calls",
            "Calls that never came back and still have a place.",
            labels=["store"],
        )
        for store in self._stores:
            seen = self._probes.stores[store.name].state
            for one in ProbeState:
                state.add_metric([store.name, one], int(one is seen))
            hanging.add_metric([store.name], store.bulkhead.hanging)
        yield state
        yield hanging


class _Registered(Collector):
    """Gauges that are read from the database when they are asked for."""

    def __init__(self, database: Database):
        self._database = database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            census = self._database.census()
        except DatabaseError:
            return
        for name, help_, counts in (
            ("calotype_images", "Images by status.", census.images),
            ("calotype_locations", "Blobs by what the database knows of them.", census.locations),
            ("calotype_jobs", "Jobs by status.", census.jobs),
        ):
            gauge = GaugeMetricFamily(name, help_, labels=["status"])
            for status, count in counts.items():
                gauge.add_metric([status], count)
            yield gauge
        found = GaugeMetricFamily(
            "calotype_findings", "Open findings of fsck and the scrubber.", labels=["kind", "store"]
        )
        for counted in census.findings:
            found.add_metric([counted.kind, counted.store], counted.count)
        yield found


class _Scrubs(Collector):
    """How far the scrubber is with each store, by all processes' doing."""

    def __init__(self, database: Database, period: float):
        self._database = database
        self._period = period

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            passes, quarantined = self._database.scrubs.all(), self._database.scrubs.count_quarantined()
        except DatabaseError:
            return
        now = datetime.datetime.now(datetime.UTC)
        behind = {
            one.store: 0 if one.ended_at else max(0, (now - one.began_at).total_seconds() - self._period)
            for one in passes
        }
        for name, help_, values in (
            ("calotype_quarantined_copies", "Copies that are damaged or gone.", quarantined),
            (
                "calotype_scrub_checked_copies",
                "Copies checked in this pass of the scrubber.",
                {one.store: one.checked for one in passes},
            ),
            ("calotype_scrub_behind_seconds", "How much longer a pass has taken than the period.", behind),
            (
                "calotype_scrub_stopped",
                "1 where the scrubber has stopped because too many copies are bad.",
                {one.store: int(one.stopped is not None) for one in passes},
            ),
        ):
            gauge = GaugeMetricFamily(name, help_, labels=["store"])
            for store, value in values.items():
                gauge.add_metric([store], value)
            yield gauge
