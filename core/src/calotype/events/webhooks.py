"""Webhooks: deliver events to receivers that the ini file names, as CloudEvents 1.0.

Each event is delivered at least once, and the events of one image in their order. A receiver accepts an event
with a 2xx response. After any other response, the event is retried with growing pauses, and the later events
of its image wait. One process of the deployment delivers the events of a webhook; it holds a lease.
"""

from __future__ import annotations

import datetime
import json
import logging
import threading
import time

from calotype.config.event_settings import WebhookOptions
from calotype.config.interpolation import SettingsError
from calotype.config.messages import located
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.retry import LockConflict, retry_on_conflict
from calotype.database.webhooks import Delivery, WebhookState
from calotype.egress import Egress, EgressError, EgressPolicy, Forbidden, parse
from calotype.events.signatures import signed_headers, signing_key
from calotype.model.events import Event
from calotype.transfers.leases import LeaseMonitor, Leases

log = logging.getLogger(__name__)

#: Seconds between two searches for events to deliver.
INTERVAL = 1.0
#: Maximum number of deliveries that are read at once.
_BATCH = 100
#: Seconds before the first retry, and between two retries at most. Each pause is twice as long as the last.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 600.0
_CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
#: The prefix of the type of each event.
_TYPE = "calotype.image."


class Webhook:
    """One webhook in this process. One thread runs it."""

    def __init__(
        self,
        name: str,
        options: WebhookOptions,
        database: Database,
        leases: Leases,
        ending: threading.Event,
    ):
        """Check the URL and the secret. Once `ending` is set, no further event is sent.

        Raises:
            ValueError: the secret cannot be decoded.
            Forbidden: the URL is not valid, or its address is not allowed.
        """
        self.name = name
        self._url = options.url
        self._key = signing_key(options.secret.get_secret_value())
        self._egress = Egress(_policy(options))
        self._egress.check_form(options.url)
        self._database = database
        self._leases = leases
        self._monitor = LeaseMonitor(leases.seconds)
        self._ending = ending
        self._source = ""
        #: How often in succession the receiver could not be reached, and the time of the next attempt.
        self._outages = 0
        self._rests_until = 0.0

    def run(self) -> bool:
        """Deliver the events that are due if no other process does so; return whether there may be more."""
        if time.monotonic() < self._rests_until or not self._database.webhooks.due(self.name, _now(), 1):
            return False
        seen = self._database.webhooks.states().get(self.name)
        if not self._claim(seen):
            return False
        with self._leases.held(self.name):
            try:
                return self._deliver_all()
            finally:
                self._release()

    @retry_on_conflict
    def _claim(self, seen: WebhookState | None) -> bool:
        """Take the lease, and return whether this process has it now."""
        if not self._monitor.expired({self.name: seen.lease_until if seen else None}):
            return False
        try:
            with self._database.unit() as unit:
                return unit.webhooks.claim(seen, self.name, self._leases.owner, self._leases.end())
        except LockConflict:  # another process was faster
            return False

    @retry_on_conflict
    def _release(self) -> None:
        with self._database.unit(frees=True) as unit:
            unit.webhooks.release(self.name, self._leases.owner)

    def _deliver_all(self) -> bool:
        """Deliver the oldest due event of each image. Stop if the receiver cannot be reached."""
        due = self._database.webhooks.due(self.name, _now(), _BATCH)
        for delivery in due:
            if self._ending.is_set():
                return False
            try:
                problem = self._send(delivery.event)
            except EgressError as error:
                self._rests_until = time.monotonic() + pause_after(self._outages)
                self._outages += 1
                self._fail(delivery, f"the receiver {error.what}")
                return False
            self._outages = 0
            if problem is None:
                self._succeed(delivery)
            else:
                self._fail(delivery, problem)
        return bool(due)

    def _send(self, event: Event) -> str | None:
        """Send an event, and return None if the receiver has accepted it, otherwise the reason.

        Raises:
            EgressError: the receiver cannot be reached, or its address is not allowed.
        """
        body = json.dumps(self._cloud_event(event)).encode()
        headers = signed_headers(self._key, event.id, int(time.time()), body)
        status = self._egress.post(self._url, {"Content-Type": _CONTENT_TYPE, **headers}, body)
        return None if 200 <= status < 300 else f"the receiver answers {status}"

    def _cloud_event(self, event: Event) -> dict[str, object]:
        """Return the event in the JSON format of CloudEvents 1.0."""
        self._source = self._source or f"urn:uuid:{self._database.identity().id}"
        data = event.to_json()
        return {
            "specversion": "1.0",
            "id": event.id,
            "source": self._source,
            "type": f"{_TYPE}{event.kind}",
            "subject": event.image_id,
            "time": data["time"],
            "datacontenttype": "application/json",
            "data": data,
        }

    @retry_on_conflict
    def _succeed(self, delivery: Delivery) -> None:
        with self._database.unit(frees=True) as unit:
            unit.webhooks.delivered(self.name, delivery.event.number, _now())

    @retry_on_conflict
    def _fail(self, delivery: Delivery, problem: str) -> None:
        log.warning(
            "webhook '%s': event %s of image %s was not delivered (attempt %d): %s",
            self.name,
            delivery.event.id,
            delivery.event.image_id,
            delivery.attempts + 1,
            problem,
        )
        until = _now() + datetime.timedelta(seconds=pause_after(delivery.attempts))
        with self._database.unit() as unit:
            result = {"failed_at": _now(), "last_error": problem}
            unit.webhooks.failed(self.name, delivery.event.number, until, **result)


def pause_after(attempts: int) -> float:
    """Return the pause after an attempt, in seconds, if `attempts` have failed before it."""
    return float(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempts, 20)))


def open_webhooks(
    settings: Settings, database: Database, leases: Leases, ending: threading.Event
) -> list[Webhook]:
    """Return the webhooks that the settings name.

    Raises:
        SettingsError: a URL or a secret cannot be used. The message names the place in the ini file.
    """
    found = []
    for name, options in settings.webhooks.items():
        try:
            found.append(Webhook(name, options, database, leases, ending))
        except Forbidden as error:
            key, reason = "url", error.what.partition(": ")[2] or error.what
        except ValueError as error:
            key, reason = "secret", str(error)
        else:
            continue
        place = located(settings.ini_file, f"webhook.{name}.{key}")
        raise SettingsError(f"{place}webhook '{name}': option {key}: {reason}")
    return found


def _policy(options: WebhookOptions) -> EgressPolicy:
    """Return the policy for a receiver: its port is allowed, but a private address only if it is named."""
    return EgressPolicy(
        ports=(parse(options.url).port,),
        allowed_networks=options.allowed_networks,
        allowed_hosts=options.allowed_hosts,
        max_redirects=0,
        connect_timeout=min(5.0, options.timeout),
        read_timeout=options.timeout,
        ca_bundle=options.ca_bundle,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
