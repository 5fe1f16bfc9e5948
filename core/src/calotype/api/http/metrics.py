"""Counters and gauges for Prometheus. All labels have fixed sets of values, so clients cannot add series."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from calotype.api.http.shared_metrics import share_metrics, without_unknown
from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.events.feed import Feed
from calotype.model.findings import FindingKind
from calotype.stores.catalog import Catalog
from calotype.transfers.probes import Probes, ProbeState

_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


#: How the gauges of processes are combined. A store's state is reported if any process saw it.
_COMBINED: Mapping[str, Literal["livemax", "livesum", "livemostrecent"]] = {
    "calotype_listeners": "livesum",
    "calotype_store_state": "livemax",
    "calotype_store_hanging_calls": "livesum",
    "calotype_store_free_bytes": "livemostrecent",
    "calotype_store_capacity_bytes": "livemostrecent",
}


class Metrics:
    """The metrics of one process, or of all processes that share them; safe to use from all threads."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, database: Database, scrub_period: float):
        self._collected = CollectorRegistry()
        shared = share_metrics()
        #: Where the metrics of this process are collected; None if only the sums over all processes are.
        own = None if shared else self._collected
        if shared:
            self._collected.register(shared)
        #: True if several processes share their metrics: then `publish` must be called now and then.
        self.is_shared = shared is not None
        #: Functions that read the gauges of this process.
        self._own_gauges: list[Callable[[], Iterator[GaugeMetricFamily]]] = []
        self._published: dict[str, Gauge] = {}
        self._requests = Histogram(
            "calotype_request_seconds",
            "Time from the head of a request to the head of its response.",
            ("method", "status"),
            buckets=_SECONDS,
            registry=own,
        )
        self._bytes = Counter(
            "calotype_image_bytes",
            "Bytes of request and response bodies.",
            ("direction",),
            registry=own,
        )
        self._stores = Histogram(
            "calotype_store_seconds",
            "Duration of operations in a store.",
            ("store", "operation", "outcome"),
            buckets=_SECONDS,
            registry=own,
        )
        self._bad_copies = Counter(
            "calotype_bad_copies",
            "Damaged or missing copies that downloads and the scrubber found.",
            ("store", "kind"),
            registry=own,
        )
        self._add(partial(_database_gauges, database))
        self._add(partial(_scrub_gauges, database, scrub_period))
        self._add(partial(_webhook_gauges, database))

    def collect_stores(self, stores: Catalog, probes: Probes) -> None:
        """Add the gauges of the stores: the last observed state, and the number of hanging calls."""
        self._collect(partial(_store_gauges, stores, probes))

    def collect_listeners(self, feed: Feed) -> None:
        """Add the number of listeners and waiters."""
        self._collect(partial(_listener_gauges, feed))

    def _collect(self, read: Callable[[], Iterator[GaugeMetricFamily]]) -> None:
        """Add gauges of this process."""
        self._own_gauges.append(read)
        if not self.is_shared:
            self._add(read)

    def publish(self) -> bool:
        """Let the other processes know the gauges of this process; return False."""
        for family in chain.from_iterable(read() for read in self._own_gauges):
            for sample in family.samples:
                gauge = self._gauge_like(family, sample)
                (gauge.labels(**sample.labels) if sample.labels else gauge).set(sample.value)
        return False

    def _gauge_like(self, family: GaugeMetricFamily, sample: Sample) -> Gauge:
        """Return the shared gauge with the name and the labels of this one."""
        if family.name not in self._published:
            mode = _COMBINED[family.name]
            self._published[family.name] = Gauge(
                family.name, family.documentation, sample.labels, registry=None, multiprocess_mode=mode
            )
        return self._published[family.name]

    def _add(self, read: Callable[[], Iterator[GaugeMetricFamily]]) -> None:
        self._collected.register(_Gauges(read))

    def observe_request(self, method: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count an answered request; `received` and `sent` are the sizes of the bodies in bytes."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, f"{status // 100}xx").observe(seconds)
        self._bytes.labels("in").inc(received)
        self._bytes.labels("out").inc(sent)

    def observe_store(self, store: str, operation: str, outcome: str, seconds: float) -> None:
        """Count an operation of a store; `outcome` is "ok" or the name of an error's class."""
        self._stores.labels(store, operation, outcome).observe(seconds)

    def observe_bad_copy(self, store: str, kind: FindingKind) -> None:
        """Count a copy that was found damaged or missing."""
        self._bad_copies.labels(store, kind).inc()

    def render(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._collected)


class _Gauges(Collector):
    """Gauges that are read for each scrape, and are absent while the database does not answer."""

    def __init__(self, read: Callable[[], Iterator[GaugeMetricFamily]]):
        self._read = read

    def collect(self) -> list[Metric]:
        try:
            return list(without_unknown(self._read()))
        except DatabaseError:
            return []


def _gauge(name: str, description: str, labels: str, values: Mapping[Any, float]) -> GaugeMetricFamily:
    """Return a gauge. Each key of `values` is a label's value, or a tuple of the values of several labels."""
    gauge = GaugeMetricFamily(name, description, labels=labels.split())
    for key, value in values.items():
        gauge.add_metric([key] if isinstance(key, str) else key, value)
    return gauge


def _store_gauges(stores: Catalog, probes: Probes) -> Iterator[GaugeMetricFamily]:
    """Yield the states of the stores as this process knows them, without calling any store.

    A value that is not known is NaN.
    """
    yield _gauge(
        "calotype_store_state",
        "1 for the last observed state of the store, 0 for its other states.",
        "store state",
        {
            (name, state): int(state is seen)
            for name, seen in [(store.name, probes.stores[store.name].state) for store in stores]
            for state in ProbeState
        },
    )
    yield _gauge(
        "calotype_store_hanging_calls",
        "Calls that were abandoned, have not returned, and still occupy a slot.",
        "store",
        {store.name: store.bulkhead.hanging for store in stores},
    )
    rooms = {store.name: probes.stores[store.name].room for store in stores}
    yield _gauge(
        "calotype_store_free_bytes",
        "Bytes that the store had room for at the last measurement, if it knows.",
        "store",
        {name: math.nan if room.free is None else room.free for name, room in rooms.items()},
    )
    yield _gauge(
        "calotype_store_capacity_bytes",
        "Bytes of all images that the store has room for, if it knows.",
        "store",
        {name: math.nan if room.capacity is None else room.capacity for name, room in rooms.items()},
    )


def _listener_gauges(feed: Feed) -> Iterator[GaugeMetricFamily]:
    """Yield the number of requests that wait for events in this process."""
    yield GaugeMetricFamily(
        "calotype_listeners", "Requests that listen at /events or wait for a status.", value=feed.size
    )


def _webhook_gauges(database: Database) -> Iterator[GaugeMetricFamily]:
    """Yield the backlogs of webhooks; raises DatabaseError."""
    waiting = {name: backlog.waiting for name, backlog in database.webhooks.backlogs().items()}
    yield _gauge("calotype_webhook_backlog", "Events that wait for their receivers.", "webhook", waiting)


def _database_gauges(database: Database) -> Iterator[GaugeMetricFamily]:
    """Yield the numbers of records in the database; raises DatabaseError."""
    census = database.census()
    yield _gauge("calotype_images", "Images by status.", "status", census.images)
    yield _gauge("calotype_locations", "Blobs by their state in the database.", "status", census.locations)
    yield _gauge("calotype_jobs", "Jobs by status.", "status", census.jobs)
    yield _gauge(
        "calotype_findings",
        "Open findings of fsck and the scrubber.",
        "kind store",
        {(found.kind, found.store): found.count for found in census.findings},
    )


def _scrub_gauges(database: Database, period: float) -> Iterator[GaugeMetricFamily]:
    """Yield the scrubber's progress in each store, over all processes; raises DatabaseError."""
    passes, quarantined = database.scrubs.all(), database.scrubs.count_quarantined()
    now = datetime.datetime.now(datetime.UTC)
    yield _gauge("calotype_quarantined_copies", "Copies that are damaged or missing.", "store", quarantined)
    yield _gauge(
        "calotype_scrub_checked_copies",
        "Copies checked in this pass of the scrubber.",
        "store",
        {one.store: one.checked for one in passes},
    )
    yield _gauge(
        "calotype_scrub_behind_seconds",
        "Seconds by which the current pass exceeds the scrub period.",
        "store",
        {
            one.store: 0 if one.ended_at else max(0, (now - one.began_at).total_seconds() - period)
            for one in passes
        },
    )
    yield _gauge(
        "calotype_scrub_stopped",
        "1 if the scrubber has stopped because too many copies are bad, otherwise 0.",
        "store",
        {one.store: int(one.stopped is not None) for one in passes},
    )
